"""A classifier in a file as a teacher: read, held against the data, learnt from, and refused before any training."""

import json
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import helper
from own_networks import NAMES, STATISTICS, save_classifier, save_folder
from tiny_package import dataset, shared_package

import ofa_edge as oe
from ofa_edge.api.models import as_onnx
from ofa_edge.cli import cli
from ofa_edge.data.open import open_dataset
from ofa_edge.errors import ConfigError, DataError, OutputError
from ofa_edge.files import sha256_file
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import extract_calibrated
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.package_data import TrainingData
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.workflows.finetune import finetune, finetune_recipe, tuning_teacher
from ofa_edge.workflows.new_head import new_head_data, tune_new_head
from ofa_edge.workflows.teacher import given_teacher, read_teacher

LISTED = "\n".join(NAMES)
CHANGES = {
    "scale": 0.2,
    "min_steps": 24,
    "augment": {"flip": False},
    "measure": {"pairs": 24, "rank_subnets": 2, "images": 40},
}


class KilledError(Exception):
    pass


def killed_at(stop):
    def kill(progress):
        if progress.step == stop:
            raise KilledError

    return kill


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("photos") / "lights", dict.fromkeys(NAMES, 20), size=(16, 16))


@pytest.fixture(scope="module")
def data(photos):
    return open_dataset("image-folder", photos, size=16, channels=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "lights.onnx"
    return save_classifier(path, labels=LISTED, mean="127.5", std="127.5")


def read(path, data, **options):
    options = {"mean": STATISTICS["mean"], "std": STATISTICS["std"], **options}
    return read_teacher(given_teacher(path, **options), data.train, data.test, data.class_names)


def test_classes_are_matched_by_name_in_any_order(teacher, data):
    assert data.class_names == tuple(sorted(NAMES)) != NAMES
    found = read_teacher(given_teacher(teacher), data.train, data.test, data.class_names)
    assert found.recipe.outputs == tuple(NAMES.index(name) for name in data.class_names)
    answers = found.ask(data.test.pixels)
    assert np.mean(answers.argmax(1) == data.test.labels) > 0.9
    assert found.facts["test"]["top1"] > 0.9
    assert found.recipe.mean == (127.5,) * 3  # by the file's metadata
    assert found.recipe.sha256 == sha256_file(teacher)
    assert np.array_equal(found.ask(data.test.pixels[5:6])[0], answers[5])  # whatever stands beside it


def test_layouts_and_sizes_are_those_of_the_file(tmp_path, data):
    path = save_classifier(tmp_path / "nhwc.onnx", shape=("N", 20, 20, 3), nhwc=True, labels=LISTED)
    found = read(path, data)
    assert found.recipe.shape[1:] == (20, 20, 3)
    assert found.facts["training"]["top1"] > 0.9
    free = save_classifier(tmp_path / "free.onnx", shape=("N", 3, "H", "W"), labels=LISTED)
    with pytest.raises(ConfigError, match="--teacher-shape"):
        read(free, data)
    assert read(free, data, shape="1x3x32x32").recipe.shape == (1, 3, 32, 32)


def test_an_order_that_nobody_named_is_not_taken_where_another_one_fits(tmp_path, data):
    path = save_classifier(tmp_path / "lights.onnx")
    with pytest.raises(DataError, match="with the outputs in another order") as caught:
        read(path, data)
    assert "--teacher-labels FILE" in caught.value.hint
    listed = tmp_path / "labels.txt"
    listed.write_text(LISTED)
    assert read(path, data, labels=listed).facts["training"]["top1"] > 0.9


def test_an_order_that_fits_is_taken_and_said(tmp_path, data):
    order = [NAMES.index(name) for name in data.class_names]
    model = onnx.load(save_classifier(tmp_path / "lights.onnx"))
    model.graph.node[-1].output[0] = "unsorted"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(order), "order"))
    model.graph.node.append(helper.make_node("Gather", ["unsorted", "order"], ["scores"], axis=1))
    onnx.save(model, tmp_path / "sorted.onnx")
    found = read(tmp_path / "sorted.onnx", data)
    assert found.recipe.outputs == (0, 1, 2, 3)
    assert any("taken for bright, dark, dim, fair, in this order" in note for note in found.notes)


def test_probabilities_become_logits(tmp_path, teacher, data):
    model = onnx.load(teacher)
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    onnx.save(model, tmp_path / "shares.onnx")
    found, logits = read(tmp_path / "shares.onnx", data), read(teacher, data)
    assert any("probabilities" in note for note in found.notes)
    ours, theirs = (torch.from_numpy(each.ask(data.test.pixels)).softmax(1) for each in (found, logits))
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("made", "options", "error", "words"),
    [
        ({"extra": True}, {}, ConfigError, "has several outputs"),
        ({"shape": ("N", 1, 24, 24), "labels": LISTED}, {}, ConfigError, "takes images of 1 channels"),
        ({"shape": ("N", 5, 24, 24), "labels": LISTED}, {}, ConfigError, "does not take one image"),
        ({"labels": LISTED.replace("dim", "dull")}, {}, ConfigError, "it does not know dim; the data do not have dull"),
        ({"labels": LISTED}, {"mean": (1e5,)}, DataError, "no more of these classes than a guess"),
        ({"labels": LISTED}, {"mean": (1.0, 2.0)}, ConfigError, "--teacher-mean 1,2"),
    ],
)
def test_what_cannot_teach_is_refused(tmp_path, data, made, options, error, words):
    with pytest.raises(error) as caught:
        read(save_classifier(tmp_path / "lights.onnx", **made), data, **options)
    assert words in str(caught.value)
    assert caught.value.hint


