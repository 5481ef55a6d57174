"""Training of one network: fine-tuning a subnet, and from scratch."""

import json
import math

import pytest
import torch
from tiny_package import images
from tiny_runs import differing, ended, in_float64, start_world, tensors_of
from torch.nn import functional as F

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError, WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet.network import Supernet, initialise
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.distributed import World
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe, SingleTrainer

SPACE = Space("tiny", 0.1, 1, 3, (2, 2, 2, 1, 1, 1), (12, 16), depths=(1, 2))
PIXELS = Preprocessing(16, 1, (72.9,), (90.0,))
RECIPE = SingleRecipe(
    epochs=3,
    lr=0.2,
    lr_batch=8,
    batch=8,
    warmup_epochs=1,
    dropout=0.3,
    augment=AugmentRecipe(shift=1, erase=0.2),
    seed=4,
)


def scratch(subnet=None, seed=0):
    torch.manual_seed(seed)
    net = StaticNet(SPACE, subnet or SPACE.smallest(16))
    initialise(net)
    return net


def cut(subnet=None):
    torch.manual_seed(1)
    return Supernet(SPACE).extract(subnet or SPACE.smallest(16))


def single(folder, net=None, recipe=RECIPE, **options):
    options = {"log_every": 1, **options}
    return SingleTrainer(net or cut(), recipe, images(24, 0), PIXELS, folder, **options)


@pytest.mark.parametrize("make", [cut, scratch])
def test_it_learns(tmp_path, make):
    recipe = RECIPE.model_copy(update={"epochs": 10.0, "dropout": 0.0, "augment": AugmentRecipe(shift=0, flip=False)})
    net = make()
    assert not net.calibrated
    seen = []
    trained = single(tmp_path, net, recipe).run(seen.append)
    assert trained is net
    assert trained.calibrated
    assert not trained.training
    assert seen[-1].loss < seen[0].loss - 0.3
    data = images(24, 0)
    with torch.no_grad():
        right = trained(torch.from_numpy(PIXELS.apply(data.pixels))).argmax(1).numpy() == data.labels
    assert right.mean() > 0.8  # in eval mode: with its own running statistics
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == list(
        range(1, 31)
    )


@pytest.mark.parametrize("with_teacher", [False, True])
def test_stopped_at_every_step_and_resumed(tmp_path, with_teacher):
    teacher = cut(SPACE.largest()) if with_teacher else None
    whole = single(tmp_path / "whole", teacher=teacher)
    whole.run()
    assert whole.steps == 9
    for step in range(9):
        part = single(tmp_path / "parts", teacher=teacher)
        assert part.resume() == (step > 0)
        net = part.run(stop_at=step + 1)
        assert net.calibrated == (step == 8)
    assert differing(tensors_of(whole.net), tensors_of(net)) == []


def test_an_exception_leaves_whole_steps(tmp_path, monkeypatch):
    whole = single(tmp_path / "whole")
    whole.run()
    part = single(tmp_path / "part")
    real = StaticNet.forward

    def forward(net, x):
        out = real(net, x)
        if part._run.position.step == 4:
            raise ZeroDivisionError
        return out

    with monkeypatch.context() as patch:
        patch.setattr(StaticNet, "forward", forward)
        with pytest.raises(ZeroDivisionError):
            part.run()
    assert not part.net.calibrated
    part.run()
    assert differing(tensors_of(whole.net), tensors_of(part.net)) == []


