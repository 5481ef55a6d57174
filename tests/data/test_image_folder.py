import os
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_data import write_classes

from ofa_edge.data import image_folder
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.errors import ConfigError, DataError


def write_parts(root, parts=("train", "val"), **options):
    for part in parts:
        write_classes(root / part, **options)


def write_shades(root, counts):
    """Classes of flat grey images, each of a shade of its own, so that every image can be told from its pixels."""
    shade = 0
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("L", (4, 4), shade).save(root / name / f"{index:03}.png")
            shade += 1


def shades(images):
    return images.pixels[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("held_out", ["val", "valid", "validation", "test"])
def test_two_parts(tmp_path, held_out):
    write_parts(tmp_path, ("train", held_out))
    data = load_image_folder(tmp_path, 3, 16)
    assert (data.class_names, data.name, data.notes) == (("cat", "dog"), tmp_path.name, ())
    assert data.train.pixels.shape == (6, 16, 16, 3)
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert load_image_folder(tmp_path, 1, 40).train.pixels.shape == (6, 40, 40, 1)
    expected = np.asarray(Image.open(tmp_path / "train" / "dog" / "1.png"))[:, 6:26]
    assert np.array_equal(load_image_folder(tmp_path, 3, 20).train.pixels[4], expected)


def test_channels_as_the_images_have_them(tmp_path):
    write_shades(tmp_path, {"a": 4, "b": 4})
    assert load_image_folder(tmp_path, None, 8).channels == 1
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "b" / "zz.png")
    assert load_image_folder(tmp_path, None, 8).channels == 3
    with pytest.raises(ConfigError):
        load_image_folder(tmp_path, 2, 8)


# -- the split --


def test_a_folder_of_classes_is_split_class_by_class(tmp_path):
    write_shades(tmp_path, {"few": 3, "many": 40, "some": 20})
    data = load_image_folder(tmp_path, 1, 4)
    assert np.bincount(data.test.labels).tolist() == [1, 4, 2]
    assert sorted(shades(data.train) + shades(data.test)) == list(range(63))
    assert "7 of 63 images held out" in data.notes[0]
    assert shades(load_image_folder(tmp_path, 1, 4).test) == shades(data.test)
    assert shades(load_image_folder(tmp_path, 1, 4, split_seed=1).test) != shades(data.test)
    half = load_image_folder(tmp_path, 1, 4, held_out_share=0.5)
    assert np.bincount(half.test.labels).tolist() == [2, 20, 10]
    for share in (0.0, 1.0):
        with pytest.raises(DataError, match="bad share"):
            load_image_folder(tmp_path, 1, 4, held_out_share=share)


def test_train_alone_is_split_too(tmp_path):
    write_shades(tmp_path / "train", {"a": 10, "b": 10})
    assert len(load_image_folder(tmp_path, 1, 4).test) == 2


def test_the_split_does_not_depend_on_the_directory_or_on_other_classes(tmp_path):
    write_shades(tmp_path / "one", {"b": 30, "c": 30})
    held_out = set(shades(load_image_folder(tmp_path / "one", 1, 4).test))
    for path in sorted((tmp_path / "one").rglob("*.png"), reverse=True):  # made in another order, beside another class
        copy = tmp_path / "two" / path.relative_to(tmp_path / "one")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    write_classes(tmp_path / "two", ("a",), count=9)
    again = load_image_folder(tmp_path / "two", 1, 4)
    assert {shade for shade, label in zip(shades(again.test), again.test.labels, strict=True) if label} == held_out


@settings(max_examples=15, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=4), share=st.floats(0.01, 0.99), seed=st.integers(0, 99)
)
def test_any_split_is_a_partition_of_every_class(tmp_path_factory, counts, share, seed):
    root = tmp_path_factory.mktemp("split")
    write_shades(root, {f"class {index}": count for index, count in enumerate(counts)})
    data = load_image_folder(root, 1, 4, held_out_share=share, split_seed=seed)
    assert sorted(shades(data.train) + shades(data.test)) == list(range(sum(counts)))
    for label, count in enumerate(counts):
        held_out = int((data.test.labels == label).sum())
        assert 1 <= held_out < count
        assert abs(held_out - share * count) <= 1
    assert Counter(data.train.labels.tolist()) + Counter(data.test.labels.tolist()) == dict(enumerate(counts))


# -- what lies about in folders --


def test_nested_hidden_and_other_files(tmp_path):
    write_parts(tmp_path)
    write_classes(tmp_path / "train" / "cat" / "2024", ("may", "june"), count=2)
    write_classes(tmp_path / "train" / ".cache", ("x",))
    (tmp_path / "train" / "cat" / "._0.png").write_bytes(b"not an image: what another system leaves behind")
    (tmp_path / "train" / "cat" / "2024" / "notes.txt").write_text("")
    (tmp_path / "train" / "dog" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "README.md").write_text("")
    data = load_image_folder(tmp_path, 3, 8)
    assert np.bincount(data.train.labels).tolist() == [7, 3]
    assert data.class_names == ("cat", "dog")
    assert len(data.notes) == 1
    assert "class: 2," in data.notes[0]
    assert "notes.txt" in data.notes[0]