def test_a_teacher_of_another_number_of_classes_is_refused(tmp_path, photos):
    folder = save_folder(tmp_path / "three", dict.fromkeys(NAMES[:3], 6), size=(16, 16))
    data = open_dataset("image-folder", folder, size=16, channels=3)
    with pytest.raises(ConfigError, match="has 4 outputs, the data have 3 classes"):
        read(save_classifier(tmp_path / "lights.onnx"), data)


@pytest.fixture(scope="module")
def moved(package, photos, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moved") / "run"
    return oe.train(start=package, data=photos, teacher=teacher, out=folder, changes=CHANGES)


def test_a_moved_supernet_learns_from_it_and_says_so(moved, teacher):
    said = moved.figures["teacher"]
    assert (said["file"], said["sha256"]) == (teacher.name, sha256_file(teacher))
    assert (said["weight"], said["temperature"]) == (1.0, 4.0)
    assert said["test"]["top1"] > 0.9
    recipe = json.loads((moved.folder / "recipe.json").read_text())["recipe"]
    assert recipe["teacher"]["sha256"] == said["sha256"]


def test_a_killed_run_goes_on_to_the_same_bytes_and_with_that_teacher_only(package, photos, teacher, moved, tmp_path):
    given = {"start": package, "data": photos, "out": tmp_path / "run", "changes": CHANGES}
    for stop in (2, 9):  # within the head's phase, and behind it
        with pytest.raises(KilledError):
            oe.train(**given, teacher=teacher, on_step=killed_at(stop))
    with pytest.raises(OutputError, match="another run"):
        oe.train(**given)
    oe.train(**given, teacher=teacher)
    assert sha256_file(tmp_path / "run" / zoo.WEIGHTS) == sha256_file(moved.folder / zoo.WEIGHTS)
    other = given | {"out": tmp_path / "without"}
    assert sha256_file(oe.train(**other).folder / zoo.WEIGHTS) != sha256_file(moved.folder / zoo.WEIGHTS)


def test_a_recipe_with_a_teacher_wants_its_file(package, photos, tmp_path):
    with pytest.raises(ConfigError, match="without its file"):
        oe.train(start=package, data=photos, out=tmp_path, changes={**CHANGES, "teacher": {"weight": 2.0}})
    with pytest.raises(ConfigError, match="--teacher-mean without --teacher"):
        oe.train(start=package, data=photos, out=tmp_path, teacher_mean=(1.0,))


def test_a_new_head_learns_from_it(package, photos, teacher, tmp_path):
    images, source = new_head_data(package, photos)
    taught_by = tuning_teacher(given_teacher(teacher), source, images.class_names, 0.5)
    recipe = finetune_recipe(source, epochs=3.0, teacher=taught_by.recipe)
    work = partial(tune_new_head, package, package.space.smallest(), source, images.class_names, recipe)
    with pytest.raises(KilledError):
        work(tmp_path / "run", teacher=taught_by, on_step=killed_at(3))
    figures = work(tmp_path / "run", teacher=taught_by)
    assert figures["teacher"]["weight"] == 0.5
    assert figures["recipe"]["teacher"]["sha256"] == sha256_file(teacher)
    assert figures["top1_after"] > 0.5
    work(tmp_path / "whole", teacher=taught_by)
    assert sha256_file(tmp_path / "run" / zoo.NETWORK) == sha256_file(tmp_path / "whole" / zoo.NETWORK)


def test_a_subnet_learns_from_it_in_place_of_the_largest_net(package, tmp_path):
    kept, held_out = dataset().split(60, 0)
    source = TrainingData(kept, held_out, dataset().test, AugmentRecipe(flip=False), 32)
    net = extract_calibrated(package.load(), package.space.largest(), kept, package.preprocessing(16))
    path = as_onnx(net, (1, 1, 16, 16), tmp_path)
    asked = given_teacher(path, mean=package.mean, std=package.std)  # its outputs are in the order of the labels
    teacher = tuning_teacher(asked, source, package.labels, None)
    recipe = finetune_recipe(source, epochs=1.0, lr=0.01, teacher=teacher.recipe)
    run = partial(finetune, package, package.space.smallest(), source, recipe, tmp_path / "run", allow_drop=True)
    with pytest.raises(ConfigError, match="without its file"):
        run()
    figures = run(teacher=teacher)
    assert figures["teacher"]["training"]["top1"] > 0.9
    assert figures["recipe"]["teacher"]["outputs"] == [0, 1, 2]
    assert (tmp_path / "run" / zoo.NETWORK).is_file()
    with pytest.raises(ConfigError, match="--distill 0"):
        tuning_teacher(asked, source, package.labels, 0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["finetune", "--subnet", "largest", "--teacher-std", "1"], "--teacher-std without --teacher"),
        (["train", "--from", "fashion-mnist", "--teacher-labels", "x"], "--teacher-labels without --teacher"),
    ],
)
def test_options_of_a_teacher_want_one(arguments, words):
    result = CliRunner().invoke(cli, arguments)
    assert words in str(result.exception or result.output)


def test_a_dry_run_says_what_it_knows_of_the_teacher(package, photos, teacher, tmp_path):
    arguments = ["--from", str(package.folder), "--data", str(photos), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, ["train", *arguments, "--teacher", str(teacher), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "teacher lights.onnx: top-1" in result.output
