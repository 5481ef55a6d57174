"""Supernet packages: the one that ships, folders of training runs, untrained ones, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError, DataError, SpaceMismatchError, UnknownNameError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.header import pack, read_weights_file, unpack
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import save_supernet
from ofa_edge.supernet.zoo import SupernetPackage, load_images, open_supernet, save_images, zoo_folder

SPACE = Space("tiny", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (12, 16), depths=(1, 2))
FACTS = {"labels": '["a", "b", "c"]', "mean": "[10.0]", "std": "[90.0]", "dataset": "bands"}
PUBLISHED = "ofa_mbv3_d234_e346_k357_w1.0"


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Supernet(SPACE).eval()


@pytest.fixture
def folder(net, tmp_path):
    save_supernet(tmp_path / zoo.WEIGHTS, net, FACTS)
    return tmp_path


def images(count=5, seed=0):
    rng = np.random.default_rng(seed)
    return Images(rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8), rng.integers(0, 3, count))


def test_a_folder_of_a_training_run(net, folder):
    package = open_supernet(str(folder))
    assert (package.space, package.folder, package.labels) == (SPACE, folder, ("a", "b", "c"))
    assert (package.mean, package.std, package.dataset, package.trained) == ((10.0,), (90.0,), "bands", True)
    assert package.preprocessing(12).size == 12
    assert package.file(zoo.WEIGHTS) == folder / zoo.WEIGHTS
    assert package.file(zoo.PREDICTOR) is None
    loaded = package.load().state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in net.state_dict().items())


def test_an_untrained_supernet_is_always_the_same_one():
    package = SupernetPackage("tiny", SPACE, None, ("a", "b", "c"), (0.0,), (1.0,), None)
    assert not package.trained
    assert package.file(zoo.WEIGHTS) is None
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = package.load()
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers are moved
    torch.manual_seed(2)
    second = package.load().state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.state_dict().items())
    assert not first.training
    with pytest.raises(DataError, match="no images"):
        package.images("test")


@pytest.mark.parametrize("name", zoo.UNTRAINED)
def test_published_names(name):
    package = open_supernet(name, untrained=True)
    assert package.space.num_classes == len(package.labels) == 1000
    assert package.space.in_channels == len(package.mean) == len(package.std) == 3
    assert (package.trained, package.dataset) == (False, None)
    with pytest.raises(WeightsError, match="no weights") as caught:
        open_supernet(name)
    assert "--untrained" in caught.value.hint


def test_names_that_nothing_goes_by():
    with pytest.raises(UnknownNameError) as caught:
        open_supernet("fashion-minst")
    assert "fashion-mnist" in caught.value.why
    with pytest.raises(UnknownNameError) as caught:
        open_supernet("fashion-mnist", untrained=True)
    assert PUBLISHED in caught.value.why + caught.value.hint


# -- damaged and foreign packages --


def change_header(folder, **changes):
    path = folder / zoo.WEIGHTS
    facts = {**read_weights_file(path).facts, **changes}
    save_file(load_file(path), path, pack({key: value for key, value in facts.items() if value is not None}))


def test_the_header_can_be_changed_by_these_tests(folder):
    change_header(folder, labels='["x", "y", "z"]')
    assert open_supernet(str(folder)).labels == ("x", "y", "z")
    assert unpack(pack({"a": "b"})) == {"a": "b"}


@pytest.mark.parametrize("key", FACTS)
def test_a_header_without_a_fact(folder, key):
    change_header(folder, **{key: None})
    with pytest.raises(WeightsError, match="incomplete") as caught:
        open_supernet(str(folder))
    assert key in caught.value.why


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"labels": '["a", "b"]'}, ConfigError),
        ({"mean": "[1.0, 2.0]"}, ConfigError),
        ({"std": '["wide"]'}, WeightsError),
        ({"labels": "5"}, WeightsError),
        ({"format": "another"}, WeightsError),
        ({"space": "{}"}, WeightsError),
        ({"space_hash": "a" * 64}, SpaceMismatchError),
    ],
)
def test_a_header_that_does_not_fit(folder, changes, error):
    change_header(folder, **changes)
    with pytest.raises(error) as caught:
        open_supernet(str(folder))
    assert zoo.WEIGHTS in caught.value.why
    assert caught.value.hint


def test_weights_cut_short_damaged_and_missing(folder):
    path = folder / zoo.WEIGHTS
    raw = path.read_bytes()
    for damaged in (raw[:100], raw[:-1], b"", b"\x00" * 100):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError):
            open_supernet(str(folder))
    path.unlink()
    with pytest.raises(WeightsError, match="no weights"):
        open_supernet(str(folder))


# -- images --


def test_images_come_back(folder):
    splits = {split: images(seed=index) for index, split in enumerate(zoo.SPLITS)}
    save_images(folder / zoo.IMAGES, splits)
    package = open_supernet(str(folder))
    for split, wanted in splits.items():
        found = package.images(split)
        assert np.array_equal(found.pixels, wanted.pixels)
        assert np.array_equal(found.labels, wanted.labels)
        assert found.labels.dtype == np.int64
    with pytest.raises(DataError, match="no training images"):
        package.images("training")


def test_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_images(tmp_path / name, {"test": images()})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_pickle_among_the_images_is_never_loaded(tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "i.npz", test_pixels=objects, test_labels=objects)
    with pytest.raises(DataError, match="no test images") as caught:
        load_images(tmp_path / "i.npz", "test")
    assert "holds objects" in caught.value.why


# -- what ships --


@pytest.mark.skipif(not (zoo_folder() / zoo.DEFAULT / "figures.json").is_file(), reason="no trained default here yet")
def test_the_embedded_default_is_whole(tmp_path):
    package = open_supernet(zoo.DEFAULT)
    assert len(package.labels) == package.space.num_classes == 10
    assert (zoo_folder() / zoo.DEFAULT / zoo.LABELS).read_text().splitlines() == list(package.labels)
    assert [len(package.images(split)) for split in zoo.SPLITS] == [500, 4000, 2000]
    weights = package.file(zoo.WEIGHTS)
    assert weights.stat().st_size < 4_000_000
    figures = json.loads(package.file("figures.json").read_bytes())
    assert figures["weights_sha256"] == sha256_file(weights)
    assert figures["space_hash"] == package.space.hash
    assert figures["recipe_digest"] == read_weights_file(weights).facts["recipe_digest"]
    predictor = AccuracyPredictor.load(package.file(zoo.PREDICTOR), package.space)
    assert predictor.summary() == figures["predictor"]
    shutil.copytree(package.folder, tmp_path / "mine")  # a copy is a package like any other
    assert open_supernet(str(tmp_path / "mine")).space == package.space
