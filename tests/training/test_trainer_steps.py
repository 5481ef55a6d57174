"""What a step trains and on what: seen from outside, by what goes through the networks and what comes out of them."""

import collections

import numpy as np
import pytest
import torch
from tiny_package import images
from tiny_runs import differing, sandwich, shrinking, tensors_of, trainer
from torch.nn import functional as F

from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training import trainer as trainer_module
from ofa_edge.training.losses import alpha_divergence, soft_cross_entropy
from ofa_edge.training.optimizer import clip_gradients, make_optimizer, set_learning_rate
from ofa_edge.training.plan import plan_run
from ofa_edge.training.recipe import Phase
from ofa_edge.training.recipe_files import load_recipe


class Seen:
    """What went through the supernet: a list of (step, subnet, noise, images, logits)."""

    def __init__(self, monkeypatch):
        self.calls = []
        self.run = None
        real = Supernet.forward

        def forward(net, x, subnet, noise=None):
            out = real(net, x, subnet, noise)
            self.calls.append((self.run.step if self.run else 0, subnet, noise, x.detach().clone(), out.detach()))
            return out

        monkeypatch.setattr(Supernet, "forward", forward)


@pytest.fixture
def seen(monkeypatch):
    return Seen(monkeypatch)


def pairs_of(subnet):
    return [pair for stage in subnet.stages for pair in stage]


def test_only_what_a_phase_shrinks_varies(seen, tmp_path):
    seen.run = run = trainer(shrinking(scale=2.0), tmp_path)
    run.run()
    drawn = collections.defaultdict(lambda: ([], [], []))
    for step, subnet, *_ in seen.calls:
        kernels, expands, depths = drawn[run.plan.at(step).phase.name]
        kernels += [kernel for kernel, _ in pairs_of(subnet)]
        expands += [expand for _, expand in pairs_of(subnet)]
        depths += subnet.depths
    assert {name: tuple(set(values) for values in lists) for name, lists in drawn.items()} == {
        "full": ({7}, {6}, {3}),
        "kernel": ({3, 5, 7}, {6}, {3}),
        "depth 1": ({3, 5, 7}, {6}, {2, 3}),
        "depth 2": ({3, 5, 7}, {6}, {1, 2, 3}),
        "expand 1": ({3, 5, 7}, {4, 6}, {1, 2, 3}),
        "expand 2": ({3, 5, 7}, {3, 4, 6}, {1, 2, 3}),
    }
    count = collections.Counter(run.plan.at(step).phase.name for step, *_ in seen.calls)
    assert count == {"full": 4, "kernel": 4, "depth 1": 8, "depth 2": 8, "expand 1": 12, "expand 2": 12}


def test_one_resolution_a_batch_and_all_of_them(seen, tmp_path):
    only = shrinking().phases[5].model_copy(update={"resolutions": (12, 16), "epochs": 6.0})
    seen.run = run = trainer(
        shrinking(phases=(*shrinking().phases[:1], only.model_copy(update={"distill": "none"}))), tmp_path
    )
    run.run()
    sizes = collections.defaultdict(set)
    for step, subnet, _, x, _ in seen.calls:
        assert x.shape == (8, 1, subnet.resolution, subnet.resolution)
        sizes[step].add(subnet.resolution)
    assert all(len(values) == 1 for values in sizes.values())
    assert {min(values) for values in sizes.values()} == {12, 16}


def test_random_subnets_are_uniform():
    """Chi-square over the genes of 3,000 draws, against the 0.9999 quantile."""
    recipe = load_recipe("ofa", "fashion-mnist")
    part = plan_run(recipe, recipe.make_space(10), 55_000).phases[-1]
    rng = np.random.default_rng(11)
    draws = [part.subnet("random", 28, rng) for _ in range(3000)]
    assert all(subnet.resolution == 28 for subnet in draws)
    for stage in range(5):
        depths = collections.Counter(subnet.depths[stage] for subnet in draws)
        assert chi_square(depths, (2, 3, 4)) < 18.4  # 2 degrees of freedom
        for position in range(2):  # always there
            pairs = collections.Counter(subnet.stages[stage][position] for subnet in draws)
            assert chi_square(pairs, [(k, e) for k in (3, 5, 7) for e in (3, 4, 6)]) < 31.8  # 8
    assert (
        chi_square(
            collections.Counter(subnet.stages[0][0] == subnet.stages[1][0] for subnet in draws),
            (True, False),
            (1 / 9, 8 / 9),
        )
        < 15.1
    )


def chi_square(counts, values, shares=None):
    total = sum(counts.values())
    assert set(counts) <= set(values)
    wanted = [total * share for share in shares or [1 / len(values)] * len(values)]
    return sum((counts[value] - expected) ** 2 / expected for value, expected in zip(values, wanted, strict=True))


# -- the teacher --


