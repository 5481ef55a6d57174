import gzip

import numpy as np
import pytest
from PIL import Image

from ofa_edge.data.augment import augment
from ofa_edge.data.dataset import Images
from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.errors import DataError

RNG = np.random.default_rng(0)


def write_idx(folder, count=6):
    for stem in ("train", "t10k"):
        pixels, labels = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8), RNG.integers(0, 10, count)
        head = bytes([0, 0, 8, 3]) + np.array([count, 28, 28], ">u4").tobytes()
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
        head = bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes()
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.astype(np.uint8).tobytes()))


def test_idx_files(tmp_path):
    write_idx(tmp_path)
    data = load_fashion_mnist(tmp_path)
    assert data.train.pixels.shape == (6, 28, 28, 1)
    assert data.train.labels.max() < 10
    kept, held_out = data.split(2, seed=3)
    assert (len(kept), len(held_out)) == (4, 2)
    assert not (kept.pixels[:, None] == held_out.pixels[None]).all((2, 3, 4)).any()


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"x" + raw, lambda raw: b""])
def test_damaged_idx_files_are_named(tmp_path, damage):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load_fashion_mnist(tmp_path)
    assert path.name in caught.value.why


def test_idx_of_another_shape_and_missing_files(tmp_path):
    with pytest.raises(DataError, match="not on this machine"):
        load_fashion_mnist(tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a Fashion-MNIST folder"):
        load_fashion_mnist(tmp_path)


def folder_of_images(root, classes=("cat", "dog"), parts=("train", "val"), count=3):
    for part in parts:
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = RNG.integers(0, 256, (20, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{index}.png")


def test_image_folder(tmp_path):
    folder_of_images(tmp_path)
    data = load_image_folder(tmp_path, 3, 16)
    assert data.class_names == ("cat", "dog")
    assert data.train.pixels.shape == (6, 16, 16, 3)
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert load_image_folder(tmp_path, 1, 16).train.pixels.shape == (6, 16, 16, 1)


def test_an_unreadable_image_is_named(tmp_path):
    folder_of_images(tmp_path)
    (tmp_path / "train" / "cat" / "broken.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError) as caught:
        load_image_folder(tmp_path, 3, 16)
    assert "broken.png" in caught.value.why


def test_folders_that_do_not_fit(tmp_path):
    with pytest.raises(DataError, match="not an image folder"):
        load_image_folder(tmp_path, 3, 16)
    folder_of_images(tmp_path / "one", classes=("cat",))
    with pytest.raises(DataError, match="too few classes"):
        load_image_folder(tmp_path / "one", 3, 16)
    folder_of_images(tmp_path / "two")
    (tmp_path / "two" / "val" / "bird").mkdir()
    with pytest.raises(DataError, match="classes differ"):
        load_image_folder(tmp_path / "two", 3, 16)
    folder_of_images(tmp_path / "three")
    for path in (tmp_path / "three" / "val" / "dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="without images"):
        load_image_folder(tmp_path / "three", 3, 16)


def test_images_and_labels_must_fit_together():
    with pytest.raises(DataError):
        Images(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64))


def test_augmentation_is_repeatable_and_moves_whole_images():
    images = RNG.integers(1, 256, (40, 12, 12, 1), dtype=np.uint8)
    first, again = (augment(images, np.random.default_rng(5), flip=True, shift=2, erase=0.0) for _ in range(2))
    assert np.array_equal(first, again)
    for before, after in zip(images[..., 0], first[..., 0], strict=True):
        padded = np.pad(before, 2)
        crops = [padded[y : y + 12, x : x + 12] for y in range(5) for x in range(5)]
        assert any(np.array_equal(after, crop) or np.array_equal(after, crop[:, ::-1]) for crop in crops)
    assert not np.array_equal(first, images)


def test_no_augmentation_changes_nothing_and_erasing_changes_a_square():
    images = np.zeros((50, 12, 12, 1), np.uint8)
    assert np.array_equal(augment(images, np.random.default_rng(0), flip=False, shift=0, erase=0.0), images)
    erased = augment(images, np.random.default_rng(0), flip=False, shift=0, erase=1.0)
    changed = (erased != 0).any(3)
    assert changed.any((1, 2)).all()
    assert (changed.sum((1, 2)) <= 36).all()
