import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.fashion_mnist import FASHION_MNIST_LABELS
from ofa_edge.data.labels import check_labels, class_order, example, read_labels
from ofa_edge.errors import DataError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('cat = "a"\ncat = "b"', "line 2"),
        ('ca = "a"', "no class folder 'ca'; there is cat"),
        ("cat = 3", "cat = 3"),
        ("[cat]", "cat = {}"),
        ('cat = ""', "'' empty"),
        ('cat = " "', "' ' empty"),
        ('cat = "Cat "', "ends with a space"),
        ('cat = "a\\u0007"', "'a\\x07'"),
        ('cat = "a\\nb"', "'a\\nb'"),
        ('cat = "a\\u2028b"', "'a\\u2028b'"),
        ('cat = "dog"', "'cat' and 'dog' are 'dog'"),
        ('cat = "x"\ndog = "x"', "'cat' and 'dog' are 'x'"),
        ('cat = "DOG"', "'DOG' and 'dog'"),
        ("cat", "line 1"),
    ],
)
def test_a_labels_file_is_strict_and_names_what_is_wrong(tmp_path, text, told):
    (tmp_path / "labels.toml").write_text(text)
    with pytest.raises(DataError) as caught:
        read_labels(tmp_path, ("cat", "dog"))
    assert told in caught.value.why
    assert str(tmp_path / "labels.toml") in caught.value.why


def test_a_labels_file_of_another_encoding_is_refused_and_a_mark_at_its_start_is_not(tmp_path):
    (tmp_path / "labels.toml").write_bytes('cat = "ö"'.encode("latin1"))
    with pytest.raises(DataError, match="damaged"):
        read_labels(tmp_path, ("cat", "dog"))
    (tmp_path / "labels.toml").write_bytes(b"\xef\xbb\xbf" + 'cat = "ö"'.encode())
    assert read_labels(tmp_path, ("cat", "dog")) == ("ö", "dog")


@given(labels=st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6))
def test_labels_that_pass_are_lines_of_text_that_can_be_told_apart(labels):
    try:
        check_labels(labels, "here")
    except DataError:
        return
    assert ("\n".join(labels) + "\n").encode().decode().splitlines() == labels
    assert len({label.casefold() for label in labels}) == len(labels)


def dataset(names):
    pixels = np.arange(2 * len(names), dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(2, 1).repeat(2, 2)
    images = Images(pixels, np.arange(2 * len(names)) % len(names))
    return Dataset("mine", images, images.take(np.arange(len(names))), tuple(names))


@given(order=st.permutations(FASHION_MNIST_LABELS))
def test_classes_are_brought_into_the_order_of_a_supernet_by_label(order):
    data = dataset(order)
    found = data.in_order_of(FASHION_MNIST_LABELS)
    assert found.class_names == FASHION_MNIST_LABELS
    for before, after in ((data.train, found.train), (data.test, found.test)):
        assert [order[number] for number in before.labels] == [FASHION_MNIST_LABELS[number] for number in after.labels]
        assert np.array_equal(before.pixels, after.pixels)


def test_what_is_missing_and_strange_is_told_with_lines_to_paste(tmp_path):
    folders = ("Trouser", "ankle boot", "tshirt_top", "Pullover", "elephant")
    with pytest.raises(DataError, match="not the supernet's") as caught:
        dataset(folders).in_order_of(("T-shirt/top", "Trouser", "Pullover", "Ankle boot", "Bag"))
    assert caught.value.why == (
        "mine: missing: T-shirt/top, Ankle boot, Bag; not the supernet's: ankle boot, tshirt_top, elephant"
    )
    lines = [line for line in caught.value.hint.splitlines() if " = " in line]
    assert tomllib.loads("\n".join(lines)) == {"tshirt_top": "T-shirt/top", "ankle boot": "Ankle boot", "bag": "Bag"}
    with pytest.raises(DataError) as caught:
        dataset((*folders[:1], "elephant")).in_order_of(("Trouser",))
    assert "elephant" in caught.value.why
    assert "leave out" in caught.value.hint


@given(missing=st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=5, unique=True))
def test_lines_to_paste_are_toml_for_any_label(missing):
    lines = example([label for label in missing if label.isprintable()], ("some folder", 'a "b"'))
    for line in lines:
        (label,) = tomllib.loads(line).values()
        assert label in missing


def test_folders_are_told_the_nearest_labels_where_not_every_label_needs_one():
    labels = [f"label {number}" for number in range(1000)] + ["tabby cat", "golden retriever"]
    with pytest.raises(DataError) as caught:
        class_order(["tabby_cat", "retriever", "label 7"], labels, "photos", "network", some=True)
    lines = caught.value.hint.splitlines()[1:]
    assert tomllib.loads("\n".join(lines)) == {"tabby_cat": "tabby cat", "retriever": "golden retriever"}


def test_an_example_of_a_thousand_lines_is_cut():
    with pytest.raises(DataError) as caught:
        class_order(["x"], [f"label {number}" for number in range(1000)], "photos")
    lines = caught.value.hint.splitlines()
    assert len(lines) < 50
    assert lines[-1].strip() == "..."


def test_classes_of_annotation_files_are_no_folders():
    with pytest.raises(DataError) as caught:
        class_order(["dog"], ["cat"], "boxes", "network", some=True, folders=False)
    assert "annotation files" in caught.value.hint
    assert "--labels" in caught.value.hint
    assert "folder" not in caught.value.hint
