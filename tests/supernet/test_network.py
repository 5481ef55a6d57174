import itertools
import json

import numpy as np
import pytest
import torch
from places import FACTS
from torch.nn import functional as F

from ofa_edge import cost
from ofa_edge.space import Space
from ofa_edge.supernet.depthwise import depthwise_conv2d, depthwise_weight_grad
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.slicing import BlockSlice, sliced_kernel
from ofa_edge.supernet.sorting import sort_channels
from ofa_edge.supernet.zoo import UNTRAINED

TINY = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))


@pytest.fixture(scope="module")
def supernet():
    """A supernet in float64 with nothing at its initial value: running statistics, scales and matrices included."""
    torch.manual_seed(0)
    net = Supernet(TINY).double().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    for name, parameter in net.named_parameters():
        if "matrix" in name:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize(
    ("facts", "name", "parameters"),
    [
        ("ofa_mbv3_w1.0", "ofa_mbv3_d234_e346_k357_w1.0", 7_678_880),
        ("ofa_mbv3_w1.2", "ofa_mbv3_d234_e346_k357_w1.2", 10_715_752),
        ("ofa_proxyless_w1.3", "ofa_proxyless_d234_e346_k357_w1.3", 7_956_882),
        ("ofa_resnet50", "ofa_resnet50", 48_105_992),
    ],
)
def test_layout_of_the_published_checkpoints(facts, name, parameters):
    with torch.device("meta"):
        net = Supernet(UNTRAINED[name])
    wanted = json.loads((FACTS / f"{facts}.json").read_text())
    assert [[name, list(value.shape)] for name, value in net.state_dict().items()] == wanted
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_a_subnet_in_place_equals_the_extracted_network(supernet):
    images = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    for row in TINY.sample(np.random.default_rng(0), 12, 28):
        subnet = TINY.subnet(row)
        static = supernet.extract(subnet)
        with torch.no_grad():
            torch.testing.assert_close(static(images), supernet(images, subnet), rtol=1e-9, atol=1e-9)
        assert sum(parameter.numel() for parameter in static.parameters()) == cost.params(TINY, subnet)
        assert not static.calibrated


def test_extraction_copies(supernet):
    before = supernet.state_dict()["classifier.linear.weight"].clone()
    supernet.extract(TINY.largest()).classifier.linear.weight.data.zero_()
    assert torch.equal(supernet.state_dict()["classifier.linear.weight"], before)


def test_a_small_kernel_goes_through_the_larger_ones():
    weight = torch.randn(4, 1, 7, 7)
    matrices = {"7to5_matrix": torch.randn(25, 25), "5to3_matrix": torch.randn(9, 9)}
    five = (matrices["7to5_matrix"] @ weight[:2, 0, 1:6, 1:6].reshape(2, 25).T).T.reshape(2, 1, 5, 5)
    three = (matrices["5to3_matrix"] @ five[:, 0, 1:4, 1:4].reshape(2, 9).T).T.reshape(2, 1, 3, 3)
    torch.testing.assert_close(sliced_kernel(weight, matrices, 2, 5), five)
    torch.testing.assert_close(sliced_kernel(weight, matrices, 2, 3), three)
    assert torch.equal(sliced_kernel(weight, matrices, 3, 7), weight[:3])


def test_slices_follow_the_width_rule():
    cut = BlockSlice.of(TINY.blocks[5], 5, 4)
    assert (cut.kernel, cut.middle, cut.squeezed) == (5, 64, 16)
    assert BlockSlice.of(TINY.blocks[0], 3, 3).squeezed == 0


@pytest.mark.parametrize("finished", [(), (6,), (4, 6)])
def test_sorting_changes_nothing_that_the_full_block_computes(supernet, finished):
    images = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        before = supernet(images, TINY.largest())
        kept = supernet(images, TINY.uniform(7, 4, 4))
        sort_channels(supernet, finished)
        torch.testing.assert_close(supernet(images, TINY.largest()), before, rtol=1e-9, atol=1e-9)
        if finished == (4, 6):
            torch.testing.assert_close(supernet(images, TINY.uniform(7, 4, 4)), kept, rtol=1e-9, atol=1e-9)
    for spec in TINY.blocks:
        weight = supernet.elastic_block(spec.index).get_parameter("point_linear.conv.conv.weight")
        importance = weight.abs().sum((0, 2, 3))
        bounds = sorted({0, *(BlockSlice.of(spec, 7, expand).middle for expand in finished), len(importance)})
        for start, stop in itertools.pairwise(bounds):
            assert (importance[start:stop].diff() <= 1e-12).all()


@pytest.mark.parametrize("size", [4, 7, 14, 19, 24])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_gradients_are_torchs_own(size, kernel, stride):
    torch.manual_seed(size * kernel)
    x = torch.randn(3, 5, size, size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(x, weight, None, stride, kernel // 2, 1, 5)
    ours = depthwise_conv2d(x, weight, stride)
    torch.testing.assert_close(ours, plain)
    grad = torch.randn_like(plain)
    wanted = torch.autograd.grad(plain, (x, weight), grad)
    for got, want in zip(torch.autograd.grad(ours, (x, weight), grad), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(depthwise_weight_grad(x, grad, kernel, stride), wanted[1], rtol=1e-9, atol=1e-9)


def test_depthwise_gradients_in_float32_are_those_in_float64():
    torch.manual_seed(0)
    for size, stride in ((9, 1), (20, 2)):
        x = torch.randn(3, 16, size, size).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(16, 1, 7, 7, requires_grad=True)
        out = depthwise_conv2d(x, weight, stride)
        grad = torch.randn_like(out)
        (got,) = torch.autograd.grad(out, weight, grad)
        exact = torch.autograd.grad(
            F.conv2d(x.double(), double := weight.double(), None, stride, 3, 1, 16), double, grad.double()
        )
        torch.testing.assert_close(got.double(), exact[0], rtol=1e-4, atol=1e-4)


def test_training_statistics_of_unused_channels_do_not_move():
    net = Supernet(TINY).train()
    net(torch.randn(4, 1, 28, 28), TINY.smallest(28))
    block = net.elastic_block(0)
    middle = BlockSlice.of(TINY.blocks[0], 3, 3).middle
    mean = block.get_buffer("inverted_bottleneck.bn.bn.running_mean")
    assert (mean[:middle] != 0).all()
    assert (mean[middle:] == 0).all()
    assert block.get_buffer("inverted_bottleneck.bn.bn.num_batches_tracked") == 1
