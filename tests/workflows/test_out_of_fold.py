"""Few images: each is answered out of fold, which chooses how long is trained. Early stopping where they are enough."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_package import dataset, images, recipe, shared_package

from ofa_edge.data.dataset import Images
from ofa_edge.data.sampling import stratified_folds
from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_file
from ofa_edge.schema import changed
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.data import resolve
from ofa_edge.training.package_data import TrainingData
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.workflows.finetune import finetune, finetune_recipe
from ofa_edge.workflows.new_head import new_head_recipe, tune_new_head
from ofa_edge.workflows.out_of_fold import cross_validate
from ofa_edge.workflows.train import train

CLASSES = ("one", "two", "three")  # by other names, so that the head is new


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


def few(count, seed=5):
    """As many training images, a few held out, and 60 for the test."""
    train, held_out = images(count, seed), images(6, seed + 1)
    return TrainingData(train, held_out, images(60, seed + 2), AugmentRecipe(flip=False), 8)


@pytest.fixture(scope="module")
def tuned(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "run"
    data = few(24)
    how = finetune_recipe(data, epochs=8.0, lr=1.0, folds=3)
    work = partial(tune_new_head, package, package.space.smallest(), data, CLASSES, how)
    return work, folder, work(folder)


def test_the_accuracy_that_is_claimed_is_out_of_fold(tuned):
    _, _, figures = tuned
    found = figures["out_of_fold"]
    assert found["images"] == 30  # all that may be trained on
    assert found["folds"] == 3
    low, high = found["top1_interval95"]
    assert low <= found["top1"] <= high
    assert low <= figures["top1_after"] <= high  # 60 images that nothing was chosen by
    assert found["balanced"] == max(found["balanced_by_share"].values())
    assert set(found["balanced_by_share"]) == {str(number / 10) for number in range(11)}
    assert found["balanced_by_ridge"][str(found["ridge"])] == max(found["balanced_by_ridge"].values())


def test_it_goes_on_where_it_was_killed_to_the_same_bytes(tuned, tmp_path):
    work, folder, figures = tuned
    for fold in ("fold 2 of 3", "network"):

        def kill(progress, fold=fold):
            if progress.phase == fold and progress.step == 3:
                raise KilledError

        if fold != "network" or figures["out_of_fold"]["share_of_steps"] > 0.2:
            with pytest.raises(KilledError):
                work(tmp_path / "run", on_step=kill)
    again = work(tmp_path / "run")
    assert again["out_of_fold"] == figures["out_of_fold"]
    assert sha256_file(tmp_path / "run" / zoo.NETWORK) == sha256_file(folder / zoo.NETWORK)


class ByHeart:
    """A procedure whose networks know the images that they were given, and others only halfway through their training.

    An image's first pixel is its number; a network is the numbers that it has seen, and a trainer stands for its own.
    """

    total_steps = 20

    def __init__(self):
        self.step, self.net = 0, None

    def headed(self, images, ridge):
        return frozenset(images.pixels[:, 0, 0, 0].tolist()), ridge

    def trainer(self, net, images, folder):
        self.step, self.net = 0, net
        return self

    def run(self, on_step, stop_at):
        self.step = stop_at

    def answers(self, net, seen, images):
        known, ridge = net
        assert known == self.headed(seen, ridge)[0]
        right = [pixel in known or self.step == 10 for pixel in images.pixels[:, 0, 0, 0].tolist()]
        return np.eye(2)[np.where(right, images.labels, 1 - images.labels)][None]


def test_what_is_known_by_heart_counts_for_nothing_out_of_fold(tmp_path):
    pixels = np.zeros((10, 2, 2, 1), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(10)
    known = Images(pixels, np.arange(10) % 2)
    found = cross_validate(ByHeart(), known, 5, 0, tmp_path, lambda progress: None)
    assert found.share == 0.5
    assert found.facts["balanced_by_ridge"] == dict.fromkeys(("0.01", "0.1", "1.0", "10.0"), 0.0)
    assert [*found.facts["balanced_by_share"].values()] == [0.0] * 5 + [1.0] + [0.0] * 5
    assert found.facts["top1"] == 1.0


@pytest.mark.parametrize(("count", "folds"), [(24, 4), (90, 0)])
def test_few_images_are_cross_validated_unless_told_otherwise(count, folds):
    data = few(count)
    assert min(data.class_counts) < 20 or count == 90
    assert new_head_recipe(data).folds == folds
    assert new_head_recipe(data, folds=0).folds == 0
    with pytest.raises(ConfigError, match="--folds 1"):
        new_head_recipe(data, folds=1)


def test_folds_have_one_size_in_every_class():
    labels = np.repeat([0, 1, 2], [7, 12, 5])
    folds = stratified_folds(labels, 4, 3)
    assert np.bincount(folds).tolist() == [6, 6, 6, 6]
    for label in range(3):
        sizes = np.bincount(folds[labels == label], minlength=4)
        assert sizes.max() - sizes.min() <= 1
    assert not np.array_equal(folds, stratified_folds(labels, 4, 4))


def test_a_subnet_stops_where_it_was_best_and_a_killed_one_too(package, tmp_path):
    kept, held_out = dataset().split(60, 0)
    data = TrainingData(kept, held_out, dataset().test, AugmentRecipe(flip=False), 32)
    how = finetune_recipe(data, epochs=12.0, patience=0.2)
    work = partial(finetune, package, package.space.smallest(), data, how, allow_drop=True)
    told = work(tmp_path / "whole")["stopping"]
    scores = {int(step): score for step, score in told["balanced"].items()}
    assert scores[told["best_after"]] == max(scores.values())
    assert told["stopped_after"] == max(scores)

    def kill(progress):
        if progress.step == 7:
            raise KilledError

    with pytest.raises(KilledError):
        work(tmp_path / "run", on_step=kill)
    work(tmp_path / "run")
    assert sha256_file(tmp_path / "run" / zoo.NETWORK) == sha256_file(tmp_path / "whole" / zoo.NETWORK)
    assert json.loads((tmp_path / "run" / "finetune.json").read_text())["stopping"] == told


def test_a_supernet_stops_where_it_was_best(tmp_path):
    figures = train(changed(recipe(), patience=0.3), dataset(), tmp_path)
    told = figures["stopping"]
    best, last = load_file(tmp_path / "best.safetensors"), load_file(tmp_path / "checkpoint.safetensors")
    weights = open_supernet(str(tmp_path)).load().state_dict()
    assert all(torch.equal(weights[key], value) for key, value in best.items())
    same = all(torch.equal(last[f"net.{key}"], value) for key, value in best.items())
    assert same == (told["best_after"] == told["stopped_after"])
    assert max(told["balanced"].values()) == told["balanced"][str(told["best_after"])]


def test_chance_is_not_let_choose():
    few_held_out = changed(recipe(held_out="30"), patience=0.3)
    found = resolve(few_held_out, dataset())
    assert found.recipe.patience is None
    assert any("no early stopping: 30 held-out images" in note for note in found.notes)
    assert resolve(changed(recipe(), patience=0.3), dataset()).recipe.patience == 0.3


def test_what_does_not_go_together_is_refused(package, tmp_path):
    data = few(24)
    with pytest.raises(ConfigError, match="cannot stop early"):  # 6 held-out images
        finetune_recipe(data, patience=0.2)
    with pytest.raises(ConfigError, match="--folds without --new-head"):
        finetune(package, package.space.smallest(), data, finetune_recipe(data, folds=3), tmp_path)
