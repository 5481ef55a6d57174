"""Fine-tuning around its engine: the data, the subnet, the package at the end."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_package import LABELS, copied_package, dataset, images, shared_package

from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.errors import ConfigError, DataError, OutputError
from ofa_edge.finetune import FACTS, finetune, read_subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_static, save_supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.package_data import TrainingData, training_data
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe

RECIPE = SingleRecipe(epochs=6, lr=1.6, batch=32, augment=AugmentRecipe(shift=1))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


@pytest.fixture(scope="module")
def poor(package, tmp_path_factory):
    """The package with weights that know nothing yet."""
    folder = copied_package(package.folder, tmp_path_factory.mktemp("poor") / "package")
    facts = {"labels": json.dumps(LABELS), "mean": "[72.9]", "std": "[90.0]", "dataset": "bands"}
    torch.manual_seed(0)
    save_supernet(folder / zoo.WEIGHTS, Supernet(package.space), facts)
    return open_supernet(str(folder))


@pytest.fixture(scope="module")
def data():
    found = dataset()
    train, held_out = found.split(60, 0)
    return TrainingData(train, held_out, found.test, AugmentRecipe(shift=1), 32)


@pytest.fixture(scope="module")
def tuned(poor, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return folder, finetune(poor, poor.space.smallest(16), data, RECIPE, folder)


def test_a_subnet_gets_better_and_says_from_where(poor, data, tuned):
    _, figures = tuned
    subnet = poor.space.smallest(16)
    start = measure_top1(poor.load(), subnet, data.train, data.test, poor.preprocessing(16))
    assert figures["top1_before"] == pytest.approx(start, abs=1e-4)
    assert figures["top1_after"] > figures["top1_before"] + 0.2
    assert figures["subnet"] == subnet.config()


def test_the_folder_is_a_package_of_one_network(package, data, tuned):
    folder, figures = tuned
    found = open_supernet(str(folder))
    assert found.subnet == package.space.smallest(16)
    assert (found.labels, found.mean, found.std) == (package.labels, package.mean, package.std)
    assert len(found.images("test")) == len(package.images("test"))
    net = load_static(folder / zoo.NETWORK)
    assert net.calibrated
    assert json.loads((folder / FACTS).read_bytes())["top1_after"] == figures["top1_after"]


def test_a_second_call_changes_nothing_and_another_recipe_is_refused(poor, data, tuned):
    package = poor
    folder, figures = tuned
    steps: list[object] = []
    before = (folder / zoo.NETWORK).read_bytes()
    assert finetune(package, package.space.smallest(16), data, RECIPE, folder, on_step=steps.append) == figures
    assert steps == []
    assert (folder / zoo.NETWORK).read_bytes() == before
    with pytest.raises(OutputError, match="another run"):
        finetune(package, package.space.smallest(16), data, RECIPE.model_copy(update={"seed": 1}), folder)
    with pytest.raises(OutputError, match="another run"):
        finetune(package, package.space.largest(16), data, RECIPE, folder)


def test_another_supernet_of_the_same_space_is_refused(package, data, tuned):
    with pytest.raises(OutputError, match="another run"):
        finetune(package, package.space.smallest(16), data, RECIPE, tuned[0])


def test_a_damaged_claim_is_told(package, data, tmp_path):
    (tmp_path / FACTS).write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        finetune(package, package.space.smallest(16), data, RECIPE, tmp_path)


def test_a_folder_of_somebody_elses_is_refused(package, data, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="is not ours"):
        finetune(package, package.space.smallest(16), data, RECIPE, tmp_path)


# -- which subnet --


def test_subnets_by_name_file_and_build(package, tmp_path):
    space = package.space
    assert read_subnet("smallest", space, 14) == space.smallest(14)
    assert read_subnet("largest", space, None) == space.largest()
    wanted = space.subnet(space.sample(np.random.default_rng(3), 1)[0])
    config = tmp_path / "subnet.json"
    config.write_text(json.dumps(wanted.config()))
    assert read_subnet(str(config), space, None) == wanted
    assert read_subnet(str(config), space, 14) == wanted.at(14)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"subnet": {"stages": wanted.stages, "resolution": wanted.resolution}}))
    assert read_subnet(str(tmp_path), space, None) == wanted


@pytest.mark.parametrize("text", ["{", "[]", '{"ks": [3]}', '{"stages": [[[3, 9]]], "resolution": 16}'])
def test_what_is_no_subnet_is_told(package, tmp_path, text):
    file = tmp_path / "subnet.json"
    file.write_text(text)
    with pytest.raises(ConfigError):
        read_subnet(str(file), package.space, None)
    with pytest.raises(ConfigError, match="not a subnet"):
        read_subnet(str(tmp_path / "nowhere.json"), package.space, None)


# -- which data --


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The tiny data set as pictures."""
    root = tmp_path_factory.mktemp("pictures")
    for part, found in (("train", images(120, 0)), ("val", images(30, 1))):
        for index, (pixels, label) in enumerate(zip(found.pixels, found.labels, strict=True)):
            place = root / part / LABELS[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).save(place / f"{index}.png")
    return root


def test_data_of_ones_own_want_the_supernets_classes(package, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "fewer")
    for part in ("train", "val"):
        shutil.rmtree(tmp_path / "fewer" / part / LABELS[0])
    with pytest.raises(DataError, match="classes are not the supernet's") as caught:
        training_data(package, None, tmp_path / "fewer")
    assert LABELS[0] in caught.value.why


def test_an_image_folder_without_a_test_part_is_split_as_in_training(package, folder, tmp_path):
    shutil.copytree(package.folder, tmp_path / "package")
    (tmp_path / "package" / "recipe.json").write_text(json.dumps({"recipe": {"data": {"split_seed": 7}}}))
    found = training_data(open_supernet(str(tmp_path / "package")), None, folder / "train")
    as_trained = load_image_folder(folder / "train", 1, 16, split_seed=7)
    assert found.test.digest == as_trained.test.digest != load_image_folder(folder / "train", 1, 16).test.digest


def test_of_data_of_ones_own_a_tenth_is_held_out(folder, package):
    found = training_data(package, None, folder)
    assert len(found.train) + len(found.held_out) == 120
    assert len(found.held_out) == 12
    assert found.batch == 32