def test_the_teacher_is_the_full_net_frozen(tmp_path, monkeypatch):
    given = []
    real = StaticNet.forward

    def forward(net, x):
        out = real(net, x)
        given.append((net, net.training, torch.is_grad_enabled(), x.detach().clone(), out.detach().clone()))
        return out

    monkeypatch.setattr(StaticNet, "forward", forward)
    run = trainer(shrinking(), tmp_path)
    run.run(stop_at=2)
    assert run.teacher is None
    full = run.net.extract(run.space.largest())
    run.run()
    assert len(given) == 10  # once a step
    assert {id(net) for net, *_ in given} == {id(run.teacher)}
    assert all(training and not grad for _, training, grad, *_ in given)
    assert differing(dict(full.named_parameters()), dict(run.teacher.named_parameters())) == []
    assert not any(parameter.grad is not None for parameter in run.teacher.parameters())
    _, _, _, x, out = given[-1]
    assert torch.equal(out, real(full.train(), x))  # batch statistics, no dropout
    again = trainer(shrinking(), tmp_path / "resumed")
    again.run(stop_at=7)
    again = trainer(shrinking(), tmp_path / "resumed")
    again.resume()
    again.run(stop_at=8)
    assert differing(dict(full.named_parameters()), dict(again.teacher.named_parameters())) == []


# -- gradients --


def manual_step(run, step, subnet_loss):
    """The gradients of a step, subnet by subnet, from weights that a fresh copy of the run holds."""
    part = run.plan.at(step)
    rng = run.batches.generator(step)
    resolution = int(rng.choice(part.resolutions()))
    x, labels = run.batches.get(step, resolution, rng)
    subnets = [part.subnet(choice, resolution, rng) for choice in part.phase.subnets]
    seed = int(rng.integers(2**62))
    total = {}
    run.net.train()
    for index, (choice, subnet) in enumerate(zip(part.phase.subnets, subnets, strict=True)):
        run.net.zero_grad()
        subnet_loss(index, choice, subnet, x, labels, seed + index).backward()
        for name, parameter in run.net.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, 0) + parameter.grad.clone()
    return total, subnets


def gradients_of(run):
    return {name: value.grad.clone() for name, value in run.net.named_parameters() if value.grad is not None}


def assert_same_gradients(got, wanted):
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_of_progressive_shrinking_are_summed(tmp_path):
    """All three subnets: dropout, drop-path, smoothed labels and the teacher's predictions, one gradient."""
    recipe = shrinking(clip_norm=None)
    trainer(recipe, tmp_path).run(stop_at=10)
    run, other = trainer(recipe, tmp_path), trainer(recipe, tmp_path)
    run.resume()
    other.resume()
    run.run(stop_at=11)
    other._prepare(other.plan.at(10), 10)  # sorts, and loads the teacher

    def loss(index, choice, subnet, x, labels, seed):
        logits = other.net(x, subnet, Noise(seed, 0.2, 0.1, 8, slice(0, 8)))
        with torch.no_grad():
            targets = other.teacher.train()(x).softmax(1)
        return F.cross_entropy(logits, labels, label_smoothing=0.1) - (targets * logits.log_softmax(1)).sum(1).mean()

    wanted, subnets = manual_step(other, 10, loss)
    assert len(subnets) == 3
    assert_same_gradients(gradients_of(run), wanted)


@pytest.mark.parametrize("divergence", ["alpha", "kl"])
def test_gradients_of_the_sandwich(tmp_path, divergence):
    """The largest learns labels alone; the others its detached predictions, unregularised, at the ramp's weight."""
    phases = tuple(phase.model_copy(update={"divergence": divergence}) for phase in sandwich().phases)
    recipe = sandwich(clip_norm=None, phases=phases)
    trainer(recipe, tmp_path).run(stop_at=2)
    run, other = trainer(recipe, tmp_path), trainer(recipe, tmp_path)
    run.resume()
    other.resume()
    run.run(stop_at=3)
    other._prepare(other.plan.at(2), 2)
    weight = other.plan.at(2).subnet_weight(0)
    distance = alpha_divergence if divergence == "alpha" else soft_cross_entropy
    kept = []

    def loss(index, choice, subnet, x, labels, seed):
        if index == 0:
            logits = other.net(x, subnet, Noise(seed, 0.2, 0.1, 8, slice(0, 8)))
            kept.append(logits.detach().softmax(1))
            return F.cross_entropy(logits, labels, label_smoothing=0.1)
        return weight * distance(other.net(x, subnet), kept[0])

    wanted, subnets = manual_step(other, 2, loss)
    assert subnets[0] == other.space.largest(subnets[0].resolution)
    assert subnets[1] == other.space.smallest(subnets[0].resolution)
    assert_same_gradients(gradients_of(run), wanted)


def test_the_ramp_weighs_gradients(tmp_path, seen):
    """Parameters that only the largest uses have its gradient; shared ones more as the ramp rises."""
    ramped = sandwich().phases[1].model_copy(update={"epochs": 5.0, "ramp": 1.0})
    recipe = sandwich(phases=(sandwich().phases[0], ramped))
    assert [plan_run(recipe, recipe.make_space(3), 16).phases[1].subnet_weight(step) for step in (0, 4, 9)] == [
        0.1,
        0.5,
        1.0,
    ]