def test_the_loss_is_of_labels_and_teacher(tmp_path, monkeypatch):
    """The first loss, computed apart: smoothed labels, and cross entropy against the teacher in eval mode."""
    recipe = RECIPE.model_copy(update={"dropout": 0.0, "distill": 0.7})
    teacher = cut(SPACE.largest())
    before = tensors_of(teacher)
    seen = []
    run = single(tmp_path, teacher=teacher, recipe=recipe)
    run.run(seen.append, stop_at=1)
    other = single(tmp_path / "other", recipe=recipe)
    x, labels = other.batches.get(0, 16, other.batches.generator(0))
    with torch.no_grad():
        logits, targets = other.net.train()(x), teacher.eval()(x).softmax(1)
    wanted = (
        F.cross_entropy(logits, labels, label_smoothing=0.1) - 0.7 * (targets * logits.log_softmax(1)).sum(1).mean()
    )
    assert seen[0].loss == pytest.approx(wanted.item(), rel=1e-5)
    assert differing(before, tensors_of(teacher)) == []
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_cost_counts_the_teacher(tmp_path):
    costs = {}
    for name, teacher, distill in (
        ("alone", None, 1.0),
        ("taught", cut(SPACE.largest()), 1.0),
        ("ignored", cut(), 0.0),
    ):
        seen = []
        recipe = RECIPE.model_copy(update={"distill": distill})
        single(tmp_path / name, recipe=recipe, teacher=teacher).run(seen.append, stop_at=2)
        costs[name] = seen[-1].macs
        assert seen[-1].share == pytest.approx(2 / 9)
    assert costs["alone"] == costs["ignored"] < costs["taught"]


def test_dropout_acts_in_training_only_and_leaves_nothing_behind(tmp_path):
    masked = []
    net = cut()
    net.classifier.register_forward_hook(lambda module, args, out: masked.append((args[0] == 0).float().mean().item()))
    run = single(tmp_path, net)
    run.run(stop_at=4)
    assert sum(masked) / len(masked) > 0.2  # 0.3 are dropped
    masked.clear()
    net.eval()(torch.rand(4, 1, 16, 16))
    net.train()(torch.rand(4, 1, 16, 16))
    assert max(masked) < 0.05
    assert len(net.classifier._forward_pre_hooks) == 0


def test_the_rate(tmp_path):
    seen = []
    single(tmp_path).run(seen.append)
    rates = [progress.lr for progress in seen]
    assert rates[:3] == pytest.approx([0.2 / 3, 0.4 / 3, 0.2])
    assert rates[3:] == pytest.approx([0.2 * (1 + math.cos(math.pi * step / 6)) / 2 for step in range(6)])


def test_the_stated_defaults():
    """Fine-tuning for 25 epochs (the paper) from the rate of its last phase at a batch of 2048."""
    recipe = SingleRecipe()
    assert (recipe.epochs, recipe.lr, recipe.lr_batch) == (25, 0.24, 2048)
    assert (recipe.momentum, recipe.weight_decay, recipe.label_smoothing) == (0.9, 3e-5, 0.1)


def test_another_recipe_network_or_teacher_is_refused(tmp_path):
    single(tmp_path).run(stop_at=1)
    for run in (
        single(tmp_path, recipe=RECIPE.model_copy(update={"lr": 0.1})),
        single(tmp_path, cut(SPACE.largest())),
        single(tmp_path, teacher=cut(SPACE.largest())),
        single(tmp_path, world=World(0, 2)),
    ):
        with pytest.raises(WeightsError, match="checkpoint of"):
            run.resume()
    assert single(tmp_path).resume()


def test_too_few_images_for_a_batch(tmp_path):
    with pytest.raises(DataError, match="too few training images") as caught:
        single(tmp_path, recipe=RECIPE.model_copy(update={"batch": 25}))
    assert "24 images" in caught.value.why


def run_one_of_two(folder):
    """The target of a process: half of each batch, in float64."""
    world = World.join()
    in_float64(single(folder, recipe=RECIPE.model_copy(update={"batch": 4}), world=world)).run()
    world.leave()


def test_two_processes(tmp_path):
    for rank, process in enumerate(start_world(run_one_of_two, tmp_path / "two", folder=tmp_path)):
        assert ended(process) == 0, (tmp_path / f"out-{rank}").read_text()
    in_float64(single(tmp_path / "one")).run()
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(losses[0]) == 9
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)
