"""`finetune --qat`: what is trained is what the artifact computes, from the run's folder to the manifest of a build."""

import json

import numpy as np
import pytest
import torch
from builds import Workshop
from tiny_package import dataset, images

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import UnsupportedError
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_static
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.package_data import TrainingData
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.verify.parity import compare
from ofa_edge.workflows.finetune import FACTS, QAT_DEFAULTS, finetune, finetune_recipe
from ofa_edge.workflows.int8_form import calibrated_form, settled_form

RECIPE = SingleRecipe(epochs=2, lr=0.4, batch=32, qat="int8", augment=AugmentRecipe(shift=1))


@pytest.fixture(scope="module")
def opened(package):
    return open_supernet(str(package))


@pytest.fixture(scope="module")
def data():
    found = dataset()
    train, held_out = found.split(60, 0)
    return TrainingData(train, held_out, found.test, AugmentRecipe(shift=1), 32)


@pytest.fixture(scope="module")
def tuned(opened, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return folder, finetune(opened, opened.space.largest(16), data, RECIPE, folder)


def test_the_folder_is_a_package_with_ranges(opened, data, tuned):
    folder, figures = tuned
    found = open_supernet(str(folder))
    assert found.subnet == opened.space.largest(16)
    assert found.ranges is not None
    net = load_static(folder / zoo.NETWORK)
    form = settled_form(net, found.ranges)
    sizes = found.preprocessing(16)
    right = logits(form, data.test, sizes).argmax(1) == data.test.labels
    assert figures["top1_after"] == pytest.approx(right.mean(), abs=1e-4)
    exact = logits(net, data.test, sizes).argmax(1) == data.test.labels
    assert figures["top1_fp32"][1] == pytest.approx(exact.mean(), abs=1e-4)
    assert json.loads((folder / FACTS).read_bytes())["recipe"]["qat"] == "int8"


def test_weights_and_ranges_were_trained_and_statistics_were_not(opened, data, tuned):
    found = open_supernet(str(tuned[0]))
    sizes = found.preprocessing(16)
    start = extract_calibrated(opened.load(), found.subnet, data.train, sizes)
    form = calibrated_form(start, batches(data.train, sizes))
    moved = {
        key
        for key, value in load_static(tuned[0] / zoo.NETWORK).state_dict().items()
        if "running" in key and not torch.allclose(value, start.state_dict()[key])
    }
    assert moved == set()
    scales = {name: (steps.scale, found.ranges.values[name].scale) for name, steps in form.ranges.values.items()}
    assert all(one == pytest.approx(other) for name, (one, other) in scales.items() if name.endswith("/gate"))
    assert sum(one != pytest.approx(other) for one, other in scales.values()) > len(scales) / 2


def test_a_second_call_changes_nothing(opened, data, tuned):
    folder, figures = tuned
    before, steps = (folder / zoo.NETWORK).read_bytes(), []
    assert finetune(opened, opened.space.largest(16), data, RECIPE, folder, on_step=steps.append) == figures
    assert steps == []
    assert (folder / zoo.NETWORK).read_bytes() == before


@pytest.fixture(scope="module")
def built(tuned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    workshop = Workshop(tuned[0], folder / "cache")
    manifest, stages = workshop.build(folder / "out", precision="int8")
    return folder / "out", manifest, stages


def test_the_artifact_answers_as_the_network_that_was_trained(data, tuned, built):
    package = open_supernet(str(tuned[0]))
    sizes = package.preprocessing(16)
    form = settled_form(load_static(tuned[0] / zoo.NETWORK), package.ranges)
    wanted = logits(form, data.test, sizes)
    found = run_tflite(built[0] / "model.tflite", sizes.apply(data.test.pixels))
    steps = np.abs(np.rint((found - wanted) / package.ranges.values["logits"].scale))
    assert (steps <= 1).mean() > 0.8
    assert compare(wanted, found).snr_db > 30


def test_the_manifest_says_so(tuned, built):
    _, manifest, stages = built
    assert manifest.network.ranges == open_supernet(str(tuned[0])).ranges
    assert manifest.calibration is None
    assert manifest.statistics is None
    names = [rung.name for rung in manifest.ladder]
    assert names[-3:] == ["int8 as trained", "tflite int8", "tflite int8"]
    beside = manifest.ladder[-2]
    assert (beside.reference, beside.outcome) == ("int8 as trained", "pass")
    assert beside.snr_db > manifest.ladder[-1].snr_db
    assert "run-int8-form" in stages.made
    assert "was trained for int8" in (built[0] / "report.html").read_text()


def test_fp32_of_it_is_a_build_like_others(tuned, tmp_path):
    manifest, stages = Workshop(tuned[0], tmp_path / "cache").build(tmp_path / "out", precision="fp32")
    assert [rung.outcome for rung in manifest.ladder] == ["pass"] * 4
    assert "run-int8-form" not in stages.made


# -- resuming --

SPACE = Space("tiny", 0.1, 1, 3, (2, 2, 2, 1, 1, 1), (12, 16), depths=(1, 2))
PIXELS = Preprocessing(16, 1, (72.9,), (90.0,))


def test_stopped_at_every_step_and_resumed(tmp_path):
    recipe = SingleRecipe(
        epochs=2, lr=0.2, lr_batch=8, batch=8, dropout=0.3, qat="int8", augment=AugmentRecipe(shift=1), seed=4
    )

    def trainer(folder):
        torch.manual_seed(1)
        train = images(24, 0)
        net = extract_calibrated(Supernet(SPACE), SPACE.smallest(16), train, PIXELS)
        form = calibrated_form(net, batches(train, PIXELS))
        return form, SingleTrainer(form, recipe, train, PIXELS, folder)

    whole, run = trainer(tmp_path / "whole")
    start = whole.ends.clone()
    run.run()
    assert not torch.equal(whole.ends, start)
    for step in range(run.steps):
        part, other = trainer(tmp_path / "parts")
        assert other.resume() == (step > 0)
        other.run(stop_at=step + 1)
    assert whole.ranges == part.ranges
    for key, value in whole.state_dict().items():
        assert torch.equal(value, part.state_dict()[key]), key


# -- what is asked for --


def test_other_rates_and_epochs_are_the_default(data):
    recipe = finetune_recipe(data, qat="int8")
    assert {"epochs": recipe.epochs, "lr": recipe.lr} == QAT_DEFAULTS
    assert finetune_recipe(data, qat="int8", lr=0.5).lr == 0.5
    assert finetune_recipe(data).qat is None


@pytest.mark.parametrize(("asked", "why"), [("fp16", "loses next to nothing"), ("int4", "precisions are fp32")])
def test_int8_alone_is_trained_for(data, asked, why):
    with pytest.raises(UnsupportedError, match=f"for '{asked}'") as caught:
        finetune_recipe(data, qat=asked)
    assert why in caught.value.why


def test_a_layer_without_an_int8_form_is_named(opened, data):
    net = extract_calibrated(opened.load(), opened.space.smallest(16), data.train, opened.preprocessing(16))
    net.blocks[1].conv.depth_conv.act = torch.nn.GELU()
    with pytest.raises(UnsupportedError, match="of GELU") as caught:
        calibrated_form(net, ())
    assert "blocks.1/conv/depth_conv" in caught.value.why
