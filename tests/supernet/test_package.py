"""A package whose parts are not of one another: swapped files, labels that are no classes."""

import json

import numpy as np
import pytest
from tiny_package import LABELS, copied_package, shared_package

from ofa_edge.data.dataset import Images
from ofa_edge.errors import DataError
from ofa_edge.files import sha256_file
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import holds_images, load_images, open_supernet, save_images


@pytest.fixture
def folder(tmp_path_factory, tmp_path):
    return copied_package(shared_package(tmp_path_factory), tmp_path / "package")


def images(labels, channels=1):
    return Images(np.zeros((len(labels), 16, 16, channels), np.uint8), np.asarray(labels))


def write(folder, test):
    """images.npz with another test split."""
    splits = {split: load_images(folder / zoo.IMAGES, split) for split in zoo.SPLITS}
    save_images(folder / zoo.IMAGES, {**splits, "test": test})


@pytest.mark.parametrize("strange", [3, 255, -1])
def test_labels_that_are_no_classes_are_told(folder, strange):
    write(folder, images(np.array([0, 1, strange, 2])))
    with pytest.raises(DataError, match="not classes of") as caught:
        open_supernet(str(folder)).images("test")
    assert f"1 of 4, the first is {strange}; its 3 classes are 0 .. 2" in caught.value.why
    assert len(open_supernet(str(folder)).images("validation"))


@pytest.mark.parametrize(
    "labels",
    [np.array([0.0, np.nan, 1.0]), np.array([0.5, 1, 2]), np.zeros((3, 1), np.int64), np.array(["a", "b", "c"])],
)
def test_labels_that_are_no_numbers_of_classes_are_told(folder, labels):
    write(folder, images(labels))
    with pytest.raises(DataError, match="the test labels are not class numbers") as caught:
        open_supernet(str(folder)).images("test")
    assert str(folder / zoo.IMAGES) in caught.value.why


def test_images_of_other_channels_are_told(folder):
    write(folder, images(np.array([0, 1]), channels=3))
    with pytest.raises(DataError, match="have 3 channels"):
        open_supernet(str(folder)).images("test")


@pytest.mark.parametrize("record", zoo.RECORDS)
def test_swapped_images_are_told(folder, record):
    (folder / record).write_text(json.dumps({"images_sha256": sha256_file(folder / zoo.IMAGES)}))
    assert len(open_supernet(str(folder)).images("test"))
    write(folder, images(np.array([0, 1])))
    with pytest.raises(DataError, match="is not the one that this package was written with") as caught:
        open_supernet(str(folder)).images("test")
    assert record in caught.value.why
    (folder / record).write_text("{")  # what cannot be held against them does not make them right
    with pytest.raises(DataError, match="cannot be read"):
        open_supernet(str(folder)).images("test")
    (folder / record).unlink()
    assert len(open_supernet(str(folder)).images("test")) == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", "[" * 5000, '{"a": ' + "9" * 5000 + "}", '{"a": 1e400}', "\0"]
)
def test_a_damaged_record_is_said_and_an_absent_one_is_none(folder, content):
    package = open_supernet(str(folder))
    assert package.record(zoo.FINETUNED) is None
    (folder / zoo.FINETUNED).write_text(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        package.record(zoo.FINETUNED)
    assert zoo.FINETUNED in caught.value.hint
    (folder / zoo.FINETUNED).write_text('{"top1_after": 0.5}')
    assert package.record(zoo.FINETUNED) == {"top1_after": 0.5}


def test_the_shipped_package_names_its_images():
    package = open_supernet(zoo.DEFAULT)
    figures = json.loads(package.file("figures.json").read_bytes())
    assert figures["images_sha256"] == sha256_file(package.file(zoo.IMAGES))
    assert figures["weights_sha256"] == sha256_file(package.weights)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (LABELS[::-1], f"number 0 is '{LABELS[2]}', the weights say '{LABELS[0]}'"),
        (LABELS[:2], "2 labels, the weights have 3"),
        ((*LABELS, "left"), "4 labels, the weights have 3"),
    ],
)
def test_a_list_of_labels_of_something_else_is_told(folder, lines, words):
    (folder / zoo.LABELS).write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="labels are not those of the weights") as caught:
        open_supernet(str(folder))
    assert words in caught.value.why


def test_a_file_holds_its_splits_and_no_others(folder):
    package = open_supernet(str(folder))
    splits = {split: package.images(split) for split in zoo.SPLITS}
    assert holds_images(folder / zoo.IMAGES, splits)
    assert not holds_images(folder / zoo.IMAGES, {**splits, "test": splits["test"].sample(20)})
    assert not holds_images(folder / "nowhere.npz", splits)
