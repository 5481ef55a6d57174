"""The one rule for "N of these images", on sets that are not friendly: sorted, imbalanced, tiny, with gaps."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ofa_edge
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.sampling import stratified, stratified_order, stratified_split

counts_of_classes = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any)
seeds = st.integers(0, 2**32)


def by_class(counts):
    """Labels as a folder gives them: class by class."""
    return np.repeat(np.arange(len(counts)), counts).astype(np.int64)


def numbered(labels):
    pixels = np.arange(len(labels)).astype(np.uint8).reshape(-1, 1, 1, 1)
    return Images(pixels, labels)


@given(counts_of_classes, st.integers(0, 400), seeds)
def test_a_sample_holds_every_class_in_proportion(counts, wanted, seed):
    labels = by_class(counts)
    chosen = stratified(labels, wanted, seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(wanted, len(labels))
    found = np.bincount(labels[chosen], minlength=len(counts))
    present = np.array(counts) > 0
    if wanted >= present.sum():
        assert (found[present] >= 1).all()
    else:
        assert found.max(initial=0) <= 1  # fewer images than classes: of each at most one
    # One of each class comes first; what is left is shared in proportion, to within an image or that first one.
    share = np.array(counts) * min(1.0, wanted / len(labels))
    assert (found <= share + 2).all()
    assert (found >= share * (1 - present.sum() / max(wanted, 1)) - 2).all()


@given(counts_of_classes, st.integers(0, 200), st.integers(0, 200), seeds)
def test_a_smaller_sample_of_a_seed_is_part_of_a_larger_one(counts, one, other, seed):
    labels, (small, large) = by_class(counts), sorted((one, other))
    assert set(stratified(labels, small, seed)) <= set(stratified(labels, large, seed))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6).filter(any), seeds)
def test_what_is_sampled_does_not_depend_on_how_the_set_is_sorted(counts, seed):
    labels = by_class(counts)
    other = np.random.default_rng(seed).permutation(labels)
    wanted = max(1, len(labels) // 3)
    first, second = (np.bincount(each[stratified(each, wanted, seed)], minlength=9) for each in (labels, other))
    assert first.tolist() == second.tolist()


def test_a_hundred_to_one_set_one_image_a_class_and_a_set_that_is_too_small():
    rare = by_class([1000, 10])
    assert np.bincount(rare[stratified(rare, 101, 0)]).tolist() in ([99, 2], [100, 1])
    single = by_class([1] * 7)
    assert sorted(stratified(single, 7, 3)) == list(range(7))
    assert sorted(stratified(single, 500, 3)) == list(range(7))
    assert sorted(stratified(single, None, 3)) == list(range(7))
    assert len(stratified(by_class([50] * 20), 5, 1)) == 5
    assert stratified_order(by_class([40, 40]), 1).tolist() != stratified_order(by_class([40, 40]), 2).tolist()
    with pytest.raises(ValueError, match="-1"):
        stratified(single, -1, 0)


@given(counts_of_classes, seeds)
def test_batches_cut_from_a_sample_hold_all_larger_classes(counts, seed):
    labels = by_class(counts)
    order = labels[stratified(labels, None, seed)]
    for start in range(0, len(order) - 50, 50):
        found = np.bincount(order[start : start + 50], minlength=len(counts))
        assert (found[np.array(counts) * 50 / len(labels) > 3] > 0).all()


@given(counts_of_classes, st.integers(1, 200), seeds)
def test_a_split_leaves_every_class_something_to_train_on(counts, wanted, seed):
    labels = by_class(counts)
    kept, other = stratified_split(labels, wanted, seed)
    assert sorted([*kept, *other]) == list(range(len(labels)))
    present = np.flatnonzero(counts)
    assert set(labels[kept]) == set(present)
    assert len(other) == min(wanted, len(labels) - len(present))
    several = [index for index in present if counts[index] > 1]
    if wanted >= len(present):
        assert set(labels[other]) == set(several)


def test_a_data_set_sorted_by_class_gives_every_class_to_both_parts():
    data = Dataset("sorted", numbered(by_class([30, 30, 30, 3])), numbered(by_class([1])), ("a", "b", "c", "d"))
    kept, held_out = data.split(12, seed=0)
    assert np.bincount(held_out.labels, minlength=4).tolist() in ([4, 4, 3, 1], [4, 3, 4, 1], [3, 4, 4, 1])
    assert np.bincount(kept.labels).min() == 2


def test_the_package_takes_no_images_by_a_slice():
    source = Path(ofa_edge.__file__).parent
    files = [*source.rglob("*.py"), *(source.parent / "benchmarks").rglob("*.py")]
    pattern = re.compile(r"take\(slice|(?<!package)\.(pixels|labels)\[:|inputs_for\([^)]*\)\[")
    found = [str(path) for path in files if pattern.search(path.read_text())]
    assert found == []
