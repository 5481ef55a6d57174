import gzip

import numpy as np
import pytest

from ofa_edge.data.fashion_mnist import load_fashion_mnist
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
    assert (data.channels, data.notes) == (1, ())


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


def test_as_colour(tmp_path):
    write_idx(tmp_path)
    grey, colour = load_fashion_mnist(tmp_path), load_fashion_mnist(tmp_path, channels=3)
    assert colour.channels == 3
    assert (colour.test.pixels == grey.test.pixels).all()
