"""Training augmentation for small images: mirror, shift, erase. Each draw comes from the generator of its step."""

import numpy as np

from ofa_edge.data.preprocess import Pixels


def augment(images: Pixels, rng: np.random.Generator, *, flip: bool, shift: int, erase: float) -> Pixels:
    """Augment a batch.

    Args:
        images: uint8 [N, S, S, C].
        rng: the step's generator; the same generator state gives the same batch.
        flip: mirror half of the images left to right.
        shift: move each image by up to this many pixels either way, edges filled with 0.
        erase: chance that a square of a quarter to a half of the side is filled with noise (Zhong et al., AAAI 2020).

    Returns:
        uint8 [N, S, S, C].
    """
    count, size = images.shape[:2]
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    dy, dx = rng.integers(0, 2 * shift + 1, size=(2, count))
    result = np.ascontiguousarray(windows[np.arange(count), dy, dx].transpose(0, 2, 3, 1))
    if flip:
        mirrored = rng.random(count) < 0.5
        result[mirrored] = result[mirrored, :, ::-1]
    if erase:
        _erase(result, np.flatnonzero(rng.random(count) < erase), rng)
    return result


def _erase(images: Pixels, chosen: np.ndarray, rng: np.random.Generator) -> None:
    size = images.shape[1]
    side = rng.integers(size // 4, size // 2 + 1, size=len(chosen))
    corner = rng.integers(0, size - side + 1, size=(2, len(chosen)))
    noise = rng.integers(0, 256, size=(len(chosen), *images.shape[1:]), dtype=np.uint8)
    axis = np.arange(size)
    rows, columns = ((axis >= c[:, None]) & (axis < (c + side)[:, None]) for c in corner)
    mask = (rows[:, :, None] & columns[:, None, :])[..., None]
    images[chosen] = np.where(mask, noise, images[chosen])
