import numpy as np
import pytest

from ofa_edge.data.dataset import Dataset, Images, class_counts
from ofa_edge.errors import DataError


def numbered(count):
    return Images(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(2, 1).repeat(2, 2), np.arange(count) % 3)


def test_a_split_is_a_partition_that_a_seed_decides():
    data = Dataset("numbers", numbered(20), numbered(1), ("a", "b", "c"))
    kept, held_out = data.split(6, seed=3)
    assert (len(kept), len(held_out)) == (14, 6)
    assert sorted([*kept.pixels[:, 0, 0, 0], *held_out.pixels[:, 0, 0, 0]]) == list(range(20))
    assert (held_out.labels == held_out.pixels[:, 0, 0, 0] % 3).all()
    assert np.array_equal(data.split(6, seed=3)[1].pixels, held_out.pixels)
    assert not np.array_equal(data.split(6, seed=4)[1].pixels, held_out.pixels)
    for count in (0, 20):
        with pytest.raises(DataError, match="cannot hold out"):
            data.split(count, seed=0)


def test_images_and_labels_must_fit_together():
    with pytest.raises(DataError):
        Images(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64))


def test_classes_are_counted_and_one_without_images_counts_0():
    images = Images(np.zeros((5, 2, 2, 1), np.uint8), np.array([3, 0, 3, 3, 1]))
    assert class_counts(images, 5).tolist() == [1, 1, 0, 3, 0]
    assert class_counts(images.take(np.arange(0)), 2).tolist() == [0, 0]
