"""A move with few images: each is answered by supernets that did not learn it, and pairs are measured that way."""

import itertools
import json

import numpy as np
import pytest
import torch
from tiny_package import images, recipe, shared_package

from ofa_edge.data.dataset import Dataset
from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_file
from ofa_edge.metrics import top1
from ofa_edge.schema import changed
from ofa_edge.supernet import zoo
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.data import resolve
from ofa_edge.training.pairs import Examined, measure_examined, measure_pairs, read_pairs
from ofa_edge.training.step import recipe_step
from ofa_edge.training.transfer import settled, transfer_recipe
from ofa_edge.workflows.move_folds import Move
from ofa_edge.workflows.train import estimate_run, train

CLASSES = ("one", "two", "three")  # by other names, so that the head is new
FEW = Dataset("bands", images(36, 5), images(40, 6), CLASSES)


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


def plan(package, **changes):
    quick = {
        "min_steps": 12,
        "scale": 0.01,
        "augment": {"flip": False},
        "measure": {"pairs": 24, "rank_subnets": 2},
        "data": {"held_out": 6},
        "folds": 2,
    }
    return transfer_recipe(package, overrides=quick | changes)


@pytest.fixture(scope="module")
def moved(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("moved") / "run"
    return folder, train(plan(package), FEW, folder, start=package)


def test_every_training_image_is_answered_out_of_fold(moved):
    folder, figures = moved
    found = figures["out_of_fold"]
    assert (found["folds"], found["images"], found["networks"]) == (2, 30, 2)
    assert found["balanced"] == max(found["balanced_by_share"].values())
    assert set(found["balanced_by_share"]) == {"0.0", "1.0"}
    assert json.loads((folder / zoo.PAIRS).read_text())["images"] == 30  # and not the 6 that are held out
    assert figures["predictor"]["images"] == 30


def test_pairs_are_what_the_folds_supernets_answer(package, moved, tmp_path):
    """Pooled by hand: the share that is right over two supernets' images."""
    one, two = package.load(), open_supernet(str(moved[0])).load()
    subnet, sizes = package.space.smallest(), recipe().preprocessing(16)
    parts = [(one, images(20, 7), images(10, 8)), (two, images(20, 9), images(30, 10))]
    right = [
        top1(subnet_logits(net, subnet, seen, asked, sizes), asked.labels) * len(asked) for net, seen, asked in parts
    ]
    found = measure_examined([Examined(*part) for part in parts], [subnet], sizes, tmp_path / "pairs.json")
    assert found[0].top1 == pytest.approx(sum(right) / 40, abs=1e-6)
    assert read_pairs(tmp_path / "pairs.json", package.space) == found
    alone = measure_pairs(one, [subnet], *parts[0][1:], sizes, tmp_path / "alone.json")
    assert alone[0].top1 == pytest.approx(right[0] / 10, abs=1e-6)


def test_it_goes_on_where_it_was_killed_to_the_same_bytes(package, moved, tmp_path):
    for phase in ("fold 1 of 2", "fold 2 of 2", "sandwich"):

        def kill(progress, phase=phase):
            if progress.phase == phase and progress.step > 4:
                raise KilledError

        if phase.startswith("fold") or moved[1]["out_of_fold"]["share_of_steps"]:
            with pytest.raises(KilledError):
                train(plan(package), FEW, tmp_path / "run", start=package, on_step=kill)
    again = train(plan(package), FEW, tmp_path / "run", start=package)
    assert again["out_of_fold"] == moved[1]["out_of_fold"]
    for name in (zoo.WEIGHTS, zoo.PREDICTOR):
        assert sha256_file(tmp_path / "run" / name) == sha256_file(moved[0] / name)


def test_a_head_of_equations_that_are_at_hand_is_the_one_made_anew(package):
    """Each fold's own: another fold's have seen the images that this one is to answer."""
    recipe = settled(plan(package), package, FEW)
    given = recipe, package, recipe.make_space(len(CLASSES)), CLASSES, "cpu", recipe_step, None
    move, (one, other) = Move(*given), (FEW.train.take(np.arange(18)), FEW.train.take(np.arange(18, 36)))
    first = move.headed(one, 0.1)
    again, others, anew = move.headed(one, 1.0), move.headed(other, 1.0), Move(*given).headed(one, 1.0)
    head, (wanted, *different) = "classifier.linear.weight", [net.state_dict() for net in (anew, first, others)]
    assert torch.equal(again.state_dict()[head], wanted[head])
    assert not any(torch.allclose(each[head], wanted[head], atol=1e-3) for each in different)


def test_the_dry_run_says_what_folds_cost(package, monkeypatch):
    monkeypatch.setattr("ofa_edge.training.timing.time.perf_counter", itertools.count().__next__)  # one a reading
    given = changed(plan(package).data, mean=package.mean, std=package.std)
    found = [resolve(changed(plan(package), folds=folds, data=given), FEW) for folds in (2, 0)]
    assert any("2 folds, each of which costs as much as the run" in note for note in found[0].notes)
    assert ["--folds 4 answers" in " ".join(each.notes) for each in found] == [False, True]
    slow, quick = (estimate_run(each.recipe, FEW) for each in found)
    assert slow.phases == pytest.approx([3 * seconds for seconds in quick.phases])


@pytest.mark.parametrize(("changes", "words"), [({"folds": 1}, "folds = 1"), ({"start": None}, "folds = 2")])
def test_folds_that_cannot_be_are_refused(package, changes, words):
    wanted = changed(plan(package), **{**changes, "data": changed(plan(package).data, mean=(72.9,), std=(90.0,))})
    with pytest.raises(ConfigError, match=words):
        resolve(wanted, FEW)


def test_enough_images_are_not_cross_validated(package):
    wanted = changed(plan(package), data=changed(plan(package).data, mean=(72.9,), std=(90.0,)))
    found = resolve(wanted, Dataset("bands", images(200, 5), images(40, 6), CLASSES))
    assert found.recipe.folds == 0
    assert any("no cross-validation" in note for note in found.notes)
    assert np.bincount(images(200, 5).labels).min() > 25
