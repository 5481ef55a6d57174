import json

import numpy as np
import pytest
import torch

from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError, TrainingError, UnknownNameError, WeightsError
from ofa_edge.training.recipe_files import list_recipes, load_recipe, parse_recipe
from ofa_edge.training.trainer import Trainer

RECIPE = """
name = "tiny"
seed = 3
batch = 16
weight_decay = 1e-4
label_smoothing = 0.05
dropout = 0.1
zero_gamma = true
[space]
width_mult = 0.25
strides = [2, 2, 2, 2, 1, 1]
resolutions = [12, 16]
depths = [2, 3]
[data]
dataset = "fashion-mnist"
held_out = 10
mean = [72.9]
std = [90.0]
[[phases]]
name = "largest"
epochs = 2
lr = 0.1
warmup_epochs = 0.5
resolutions = [16]
[[phases]]
name = "sandwich"
epochs = 2
lr = 0.05
subnets = ["largest", "smallest", "random"]
resolutions = [12, 16]
distill = "largest"
sort_channels = true
"""


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE, "test")


@pytest.fixture(scope="module")
def images():
    """Two classes that a network can tell apart, mirrored or not: bright above, bright below."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    pixels = rng.integers(0, 60, (64, 16, 16, 1), dtype=np.uint8)
    for index, label in enumerate(labels):
        pixels[index, 8 * label : 8 * label + 8] += 150
    return Images(pixels, labels)


def make(recipe, images, folder):
    return Trainer(recipe, recipe.make_space(2), images, folder)


def state(trainer):
    return {key: value.clone() for key, value in trainer.net.state_dict().items()}


def test_a_run_that_was_killed_ends_with_the_same_weights(recipe, images, tmp_path):
    whole = make(recipe, images, tmp_path / "whole")
    whole.run()
    assert whole.step == whole.total_steps == 16
    for stop in (3, 11):  # in the first phase, and after channels were sorted
        first = make(recipe, images, tmp_path / f"cut{stop}")
        first.run(stop_at=stop)
        second = make(recipe, images, tmp_path / f"cut{stop}")
        assert second.resume()
        assert second.step == stop
        second.run()
        wanted, got = state(whole), state(second)
        assert all(torch.equal(wanted[key], got[key]) for key in wanted)


def test_an_interrupted_step_leaves_a_checkpoint(recipe, images, tmp_path):
    trainer = make(recipe, images, tmp_path)

    def interrupt(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(interrupt)
    again = make(recipe, images, tmp_path)
    assert again.resume()
    assert again.step == 5


def test_loss_falls_and_progress_is_logged(recipe, images, tmp_path):
    seen = []
    trainer = make(recipe, images, tmp_path)
    trainer.run(seen.append)
    assert seen[-1].loss < seen[0].loss - 0.1
    assert [len(progress.subnet_losses) for progress in seen] == [1] * 8 + [3] * 8
    assert [progress.phase for progress in seen[7:9]] == ["largest", "sandwich"]
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 16
    assert last["loss"] == pytest.approx(seen[-1].loss, abs=1e-4)


def test_a_checkpoint_of_another_recipe_or_a_damaged_one_is_refused(recipe, images, tmp_path):
    make(recipe, images, tmp_path).run(stop_at=1)
    other = parse_recipe(RECIPE.replace("seed = 3", "seed = 4"), "test")
    with pytest.raises(WeightsError, match="another recipe"):
        make(other, images, tmp_path).resume()
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged checkpoint"):
        make(recipe, images, tmp_path).resume()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("batch = 16", "batch = 0", "recipe.toml: batch = 0: "),
        ("batch = 16", "batches = 16", "unknown key 'batches'; nearest known key: 'batch'"),
        ("lr = 0.1", 'lr = "high"', 'phases.0.lr = "high": '),
        ("resolutions = [16]", "resolutions = [15]", "phase 'largest': resolutions"),
        ('subnets = ["largest", ', "subnets = [", "phases.1: "),
        ("seed = 3", "seed =", "TOML"),
    ],
)
def test_bad_recipes_name_the_key(old, new, named):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(RECIPE.replace(old, new, 1), "recipe.toml")
    assert named in str(caught.value)
    assert "recipe.toml" in caught.value.why


def test_recipes_by_name():
    assert {"ofa", "ofa-edge", "no-shrinking", "transfer", "transfer-quick"} == set(list_recipes())
    assert load_recipe("ofa-edge", "fashion-mnist").make_space(10).widths[0] == 8
    with pytest.raises(UnknownNameError, match="ofa-egde"):
        load_recipe("ofa-egde")
    with pytest.raises(ConfigError, match="no such recipe"):
        load_recipe("nowhere.toml")


def test_a_checkpoint_of_other_data_is_refused(recipe, images, tmp_path):
    make(recipe, images, tmp_path).run(stop_at=1)
    others = Images(images.pixels[::-1].copy(), images.labels[::-1].copy())
    with pytest.raises(WeightsError, match="other data"):
        make(recipe, others, tmp_path).resume()


def test_a_run_that_diverges_stops_with_the_weights_before(recipe, images, tmp_path):
    wild = parse_recipe(RECIPE.replace("lr = 0.1", "lr = 1e18"), "test")
    trainer = make(wild, images, tmp_path)
    with pytest.raises(TrainingError, match="no longer a finite number") as caught:
        trainer.run()
    assert "phase 'largest'" in caught.value.why
    again = make(wild, images, tmp_path)
    assert again.resume()
    assert all(value.isfinite().all() for key, value in again.net.state_dict().items() if "running" in key)


def test_mixed_precision_learns_too(recipe, images, tmp_path):
    """bfloat16 works on CPUs as on GPUs: the weights stay in single precision, the loss falls."""
    seen = []
    mixed = recipe.model_copy(update={"amp": True})
    trainer = make(mixed, images, tmp_path)
    trainer.run(seen.append)
    assert seen[-1].loss < seen[0].loss - 0.1
    plain = []
    make(recipe, images, tmp_path / "plain").run(plain.append)
    assert seen[0].loss != plain[0].loss
    assert seen[0].loss == pytest.approx(plain[0].loss, rel=0.05)
    assert {value.dtype for value in trainer.net.parameters()} == {torch.float32}
