"""A last layer in closed form: beside a least-squares solver, and on subnets that it was not fitted to."""

import numpy as np
import pytest
import torch
from tiny_package import images, recipe, shared_package
from torch import nn

from ofa_edge import cost
from ofa_edge.space import Space
from ofa_edge.supernet import evaluate
from ofa_edge.supernet.evaluate import extract_calibrated
from ofa_edge.supernet.head import fit_head
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.batches import Batches
from ofa_edge.training.distributed import World
from ofa_edge.training.head import set_shared_head, shared_regression
from ofa_edge.training.plan import HEAD_SUBNETS, head_views, plan_run
from ofa_edge.training.recipe import AugmentRecipe, StartRecipe


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_supernet(str(shared_package(tmp_path_factory)))


def last_layer(net):
    return next(each for each in net.get_submodule("classifier").modules() if isinstance(each, nn.Linear))


def batches(train, sizes, batch=30, flip=False):
    augment = AugmentRecipe(flip=flip, shift=1)
    return Batches(train, sizes, recipe().preprocessing(sizes[-1]), augment, batch, 0, World())


def ridge_solution(x, labels, shares, ridge):
    """The head [F + 1, classes] by least squares: a row for each image, one for each weight that is held small."""
    classes = len(shares)
    weights = shares[labels]
    aims = 4.0 * (np.eye(classes)[labels] - 1 / classes)
    mean = weights @ x / weights.sum()
    penalty = ridge * np.mean(weights @ (x - mean) ** 2)
    rows = [np.c_[x, np.ones(len(x))] * np.sqrt(weights)[:, None], np.eye(x.shape[1] + 1)[:-1] * np.sqrt(penalty)]
    wanted = [aims * np.sqrt(weights)[:, None], np.zeros((x.shape[1], classes))]
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]


def agrees(net, found):
    np.testing.assert_allclose(last_layer(net).weight.detach().numpy(), found[:-1].T, atol=2e-5)
    np.testing.assert_allclose(last_layer(net).bias.detach().numpy(), found[-1], atol=2e-4)


def uneven(seed):
    train = images(60, seed)
    return train.take(np.flatnonzero((train.labels > 0) | (np.arange(60) < 12)))


def shares_of(labels):
    counts = np.bincount(labels)
    return len(labels) / len(counts) / counts


def test_the_head_is_the_weighted_ridge_solution(package):
    train = uneven(7)
    net = extract_calibrated(package.load(), package.space.smallest(), train, recipe().preprocessing(16))
    seen = []
    hook = last_layer(net).register_forward_pre_hook(lambda module, args: seen.append(args[0].double().numpy()))
    shown = evaluate.batches(train, recipe().preprocessing(net.subnet.resolution))
    fit_head(net, shown, torch.from_numpy(train.labels), ridge=0.3)
    hook.remove()
    agrees(net, ridge_solution(np.concatenate(seen), train.labels, shares_of(train.labels), 0.3))


RESNET = Space.of(
    "ofa_resnet",
    "tiny",
    width_mult=0.25,
    in_channels=1,
    num_classes=3,
    strides=(2, 2, 1, 1, 1, 1),
    resolutions=(16,),
    width_ratios=(0.65, 1.0),
)  # a narrower subnet has fewer features


@pytest.mark.parametrize("family", ["mobilenetv3", "resnet"])
def test_a_shared_head_is_that_of_all_its_subnets_views(package, family):
    torch.manual_seed(0)
    net, train = package.load() if family == "mobilenetv3" else Supernet(RESNET), uneven(8)
    views = batches(train, net.space.resolutions, batch=len(train) // 2, flip=True)
    seen = []

    def keep(module, args):
        if isinstance(module, nn.Linear):
            seen.append(args[0].double().numpy())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(keep)
    set_shared_head(net, shared_regression(net, views, train))
    hook.remove()
    seen = [each for each in seen if len(each) == views.batch]  # calibration shows all images at once
    width, steps = last_layer(net).in_features, 8  # four views of each image, in two batches
    assert len(seen) == HEAD_SUBNETS * steps
    assert {each.shape[1] for each in seen} == ({width} if family == "mobilenetv3" else {width, seen[steps].shape[1]})
    x = np.concatenate([np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in seen])
    told = [views.get(step, 16, views.generator(step))[1].numpy() for step in range(steps)]
    agrees(net, ridge_solution(x, np.tile(np.concatenate(told), HEAD_SUBNETS), shares_of(train.labels), 0.1))


def test_rows_that_are_kept_stay_as_they_are(package):
    net, train = package.load(), images(60, 8)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    set_shared_head(net, shared_regression(net, batches(train, package.space.resolutions), train), kept={1})
    for key, value in net.state_dict().items():
        same = torch.equal(value, before[key])
        assert same == (key not in ("classifier.linear.weight", "classifier.linear.bias"))
    assert torch.equal(last_layer(net).weight[1], before["classifier.linear.weight"][1])
    assert not torch.equal(last_layer(net).weight[0], before["classifier.linear.weight"][0])


def test_a_fitted_head_is_in_the_cost_of_a_run():
    plain = recipe()
    start = plain.model_copy(update={"start": StartRecipe(supernet="x", ridge=0.1)})
    space = plain.make_space(3)
    plan = plan_run(start, space, 160)
    assert plan.macs > plan.head_macs > 0
    assert plan.macs_until(plan.steps) == pytest.approx(plan_run(plain, space, 160).macs)
    most = HEAD_SUBNETS * head_views(160) * cost.macs(space, space.largest())
    assert most / HEAD_SUBNETS < plan.head_macs < most
    assert [head_views(count) for count in (10, 2000, 9000)] == [40, 4096, 9000]
