"""A supernet moved to other classes, and one subnet of it: learns, goes on where it was killed, and is built from."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from builds import Stages
from click.testing import CliRunner
from PIL import Image
from tiny_package import shared_package

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.cli import cli
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.image_folder import load_image_folder
from ofa_edge.errors import ConfigError, DataError, OutputError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import top1
from ofa_edge.search.load_predictor import package_predictor
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.package_data import TrainingData
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe
from ofa_edge.training.transfer import begin, fit_new_head, settled, transfer_recipe
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.finetune import finetune_recipe
from ofa_edge.workflows.new_head import new_head_data, new_head_recipe, tune_new_head
from ofa_edge.workflows.train import train

CLASSES = ("left", "none", "right", "wide")
COUNTS = {"left": 40, "none": 24, "right": 40, "wide": 31}  # uneven, and sorted by class as folders are
QUICK = {
    "scale": 0.4,
    "min_steps": 60,
    "augment": {"flip": False},
    "measure": {"pairs": 24, "rank_subnets": 2, "images": 80},
}


def save(folder, counts, seed=0, colour=True, size=(20, 26)):
    """Photos of vertical bands, which the package has never seen: it knows horizontal ones, in grey."""
    rng = np.random.default_rng(seed)
    for part in ("train", "val"):
        for name, count in counts.items():
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(count if part == "train" else 30):
                pixels = rng.integers(0, 110, (*size, 3 if colour else 1))
                _, width = size
                first = {"left": 4, "right": width - 10, "wide": 6}.get(name, width)
                pixels[:, first : first + (6 if name != "wide" else 14)] += 90
                shown = pixels.astype(np.uint8)
                Image.fromarray(shown if colour else shown[..., 0]).save(place / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save(tmp_path_factory.mktemp("photos") / "bands", COUNTS)


def plan(package, photos, **changes):
    recipe = transfer_recipe(package, overrides={**QUICK, **changes})
    return recipe, load_data(recipe, photos)


@pytest.fixture(scope="module")
def moved(package, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moved") / "run"
    recipe, data = plan(package, photos)
    return folder, train(recipe, data, folder, start=package)


def test_a_moved_supernet_knows_the_new_classes(package, moved):
    folder, figures = moved
    found = open_supernet(str(folder))
    assert found.labels == CLASSES
    assert found.space.in_channels == 3  # the photos are in colour, the old weights were for grey
    assert found.mean == package.mean * 3
    assert found.space.kernels == package.space.kernels
    start = figures["start"]
    assert start["weights"] == sha256_file(package.weights)
    assert any("1 -> 3 channels" in words for words in start["changes"])
    assert any("0 rows kept by name, 4 new" in words for words in start["changes"])
    assert min(figures["test"]["top1"].values()) > 0.6  # chance is 0.25; both ends at both sizes


def test_the_weights_are_really_where_it_begins(package, photos, moved):
    recipe, data = plan(package, photos)
    space = recipe.make_space(len(CLASSES)) if recipe.data.mean else settled(recipe, package, data).make_space(4)
    begun = begin(settled(recipe, package, data), package, space, data.class_names)
    old, new = package.load().state_dict(), begun.net.state_dict()
    same = [key for key in old if key in new and old[key].shape == new[key].shape and old[key].ndim > 1]
    assert len(same) > 20
    assert all(torch.equal(old[key], new[key]) for key in same if not key.startswith("classifier"))
    trained = open_supernet(str(moved[0])).load().state_dict()
    assert any(not torch.equal(new[key], trained[key]) for key in same)


def test_a_run_that_was_killed_ends_in_the_same_bytes(package, photos, moved, tmp_path):
    recipe, data = plan(package, photos)

    class KilledError(Exception):
        pass

    for stop in (5, 23):

        def kill(progress, stop=stop):
            if progress.step == stop:
                raise KilledError

        with pytest.raises(KilledError):
            train(recipe, data, tmp_path / "run", start=package, on_step=kill)
    train(recipe, data, tmp_path / "run", start=package)
    for name in (zoo.WEIGHTS, zoo.PREDICTOR):
        assert sha256_file(tmp_path / "run" / name) == sha256_file(moved[0] / name)


def test_a_phase_can_train_the_head_alone(package, photos, tmp_path):
    head = {"name": "head", "epochs": 4, "lr": 0.1, "subnets": ["largest", "smallest", "random"], "train": "head"}
    recipe, data = plan(package, photos, phases=[head])
    recipe = settled(recipe, package, data)
    begun = begin(recipe, package, recipe.make_space(4), data.class_names)
    before = {key: value.clone() for key, value in begun.net.state_dict().items()}

    class EnoughError(Exception):
        pass

    def stop(progress):
        assert progress.phase == "head"
        if progress.step == 4:
            raise EnoughError

    with pytest.raises(EnoughError):
        train(recipe, data, tmp_path / "run", start=package, on_step=stop)
    from safetensors.torch import load_file

    after = load_file(tmp_path / "run" / "checkpoint.safetensors")
    for key, value in before.items():
        if "running" in key or "num_batches" in key:
            continue
        assert torch.equal(value, after[f"net.{key}"]) != key.startswith("classifier"), key


def test_a_quick_moves_head_begins_in_closed_form(package, photos):
    recipe = transfer_recipe(package, "transfer-quick", {**QUICK, "min_steps": 4})
    data = load_data(recipe, photos)
    recipe = resolve(settled(recipe, package, data), data).recipe
    kept, held_out = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    begun = begin(recipe, package, recipe.make_space(4), data.class_names)
    assert "linear regression on features of 8 subnets, ridge 10" in begun.changes[-2]
    fit_new_head(begun, recipe, kept, kept)
    answers = subnet_logits(begun.net, begun.net.space.largest(), kept, held_out, recipe.preprocessing(16))
    assert top1(answers, held_out.labels) > 0.5  # before any step, of images that it was not fitted to; chance is 0.25


def test_it_is_built_for_a_device_with_every_gate(moved, photos, tmp_path):
    options = BuildOptions(
        target="raspberry-pi-4", supernet=str(moved[0]), device="none", runtime="onnxruntime", out=tmp_path / "out"
    )
    manifest = run_build(plan_build(options), StageCache(tmp_path / "cache"), ["test"], Stages())
    verdicts = {verdict.gate: verdict.outcome for verdict in manifest.verdicts}
    assert verdicts["parity"] == "pass"
    assert verdicts["accuracy"] in ("pass", "unverified")  # 120 test images
    assert verdicts["statistics"] != "fail"
    assert Build.open(tmp_path / "out").labels == CLASSES


def test_the_old_ranking_is_the_prior_of_the_new_predictor(package, moved):
    old, new = package_predictor(package), package_predictor(open_supernet(str(moved[0])))
    assert new.space.hash == open_supernet(str(moved[0])).space.hash
    assert old.weights.shape == new.weights.shape
    assert new.held_out.pairs == 24


@pytest.mark.parametrize("colour", [True, False])
def test_grey_photos_stay_grey(package, colour, tmp_path):
    folder = save(tmp_path / "photos", dict.fromkeys(CLASSES, 8), colour=colour)
    recipe, data = plan(package, folder)
    assert len(settled(recipe, package, data).data.mean) == (3 if colour else 1)


def test_the_same_classes_keep_their_rows(package, tmp_path):
    folder = save(tmp_path / "photos", dict.fromkeys(package.labels, 8))
    recipe, data = plan(package, folder)
    recipe = settled(recipe, package, data)
    begun = begin(recipe, package, recipe.make_space(3), data.class_names)
    assert "3 rows kept by name, 0 new" in begun.changes[-1]
    assert begun.net.own_head is None  # which would replace what is kept


def test_each_subnet_of_a_moved_supernet_has_its_own_head(package, photos, moved):
    """In the weights that are written, in what is said, and in what the pairs and the test were measured by."""
    net, figures = open_supernet(str(moved[0])).load(), moved[1]
    assert net.own_head == 10
    assert "each subnet's head: linear regression on its own features" in figures["start"]["changes"][-1]
    recipe, data = plan(package, photos)
    recipe = resolve(settled(recipe, package, data), data).recipe
    train_images, _ = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    asked, sizes = data.test.sample(recipe.measure.images), recipe.preprocessing(16)
    told = top1(subnet_logits(net, net.space.largest(), train_images, asked, sizes), asked.labels)
    assert figures["test"]["top1"]["largest 16"] == round(told, 4)


@pytest.mark.parametrize(
    ("counts", "heads"),
    [
        ({"left": 30, "none": 12, "right": 30, "wide": 9}, "own"),  # all of them are calibration images
        ({"left": 150, "none": 150, "right": 150, "wide": 150}, "own"),  # 112 to 125 of each are
        ({"left": 400, "none": 400, "right": 90, "wide": 400}, "shared"),  # 35 of the third are
    ],
)
def test_heads_are_of_subnets_own_where_calibration_images_tell_enough(package, counts, heads):
    names = tuple(counts)
    labels = np.repeat(np.arange(4), list(counts.values()))
    images = Images(np.random.default_rng(0).integers(0, 255, (len(labels), 16, 16, 1), dtype=np.uint8), labels)
    data = Dataset("bands", images, images.take(np.arange(0, len(labels), 7)), names)
    recipe = transfer_recipe(package, overrides=QUICK)
    found = resolve(settled(recipe, package, data), data)
    assert found.recipe.start.heads == heads
    assert any("one head for all subnets: of the smallest class 35 of 81" in note for note in found.notes) == (
        heads == "shared"
    )
    assert resolve(found.recipe, data).recipe == found.recipe


def test_own_heads_want_a_ridge(package):
    with pytest.raises(ConfigError, match='heads = "own" without a ridge'):
        transfer_recipe(package, "transfer-quick", {"start": {"ridge": None}})


def test_what_cannot_be_is_told_before_minutes_are_spent(package, photos, tmp_path):
    recipe, data = plan(package, photos)
    with pytest.raises(ConfigError, match="a start without its supernet"):
        train(recipe, data, tmp_path / "a")
    other = transfer_recipe(package, overrides={**QUICK, "space": {"width_mult": 0.5}})
    with pytest.raises(ConfigError, match="space is not that of"):
        train(other, data, tmp_path / "b", start=package)
    stale = transfer_recipe(package, overrides={**QUICK, "start": {"weights": "0" * 64}})
    with pytest.raises(WeightsError, match="not those that this run began with"):
        train(stale, data, tmp_path / "c", start=package)
    with pytest.raises(WeightsError, match="no weights"):
        transfer_recipe(open_supernet("ofa_resnet50", untrained=True))
    with pytest.raises(ConfigError, match="resolutions"):
        train(transfer_recipe(package, overrides=QUICK, resolutions=(16, 14)), data, tmp_path / "d", start=package)
    shutil.rmtree(photos.parent / "one", ignore_errors=True)
    with pytest.raises(DataError, match="too few classes"):
        plan(package, save(photos.parent / "one", {"left": 8}))


def test_another_start_is_another_run(package, photos, tmp_path):
    recipe, data = plan(package, photos)

    class EnoughError(Exception):
        pass

    def stop(progress):
        raise EnoughError

    with pytest.raises(EnoughError):
        train(recipe, data, tmp_path / "run", start=package, on_step=stop)
    kept = transfer_recipe(package, overrides=QUICK, keep_classes=True)
    with pytest.raises(OutputError):
        train(kept, data, tmp_path / "run", start=package)


@pytest.fixture(scope="module")
def headed(package, photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("headed") / "run"
    images, data = new_head_data(package, photos)
    data = replace(data, augment=AugmentRecipe(flip=False))
    recipe = finetune_recipe(data, epochs=12.0)
    figures = tune_new_head(package, package.space.largest(), data, images.class_names, recipe, folder)
    return folder, figures, data, recipe


def test_one_subnet_gets_another_head(package, headed):
    folder, figures, *_ = headed
    found = open_supernet(str(folder))
    assert found.labels == CLASSES
    assert found.subnet == package.space.largest()
    assert figures["top1_after"] > 0.6
    assert figures["balanced_after"] > 0.6
    assert json.loads((folder / "finetune.json").read_text())["new_head"]["classes"] == list(CLASSES)
    assert len(found.images("test")) == 120


def test_one_subnet_is_built(headed, tmp_path):
    options = BuildOptions(
        target="raspberry-pi-4", supernet=str(headed[0]), device="none", runtime="onnxruntime", out=tmp_path / "out"
    )
    manifest = run_build(plan_build(options), StageCache(tmp_path / "cache"), ["test"], Stages())
    assert manifest.ladder[0].top1 == pytest.approx(headed[1]["top1_after"], abs=1e-4)
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"


def test_a_killed_new_head_goes_on_to_the_same_bytes(package, headed, tmp_path):
    folder, _, data, recipe = headed

    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == 3:
            raise KilledError

    arguments = package, package.space.largest(), data, CLASSES, recipe, tmp_path / "run"
    with pytest.raises(KilledError):
        tune_new_head(*arguments, on_step=kill)
    tune_new_head(*arguments)
    assert sha256_file(tmp_path / "run" / zoo.NETWORK) == sha256_file(folder / zoo.NETWORK)


def test_few_images_get_enough_steps(package, tmp_path):
    _, data = new_head_data(package, save(tmp_path / "few", dict.fromkeys(CLASSES, 6)))
    recipe = new_head_recipe(data)
    assert recipe.epochs * max(1, len(data.train) // recipe.batch) >= 400
    assert recipe.distill == 0


def test_forty_images_of_each_class_have_a_rate_of_their_own():
    images = Images(np.zeros((80, 8, 8, 1), np.uint8), np.arange(80) % 2)
    data, usual = TrainingData(images, images, images, AugmentRecipe(), 64), SingleRecipe().lr
    assert new_head_recipe(data).lr > usual
    assert new_head_recipe(data, lr=usual).lr == usual
    fewer = replace(data, train=images.take(np.arange(79)))
    assert new_head_recipe(fewer).lr == usual


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["finetune", "--subnet", "largest", "--new-head"], "--new-head wants --data"),
        (["finetune", "--subnet", "largest", "--keep-classes", "--data", "x"], "--keep-classes is of --new-head"),
        (["finetune", "--subnet", "largest", "--new-head", "--data", "x", "--qat", "int8"], "with --qat"),
        (["train", "--keep-classes", "--recipe", "ofa"], "are of --from"),
        (["train", "--from", "fashion-mnist", "--preset", "smoke"], "--preset brings a space"),
        (["train", "--from", "fashion-mnist", "--resolutions", "big"], "give sizes in pixels"),
        (["train"], "or --from SUPERNET"),
    ],
)
def test_options_that_do_not_go_together(arguments, words):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_a_dry_run_says_what_is_done_to_the_weights(package, photos, tmp_path):
    arguments = ["train", "--from", str(package.folder), "--data", str(photos), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, [*arguments, "--dry-run"])
    assert result.exit_code == 0, result.output
    for words in ("1 -> 3 channels", "4 new", "each subnet's head", "sandwich: "):
        assert words in result.output
    assert load_image_folder(photos, None, 16).class_names == CLASSES
