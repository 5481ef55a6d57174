"""The one rule for "N of these images": seeded, stratified by class, in an order whose every start is a fair sample.

Images often come class by class, so the first N of them are N of one class. Here they are put into an order first: one
of each class, classes in random order, then all others so that any start of the order holds each class in proportion. A
smaller sample of a seed is therefore part of a larger one, batches cut from a sample hold all classes, and a class is
left out only where fewer images are wanted than there are classes.
"""

import numpy as np
from numpy.typing import NDArray


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Indices of all images [N] in the order that samples are cut from.

    Image j of the n of a class, drawn at random, comes at (j + u) / n of the way, u in 0..1 drawn for each class: every
    start of the order holds a class to within one image of its share, but for the one of each that comes first of all.

    Args:
        labels: class of each image [N].
        seed: of all draws; the order depends on nothing else.
    """
    rng = np.random.default_rng([seed, _STREAM])
    classes, place = np.unique(labels, return_inverse=True)
    counts = np.bincount(place, minlength=len(classes))
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(place[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    way = (rank + np.repeat(rng.random(len(classes)), counts)) / np.repeat(counts, counts)
    first = np.where(rank == 0, np.repeat(rng.permutation(len(classes)) - len(classes), counts), 0)
    return by_class[np.lexsort((way, first))].astype(np.int64)


_STREAM = 0x5A  # keeps these draws apart from others of the same seed


def stratified(labels: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.int64]:
    """Indices of a sample: `count` images, all there are where that is fewer, or all for None.

    Args:
        labels: class of each image [N].
        count: how many are wanted.
        seed: of the draw.

    Raises:
        ValueError: a negative count.
    """
    if count is not None and count < 0:
        raise ValueError(f"a sample of {count} images")
    return stratified_order(labels, seed)[:count]


def stratified_split(labels: NDArray[np.int64], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of two disjoint parts, the rest and `count` images, each class in proportion in both.

    No class loses its last image to the second part: a class of one image stays in the first. So the second part may
    hold fewer than `count`; it never holds more.

    Returns:
        The first part and the second, each in the order of the images.
    """
    order = stratified_order(labels, seed)
    _, place = np.unique(labels, return_inverse=True)
    left = np.bincount(place)
    chosen: list[int] = []
    for index in order:
        if len(chosen) == count:
            break
        if left[place[index]] > 1:
            left[place[index]] -= 1
            chosen.append(index)
    second = np.sort(np.array(chosen, dtype=np.int64))
    return np.setdiff1d(np.arange(len(labels)), second), second


def stratified_folds(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """The fold, 0..count - 1, of each image [N]: folds of one size to within one image, and so for each class.

    Args:
        labels: class of each image [N].
        count: of folds, two or more.
        seed: of the draw.
    """
    order = stratified_order(labels, seed)
    by_class = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), np.int64)
    folds[by_class] = np.arange(len(labels)) % count  # classes go on where the one before ended
    return folds
