"""Fine-tuning around its engine: the data, the subnet, the package at the end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_package import LABELS, copied_package, dataset, images, shared_package

from ofa_edge.data.dataset import Images
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.errors import DataError, GateError, OutputError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import measure_top1
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_static, save_supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.claim import training_code
from ofa_edge.training.package_data import TrainingData, training_data
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe
from ofa_edge.workflows.finetune import FACTS, finetune

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


# -- a network that became worse --


@pytest.fixture(scope="module")
def wrong(data):
    """Training images that are all labelled wrongly: what is learnt from them is worse than nothing."""
    train = Images(data.train.pixels, (data.train.labels + 1) % len(LABELS))
    return replace(data, train=train)


BRIEF = SingleRecipe(epochs=3, lr=1.6, batch=32, distill=0.0, augment=AugmentRecipe(shift=1))


@pytest.fixture(scope="module")
def worse(package, wrong, tmp_path_factory):
    """The folder of such a run, and its error."""
    folder = tmp_path_factory.mktemp("worse") / "run"
    with pytest.raises(GateError) as caught:
        finetune(package, package.space.largest(16), wrong, BRIEF, folder)
    return folder, caught.value


def test_a_drop_beyond_chance_is_an_error_and_no_package(worse):
    folder, error = worse
    assert error.exit_code == 1
    assert error.what == "fine-tuning made the subnet worse"
    figures = json.loads((folder / FACTS).read_bytes())
    drop = figures["drop"]
    assert drop["low95"] > 0
    assert drop["drop"] == pytest.approx(figures["top1_before"] - figures["top1_after"], abs=1e-4)
    assert (drop["lost"] - drop["won"]) / drop["images"] == pytest.approx(drop["drop"], abs=1e-6)
    assert drop["images"] == figures["test_images"] == 50
    assert f"of 50 test images {drop['won']} won, {drop['lost']} lost" in error.why
    assert "no network was written: the supernet's own subnet stays the better one" in error.why
    assert "--lr 0.4 " in error.hint
    assert "--allow-drop" in error.hint
    assert not {zoo.NETWORK, zoo.LABELS, zoo.IMAGES} & {path.name for path in folder.iterdir()}
    with pytest.raises(WeightsError):
        open_supernet(str(folder))


def test_it_is_taken_all_the_same_without_training_again(package, wrong, worse, tmp_path):
    folder = Path(shutil.copytree(worse[0], tmp_path / "run"))
    steps: list[object] = []
    figures = finetune(package, package.space.largest(16), wrong, BRIEF, folder, allow_drop=True, on_step=steps.append)
    assert steps == []
    assert figures["drop"] == json.loads((worse[0] / FACTS).read_bytes())["drop"]
    assert open_supernet(str(folder)).subnet == package.space.largest(16)
    taken = {name: (folder / name).read_bytes() for name in (zoo.NETWORK, FACTS, zoo.LABELS, zoo.IMAGES)}
    with pytest.raises(GateError) as caught:
        finetune(package, package.space.largest(16), wrong, BRIEF, folder)
    assert f"{folder / zoo.NETWORK} of an earlier call stays as it was" in caught.value.why
    assert {name: (folder / name).read_bytes() for name in taken} == taken


def test_what_chance_explains_is_no_error(package, data, tmp_path):
    still = SingleRecipe(epochs=0.1, lr=1e-9, batch=32, augment=AugmentRecipe(shift=1))
    figures = finetune(package, package.space.smallest(16), data, still, tmp_path / "run")
    assert figures["drop"]["low95"] < 0 < figures["drop"]["high95"]
    assert (tmp_path / "run" / zoo.NETWORK).is_file()


# -- whose the folder is --


def test_every_part_of_the_run_is_its_identity(poor, data, tuned):
    folder, figures = tuned
    known = figures["identity"]
    assert known["classes"] == list(LABELS)
    assert known["train"] == {"count": len(data.train), "sha256": data.train.digest}
    assert known["test"]["sha256"] == data.test.digest
    assert known["code"] == training_code()
    assert known["recipe"]["supernet_weights_sha256"] == sha256_file(poor.weights)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for part, words in (("train", "training"), ("held_out", "held-out"), ("test", "test")):
        other = replace(data, **{part: getattr(data, part).sample(30)})
        with pytest.raises(OutputError, match="another run") as caught:
            finetune(poor, poor.space.smallest(16), other, RECIPE, folder)
        assert f"the {words} images are others" in caught.value.why
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_images_beside_the_network_are_named(tuned):
    folder, _ = tuned
    facts = json.loads((folder / FACTS).read_bytes())
    assert facts["images_sha256"] == sha256_file(folder / zoo.IMAGES)
    assert facts["weights_sha256"] == sha256_file(folder / zoo.NETWORK)


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
