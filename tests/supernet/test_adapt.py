"""Weights for other classes and channels: on grey pictures both networks answer as before, and kept rows are kept."""

import numpy as np
import pytest
import torch
from tiny_package import shared_package

from ofa_edge.errors import UnsupportedError
from ofa_edge.space import Space
from ofa_edge.supernet.adapt import Kept, Pixels, adapt, adapted_space
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.zoo import open_supernet

COLOUR = Pixels((120.0, 110.0, 100.0), (60.0, 55.0, 50.0))


def supernet(**changes):
    torch.manual_seed(0)
    fields = {"width_mult": 0.25, "strides": (2, 2, 1, 1, 1, 1), "resolutions": (16,), "num_classes": 4, **changes}
    net = Supernet(Space.of("ofa_mobilenetv3", "tiny", **fields))
    for module in net.modules():
        if hasattr(module, "running_mean") and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def grey_pixels(count=6):
    return np.random.default_rng(1).integers(0, 256, (count, 1, 16, 16)).astype(np.float32)


def normalised(pixels, statistics):
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (statistics.mean, statistics.std))
    return (torch.from_numpy(pixels) - mean) / std


def body(net, x, subnet):
    """What comes in front of the head."""
    seen = []
    hook = net.classifier.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.inference_mode():
        net(x, subnet)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (1, 1), (3, 3)])
def test_grey_pictures_are_seen_as_before(before, after):
    pixels = COLOUR if before == 3 else Pixels((110.0,), (55.0,))
    old = supernet(in_channels=before)
    space = adapted_space(old.space, 7, after)
    new = Supernet(space)
    done = adapt(old, new, pixels, after, Kept({}))
    new.eval()
    raw = grey_pixels()
    first, second = (
        normalised(np.repeat(raw, channels, 1), pixels.for_channels(channels)) for channels in (before, after)
    )
    for subnet in (old.space.largest(), old.space.smallest()):
        one, other = body(old, first, subnet), body(new, second, subnet)
        # At borders zeros stand for each channel's mean, which differ where colour becomes grey.
        assert torch.allclose(one, other, atol=1e-5 if (before, after) != (3, 1) else 0.08)
        assert one.std() > 0.01
    assert any("first convolution" in words for words in done) == (before != after)
    assert "7 new" in done[-1]


def test_equal_statistics_of_all_colours_lose_nothing():
    pixels = Pixels((110.0,) * 3, (55.0,) * 3)
    old = supernet(in_channels=3)
    new = Supernet(adapted_space(old.space, 5, 1))
    adapt(old, new, pixels, 1, Kept({}))
    new.eval()
    raw, subnet = grey_pixels(), old.space.largest()
    one = body(old, normalised(np.repeat(raw, 3, 1), pixels), subnet)
    assert torch.allclose(one, body(new, normalised(raw, pixels.for_channels(1)), subnet), atol=1e-5)


def test_rows_of_kept_classes_are_kept_by_name_in_any_order():
    old = supernet()
    labels, names = ["dog", "cow", "cat"], ["cat", "horse", "dog", "sheep"]
    kept = Kept.of(labels, names, wanted=True)
    assert kept.rows == {0: 2, 2: 0}
    new = Supernet(adapted_space(old.space, 3, 3))
    fresh = new.state_dict()["classifier.linear.weight"].clone()
    done = adapt(old, new, COLOUR, 3, kept)
    rows, before = new.state_dict()["classifier.linear.weight"], old.state_dict()["classifier.linear.weight"]
    assert torch.equal(rows[0], before[2])
    assert torch.equal(rows[2], before[0])
    assert torch.equal(rows[1], fresh[1])
    assert "2 rows kept by name, 1 new" in done[0]


def test_the_same_classes_in_another_order_are_never_permuted_unsaid():
    names = ["cat", "horse", "dog"]
    assert Kept.of(["dog", "cat", "horse"], names, wanted=False).rows == {0: 2, 1: 0, 2: 1}
    assert Kept.of(["dog", "cat"], names, wanted=False).rows == {}


def test_a_static_network_is_adapted_too(tmp_path_factory):
    package = open_supernet(str(shared_package(tmp_path_factory)))
    old = package.load().extract(package.space.smallest())
    new = StaticNet(adapted_space(package.space, 5, 3), package.space.smallest())
    done = adapt(old, new, Pixels(package.mean, package.std), 3, Kept({}))
    assert len(done) == 2
    for key, value in old.state_dict().items():
        if value.shape == new.state_dict()[key].shape:
            assert torch.equal(value, new.state_dict()[key]), key


def test_other_channels_are_refused():
    with pytest.raises(UnsupportedError, match="images of 4 channels"):
        adapted_space(supernet().space, 5, 4)


def test_other_sizes_of_images_and_every_family():
    for family in ("ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet"):
        space = Space.of(family, "x", resolutions=(128, 160))
        made = adapted_space(space, 6, 1, (96, 128, 132))
        assert (made.num_classes, made.in_channels, made.resolutions) == (6, 1, (96, 128, 132))
        assert made.kernels == space.kernels