def test_the_sandwich_has_both_ends_in_every_step(tmp_path, seen):
    seen.run = run = trainer(sandwich(scale=2.0), tmp_path)
    run.run()
    for step in range(run.plan.phases[1].start, run.plan.steps):
        subnets = [subnet for at, subnet, *_ in seen.calls if at == step]
        size = subnets[0].resolution
        assert subnets[:2] == [run.space.largest(size), run.space.smallest(size)]
        assert len(subnets) == 3


def test_which_subnets_are_regularised(tmp_path, seen):
    seen.run = run = trainer(shrinking(), tmp_path / "all")
    run.run()
    assert all(isinstance(noise, Noise) and noise.dropout == 0.2 for _, _, noise, *_ in seen.calls)
    assert len({noise.generator.initial_seed() for _, _, noise, *_ in seen.calls}) == len(seen.calls)
    seen.calls.clear()
    seen.run = run = trainer(sandwich(), tmp_path / "largest")
    run.run()
    for _, subnet, noise, *_ in seen.calls:
        assert (noise is not None) == (subnet == run.space.largest(subnet.resolution))


# -- the optimiser --


def test_only_weights_decay(tmp_path):
    net = trainer(shrinking(), tmp_path).net
    optimizer = make_optimizer(net, 0.9, 0.5)
    set_learning_rate(optimizer, 0.1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    decayed = {
        name for name, parameter in net.named_parameters() if not torch.equal(parameter, torch.ones_like(parameter))
    }
    for name, parameter in net.named_parameters():
        kept = parameter.dim() == 1  # batch norms and biases
        assert (name in decayed) != kept, name
    assert any(name.endswith("5to3_matrix") for name in decayed)
    assert any(name.endswith("7to5_matrix") for name in decayed)
    assert "classifier.linear.weight" in decayed
    assert {name for name in decayed if ".bn." in name or name.endswith("bias")} == set()


def test_momentum_is_nesterovs_and_dropped_between_phases(tmp_path):
    run = trainer(shrinking(), tmp_path)
    assert all(group["nesterov"] and group["momentum"] == 0.9 for group in run._run.optimizer.param_groups)
    run.run(stop_at=2)
    assert run._run.optimizer.state
    before = tensors_of(run.net)
    run.run(stop_at=3)  # the first step of the next phase: momentum is this step's gradient alone
    for name, parameter in run.net.named_parameters():
        if parameter.grad is None:
            continue
        momentum = run._run.optimizer.state[parameter]["momentum_buffer"]
        decay = 0.0 if parameter.dim() == 1 else 1e-3
        torch.testing.assert_close(momentum, parameter.grad + decay * before[name], msg=name)


def test_clipping():
    parameter = torch.nn.Linear(2, 1, bias=False)
    parameter.weight.grad = torch.tensor([[3.0, 4.0]])
    clip_gradients(parameter, None, 3.5)
    assert parameter.weight.grad.tolist() == [[3.0, 3.5]]
    clip_gradients(parameter, 1.0, None)
    assert parameter.weight.grad.norm().item() == pytest.approx(1.0, abs=1e-4)


def test_channels_are_sorted_where_the_recipe_says(tmp_path, monkeypatch):
    calls = []
    real = trainer_module.sort_channels
    monkeypatch.setattr(
        trainer_module, "sort_channels", lambda net, done: calls.append((run.step, done)) or real(net, done)
    )
    run = trainer(shrinking(), tmp_path / "shrinking")
    run.run()
    assert calls == [(8, ()), (10, (4, 6))]
    calls.clear()
    run = trainer(sandwich(), tmp_path / "sandwich")
    run.run()
    assert calls == [(2, ())]


def test_gammas_of_residual_blocks_start_at_zero(tmp_path):
    net = trainer(shrinking(zero_gamma=True), tmp_path).net
    for spec in net.space.blocks:
        gamma = net.elastic_block(spec.index).get_parameter("point_linear.bn.bn.weight")
        assert torch.equal(gamma, torch.zeros_like(gamma) if spec.shortcut else torch.ones_like(gamma))


def test_the_seed_decides_all(tmp_path):
    def weights(name, **changes):
        run = trainer(shrinking(**changes), tmp_path / name)
        run.run(stop_at=3)
        return tensors_of(run.net)

    torch.manual_seed(1)
    one = weights("one")
    torch.manual_seed(2)
    assert differing(one, weights("two")) == []
    assert differing(one, weights("three", seed=6)) != []


def test_an_epoch_shows_each_image_once(tmp_path):
    train = images(20, 0)
    run = trainer(shrinking(phases=(Phase(name="p", epochs=1, lr=0.1),)), tmp_path, train)
    assert run.plan.steps == 2  # whole batches
    shown = []
    for step in range(4):
        rng = run.batches.generator(step)
        shown.append(run.batches.get(step, 16, rng)[1])
        assert len(shown[-1]) == 8
    order = [np.random.default_rng([5, 0, epoch]).permutation(20)[:16] for epoch in range(2)]
    assert torch.cat(shown).tolist() == train.labels[np.concatenate(order)].tolist()
