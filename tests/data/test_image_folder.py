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


# -- labels --


@pytest.mark.parametrize(
    "names", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301"), ("stra\u00dfe", "STRASSE"), ("\ufb01sh", "fish")]
)
def test_classes_that_cannot_be_told_apart_are_refused(tmp_path, names):
    write_shades(tmp_path, dict.fromkeys(names, 3))
    with pytest.raises(DataError, match="differ in case or in their Unicode form") as caught:
        load_image_folder(tmp_path, 1, 4)
    assert all((name if name.isascii() else ascii(name)[1:-1]) in caught.value.why for name in names)


def test_labels_for_folders_that_cannot_be_called_so(tmp_path):
    write_parts(tmp_path, classes=("boot", "tshirt", "zebra"))
    (tmp_path / "labels.toml").write_text('tshirt = "T-shirt/top"\n"boot" = "Ankle boot"\n')
    data = load_image_folder(tmp_path, 3, 8)
    assert data.class_names == ("Ankle boot", "T-shirt/top", "zebra")
    assert data.notes == ()
    (tmp_path / "labels.toml").unlink()
    plain = load_image_folder(tmp_path, 3, 8)
    assert plain.class_names == ("boot", "tshirt", "zebra")
    assert plain.train.digest == data.train.digest  # numbers go by the folders


def test_labels_beside_classes_that_are_not_split_are_no_stray_file(tmp_path):
    write_shades(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "labels.toml").write_text('a = "A/1"\n')
    data = load_image_folder(tmp_path, 1, 4)
    assert data.class_names == ("A/1", "b")
    assert not any("left out" in note for note in data.notes)


# -- faults --


def test_a_label_that_is_no_line_of_text_is_refused_until_it_is_given_one(tmp_path):
    write_shades(tmp_path, {"a\nb": 4, "c": 4})
    with pytest.raises(DataError, match="not text") as caught:
        load_image_folder(tmp_path, 1, 4)
    assert "labels.toml" in caught.value.hint
    (tmp_path / "labels.toml").write_text('"a\\nb" = "a, b"\n')
    assert load_image_folder(tmp_path, 1, 4).class_names == ("a, b", "c")


@pytest.mark.parametrize("channels", [3, None])
def test_all_bad_files_are_told_at_once(tmp_path, channels):
    write_parts(tmp_path, count=9)
    bad = [tmp_path / "train" / "cat" / f"{index}.png" for index in range(6)] + [tmp_path / "val" / "dog" / "8.png"]
    for path in bad:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="7 images that cannot be read") as caught:
        load_image_folder(tmp_path, channels, 8)
    assert all(f"{path}: the file is empty" in caught.value.why for path in bad[:5])
    assert "and 2 more" in caught.value.why


def test_wide_grey_images_among_others_are_refused(tmp_path):
    write_parts(tmp_path)
    path = tmp_path / "train" / "cat" / "deep.png"
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path)
    with pytest.raises(DataError, match="mixed") as caught:
        load_image_folder(tmp_path, 3, 8)
    assert f"1 of 16-bit grey (the first: {path})" in caught.value.why
    assert "12 of 8 bits" in caught.value.why


@pytest.mark.parametrize(("change", "word"), [("gone", "vanished"), ("new", "appeared"), ("grown", "changed")])
@pytest.mark.parametrize("layout", ["", "train"])
def test_a_folder_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, change, word, layout):
    from ofa_edge.data import picture

    write_parts(tmp_path, ("train", "val")) if layout else write_classes(tmp_path, count=9)
    cat = tmp_path / layout / "cat"
    victim = cat / ("later.png" if change == "new" else "2.png")
    read, done = picture.read_picture, []

    def meanwhile(path, *options):
        if not done:
            done.append(path)
            if change == "gone":
                victim.unlink()
            else:
                victim.write_bytes(b"half of a pict" if change == "grown" else (cat / "0.png").read_bytes())
        return read(path, *options)

    monkeypatch.setattr(picture, "read_picture", meanwhile)
    with pytest.raises(DataError, match="changed while it was read") as caught:
        load_image_folder(tmp_path, 3, 8)
    assert caught.value.why == f"{victim} {word}"


def test_an_unreadable_image_is_named(tmp_path):
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
    with pytest.raises(DataError, match="a class without images") as caught:
        load_image_folder(tmp_path, 3, 16)
    assert caught.value.why == str(tmp_path / part / "dog")
    for path in (tmp_path / part / "cat").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="2 classes without images") as caught:
        load_image_folder(tmp_path, 3, 16)
    assert caught.value.why == f"{tmp_path / part / 'cat'}, {tmp_path / part / 'dog'}"


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
