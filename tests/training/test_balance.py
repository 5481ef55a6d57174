"""Classes of unlike size: what an epoch shows, and what a label weighs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_package import images
from tiny_runs import sandwich, trainer
from torch.nn import functional as F

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.training.balance import balanced_order, class_weights, label_loss
from ofa_edge.training.batches import Batches
from ofa_edge.training.distributed import World
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe, SingleTrainer

PIXELS = Preprocessing(16, 1, (72.9,), (90.0,))
counts_of = st.lists(st.integers(1, 90), min_size=1, max_size=12)


def sorted_labels(counts):
    return np.repeat(np.arange(len(counts)), counts)


def imbalanced(counts=(30, 1, 9)):
    """Images of tiny_package, class by class."""
    found = images(400, 0)
    return found.take(np.concatenate([np.flatnonzero(found.labels == c)[:n] for c, n in enumerate(counts)]))


@settings(max_examples=60, deadline=None)
@given(counts_of, st.integers(0, 9))
def test_an_epoch_keeps_its_length_and_shows_classes_alike(counts, seed):
    labels = sorted_labels(counts)
    order = balanced_order(labels, np.random.default_rng(seed))
    assert len(order) == len(labels)
    shown = np.bincount(labels[order], minlength=len(counts))
    assert shown.max() - shown.min() <= 1
    times = np.bincount(order, minlength=len(labels))
    for label in range(len(counts)):
        own = times[labels == label]
        assert own.max() - own.min() <= 1  # no image comes again before all others of its class have come


def batches(data, seed=3, balance="sampler", world=None, batch=8):
    return Batches(data, [16], PIXELS, AugmentRecipe(), batch, seed, world or World(), balance)


def labels_of(source, epoch):
    steps = range(epoch * source.per_epoch, (epoch + 1) * source.per_epoch)
    return [source.get(step, 16, source.generator(step))[1].tolist() for step in steps]


def test_the_sampler_depends_on_seed_and_epoch_alone():
    data = imbalanced()
    one, other = batches(data), batches(data)
    later = labels_of(other, 5)  # asked for out of order, as a resumed run does
    assert labels_of(one, 0) == labels_of(other, 0)
    assert labels_of(one, 5) == later
    assert labels_of(one, 0) != labels_of(one, 5)
    assert labels_of(one, 0) != labels_of(batches(data, seed=4), 0)
    shown = np.bincount(np.concatenate(labels_of(one, 0)))
    assert shown.min() >= 12
    plain = np.bincount(np.concatenate(labels_of(batches(data, balance="none"), 0)), minlength=3)
    assert plain[1] <= 1


def test_processes_share_the_samplers_batches():
    data = imbalanced()
    whole = labels_of(batches(data, batch=8), 0)
    halves = [labels_of(batches(data, batch=4, world=World(rank, 2)), 0) for rank in range(2)]
    assert whole == [first + second for first, second in zip(*halves, strict=True)]


@settings(max_examples=40, deadline=None)
@given(counts_of)
def test_weights_are_inverse_to_the_counts_with_mean_one(counts):
    labels = sorted_labels(counts)
    weights = class_weights(labels, len(counts) + 1).numpy()
    assert weights[-1] == 0  # a class that no image shows
    assert weights[labels].mean() == pytest.approx(1, rel=1e-5)
    products = weights[:-1] * np.array(counts)
    assert products == pytest.approx(np.full(len(counts), products[0]), rel=1e-5)


def test_the_loss_of_parts_adds_up():
    """Unlike torch's weighted mean, whose divisor would differ from process to process."""
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 3), torch.tensor([0] * 9 + [1, 2, 2])
    weights = class_weights(labels.numpy(), 3)
    whole = label_loss(logits, labels, 0.1, weights)
    parts = [label_loss(logits[half], labels[half], 0.1, weights) for half in (slice(0, 6), slice(6, 12))]
    assert whole.item() == pytest.approx((parts[0] + parts[1]).item() / 2, rel=1e-6)
    by_class = [F.cross_entropy(logits[labels == c], labels[labels == c], label_smoothing=0.1) for c in range(3)]
    assert whole.item() == pytest.approx(sum(by_class).item() / 3, rel=1e-5)  # all classes weigh alike
    assert torch.equal(label_loss(logits, labels, 0.1), F.cross_entropy(logits, labels, label_smoothing=0.1))


def balanced(recipe, balance):
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"balance": balance})})


@pytest.mark.parametrize("balance", ["sampler", "loss"])
def test_a_supernets_training_depends_on_it(tmp_path, balance):
    losses = {}
    for name in ("none", balance):
        run = trainer(balanced(sandwich(dropout=0.0), name), tmp_path / name, imbalanced())
        seen = []
        run.run(seen.append, stop_at=1)
        losses[name] = seen[0].loss
    assert losses["none"] != losses[balance]


def test_a_single_networks_loss_is_weighted(tmp_path):
    """At the first step the network is the same: the loss is the weighted one of the plain run's batch."""
    from ofa_edge.space import Space
    from ofa_edge.supernet.network import Supernet

    space = Space("tiny", 0.1, 1, 3, (2, 2, 2, 1, 1, 1), (12, 16), depths=(1, 2))
    data, found = imbalanced(), {}
    for balance in ("none", "loss"):
        torch.manual_seed(1)
        net = Supernet(space).extract(space.smallest(16))
        recipe = SingleRecipe(epochs=1, batch=8, lr_batch=8, lr=0.1, balance=balance, label_smoothing=0.0)
        run = SingleTrainer(net, recipe, data, PIXELS, tmp_path / balance)
        seen = []
        run.run(seen.append)
        found[balance] = (seen[0].loss, run.batches.get(0, 16, run.batches.generator(0))[1])
    assert torch.equal(found["none"][1], found["loss"][1])
    assert found["none"][0] != pytest.approx(found["loss"][0], rel=1e-3)
