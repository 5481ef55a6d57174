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


@pytest.mark.parametrize("label", [-1, 3, 1000, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_label_outside_the_classes_is_named(part, label):
    parts = {"train": numbered(6), "test": numbered(6)}
    labels = parts[part].labels.copy()
    labels[4] = label
    parts[part] = Images(parts[part].pixels, labels)
    with pytest.raises(DataError, match="outside the classes") as caught:
        Dataset("numbers", **parts, class_names=("a", "b", "c"))
    assert f"image 4 of 6 is labelled {label}; there are 3 classes" in caught.value.why


@pytest.mark.parametrize("labels", [np.full(6, np.nan), np.zeros(6), np.full(6, np.inf), np.zeros(6, bool)])
def test_a_label_that_is_no_whole_number_is_none(labels):
    with pytest.raises(DataError, match="outside the classes"):
        Images(numbered(6).pixels, labels).require_classes(3, "here")