def test_links_are_followed_once_and_never_round(tmp_path):
    write_parts(tmp_path / "data")
    cat = tmp_path / "data" / "train" / "cat"
    write_classes(tmp_path / "elsewhere", ("more",), count=4, seed=1)
    (cat / "linked").symlink_to(tmp_path / "elsewhere")
    (cat / "linked again").symlink_to(tmp_path / "elsewhere" / "more")
    (cat / "self").symlink_to(cat)
    (cat / "parent").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere" / "back").symlink_to(cat)
    data = load_image_folder(tmp_path / "data", 3, 8)
    assert np.bincount(data.train.labels).tolist() == [7, 3]
    (tmp_path / "elsewhere" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="cannot be read") as caught:
        load_image_folder(tmp_path / "data", 3, 8)
    assert "dangling.png" in caught.value.why


def test_links_to_themselves_are_files_that_cannot_be_read(tmp_path):
    write_parts(tmp_path)
    loop = tmp_path / "train" / "loop"
    loop.symlink_to(loop)
    data = load_image_folder(tmp_path, 3, 8)
    assert data.class_names == ("cat", "dog")
    assert "class: 1, loop" in data.notes[0]
    image = tmp_path / "train" / "cat" / "loop.png"
    image.symlink_to(image)
    with pytest.raises(DataError, match="cannot be read") as caught:
        load_image_folder(tmp_path, 3, 8)
    assert "loop.png" in caught.value.why


def test_a_second_test_part_is_left_out_and_said(tmp_path):
    write_parts(tmp_path, ("train", "val", "test"))
    write_classes(tmp_path / "test", ("of no account",))
    data = load_image_folder(tmp_path, 3, 8)
    assert len(data.test) == 6
    assert "val/ is the test set, test/ left out" in data.notes[0]


def test_classes_that_differ_in_case_only(tmp_path):
    write_shades(tmp_path, {"Cat": 3, "cat": 3})
    assert load_image_folder(tmp_path, 1, 4).class_names == ("Cat", "cat")


# -- faults --


def test_an_unreadable_image_is_named_and_the_first_of_several(tmp_path):
    write_parts(tmp_path)
    good = (tmp_path / "val" / "dog" / "1.png").read_bytes()
    (tmp_path / "val" / "dog" / "1.png").write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match="cannot be read") as caught:
        load_image_folder(tmp_path, 3, 16)
    assert str(tmp_path / "val" / "dog" / "1.png") in caught.value.why
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / "train" / "cat" / name).write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        load_image_folder(tmp_path, 3, 16)
    assert "a.jpg" in caught.value.why


def test_folders_that_do_not_fit(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match="not an image folder"):
            load_image_folder(path, 3, 16)
    write_classes(tmp_path / "no train" / "val")
    with pytest.raises(DataError, match="not an image folder") as caught:
        load_image_folder(tmp_path / "no train", 3, 16)
    assert "no train/" in caught.value.why
    write_parts(tmp_path / "one", classes=("cat",))
    write_classes(tmp_path / "one of one", ("cat",))
    for name in ("one", "one of one"):
        with pytest.raises(DataError, match="too few classes") as caught:
            load_image_folder(tmp_path / name, 3, 16)
        assert "1: cat" in caught.value.why


@pytest.mark.parametrize("part", ["train", "val"])
def test_classes_of_one_part_only(tmp_path, part):
    write_parts(tmp_path)
    write_classes(tmp_path / part, ("bird",))
    with pytest.raises(DataError, match="classes differ") as caught:
        load_image_folder(tmp_path, 3, 16)
    assert f"{part} has bird" in caught.value.why


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_without_images_is_named(tmp_path, part):
    write_parts(tmp_path)
    for path in (tmp_path / part / "dog").iterdir():
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(DataError, match="without images") as caught:
        load_image_folder(tmp_path, 3, 16)
    assert str(tmp_path / part / "dog") in caught.value.why


def test_a_class_of_one_image_cannot_be_split(tmp_path):
    write_shades(tmp_path, {"a": 4, "lonely": 1})
    with pytest.raises(DataError, match="one image") as caught:
        load_image_folder(tmp_path, 1, 4)
    assert "lonely" in caught.value.why


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    write_parts(tmp_path)
    (tmp_path / "train" / "cat").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        load_image_folder(tmp_path, 3, 16)


def test_what_does_not_fit_into_memory_is_told_before_anything_is_read(tmp_path, monkeypatch):
    write_parts(tmp_path)
    (tmp_path / "train" / "cat" / "0.png").write_bytes(b"would be an error if it were read")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=12 * 100 * 100 * 3))
    with pytest.raises(DataError, match="do not fit into memory") as caught:
        load_image_folder(tmp_path, 3, 100)  # a tenth is left free
    assert "12 images of 100 x 100 x 3" in caught.value.why
    assert "at most 94 pixels" in caught.value.hint
    with pytest.raises(DataError, match="cannot be read"):
        load_image_folder(tmp_path, 3, 94)


def test_progress_rises_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "_BLOCK", 4)
    write_parts(tmp_path, count=3)
    seen = []
    load_image_folder(tmp_path, 3, 8, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 12), (6, 12), (10, 12), (12, 12)]
