import copy

import pytest
import torch
from tiny_net import build_net, smooth_images
from torch import nn

from ofa_edge.errors import ConversionError
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.verify.parity import compare


@pytest.fixture(scope="module")
def net():
    """TinyNet, in evaluation mode."""
    return build_net()


@pytest.fixture(scope="module")
def images():
    return smooth_images(40, 2)


def test_folding_keeps_the_answers_and_the_original(net, images):
    with torch.no_grad():
        reference = net(torch.from_numpy(images)).numpy()
    before = copy.deepcopy(net.state_dict())
    folded = fold_batch_norm(net)
    with torch.no_grad():
        answers = folded(torch.from_numpy(images)).numpy()
    difference = compare(reference, answers)
    assert difference.max_abs < 1e-5
    assert difference.argmax_agreement == 1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not folded.training
    assert before.keys() == net.state_dict().keys()
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_a_network_in_training_mode_is_folded_with_its_running_statistics(images):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    nn.init.normal_(net[1].running_mean)
    folded = fold_batch_norm(net)
    assert net.training
    with torch.no_grad():
        x = torch.from_numpy(images)
        torch.testing.assert_close(folded(x), net.eval()(x))
    assert folded[0].bias is not None
    assert folded[0].weight.dtype == torch.float32


def test_sequential_pairs_inside_other_modules(images):
    net = nn.ModuleDict({"body": nn.Sequential(nn.Conv2d(3, 4, 1, bias=True), nn.BatchNorm2d(4))}).eval()
    folded = fold_batch_norm(net)
    x = torch.from_numpy(images)
    with torch.no_grad():
        torch.testing.assert_close(folded["body"](x), net["body"](x))
    assert isinstance(folded["body"][1], nn.Identity)


@pytest.mark.parametrize(
    "body",
    [
        [nn.BatchNorm2d(3)],
        [nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)],
        [nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)],
    ],
    ids=["no convolution", "an activation between", "no statistics"],
)
def test_a_batch_norm_left_over_is_named(body):
    with pytest.raises(ConversionError, match=rf"batch norm 'trunk\.{len(body) - 1}' \(BatchNorm2d\)"):
        fold_batch_norm(nn.ModuleDict({"trunk": nn.Sequential(*body)}))


def test_blended_statistics_are_refused(net):
    fresh = copy.deepcopy(net)
    fresh.calibrated = False
    with pytest.raises(ConversionError, match="not calibrated"):
        fold_batch_norm(fresh)
