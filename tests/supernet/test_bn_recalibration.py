import numpy as np
import pytest
import torch

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError, WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits
from ofa_edge.supernet.network import Supernet

TINY = Space("tiny", 0.25, 1, 10, (2, 2, 2, 2, 1, 1), (20, 28))
PREPROCESSING = Preprocessing(28, 1, (72.9,), (90.0,))


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return Supernet(TINY).eval()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return Images(rng.integers(0, 256, (60, 28, 28, 1), dtype=np.uint8), rng.integers(0, 10, 60))


def test_one_batch_gives_that_batchs_statistics(supernet, images):
    net = supernet.extract(TINY.smallest(28))
    batch = next(batches(images, PREPROCESSING))
    seen = {}
    net.first_conv.bn.register_forward_pre_hook(lambda _, args: seen.setdefault("x", args[0]))
    recalibrate_bn(net, [batch])
    x = seen["x"]
    torch.testing.assert_close(net.first_conv.bn.running_mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(net.first_conv.bn.running_var, x.var((0, 2, 3), correction=0))
    assert net.calibrated
    assert not net.training


def test_batches_are_weighted_by_their_size(supernet, images):
    batch = next(batches(images, PREPROCESSING))
    net = recalibrate_bn(supernet.extract(TINY.smallest(28)), [batch[:40], batch[40:]])
    x = supernet.first_conv.conv(batch)
    wanted = (40 * x[:40].var((0, 2, 3), correction=0) + 20 * x[40:].var((0, 2, 3), correction=0)) / 60
    torch.testing.assert_close(net.first_conv.bn.running_var, wanted)
    pooled = recalibrate_bn(supernet.extract(TINY.smallest(28)), [batch[:40], batch[40:]], pooled=True)
    torch.testing.assert_close(pooled.first_conv.bn.running_var, x.var((0, 2, 3), correction=0))


def test_calibration_normalises_what_comes_after_it(supernet, images):
    net = supernet.extract(TINY.largest(28))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(5.0)
    recalibrate_bn(net, batches(images, PREPROCESSING))
    with torch.no_grad():
        out = net.first_conv.bn(net.first_conv.conv(next(batches(images, PREPROCESSING))))
    assert out.mean((0, 2, 3)).abs().max() < 1e-3


def test_no_images_is_an_error(supernet):
    with pytest.raises(DataError, match="no calibration images"):
        recalibrate_bn(supernet.extract(TINY.smallest(28)), [])


def test_an_uncalibrated_network_is_not_evaluated(supernet, images):
    with pytest.raises(WeightsError, match="not calibrated"):
        logits(supernet.extract(TINY.smallest(28)), images, PREPROCESSING)


def test_calibration_is_at_the_subnets_own_resolution(supernet, images):
    net = extract_calibrated(supernet, TINY.smallest(20), images, PREPROCESSING)
    assert logits(net, images, PREPROCESSING.at(20)).shape == (60, 10)


def test_statistics_are_those_of_float64():
    """PyTorch's own batch norm is 1e-4 of a variance off on channels-last images, by its number of threads."""
    package = zoo.open_supernet(zoo.DEFAULT)
    subnet = package.space.smallest()
    images = list(batches(package.images("calibration").sample(200), package.preprocessing(subnet.resolution)))
    supernet = package.load()
    found = recalibrate_bn(supernet.extract(subnet), images).state_dict()
    exact = recalibrate_bn(supernet.extract(subnet).double(), [batch.double() for batch in images]).state_dict()
    off = {
        key: ((found[key] - exact[key]).abs() / exact[key]).max().item() for key in found if key.endswith("running_var")
    }
    assert max(off.values()) < 3e-6
