"""Files as the reference package writes them, imported: equal networks and equal predictions."""

import json
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from shaken import shake
from torch import Tensor, nn

from ofa_edge.search.published_predictor import PublishedPredictor
from ofa_edge.space import Space
from ofa_edge.supernet.importing.net_config import parse_net_config
from ofa_edge.supernet.importing.networks import import_network
from ofa_edge.supernet.importing.reading import read_checkpoint
from ofa_edge.supernet.importing.supernets import import_supernet

EXACT = {"rtol": 1e-9, "atol": 1e-9}
LISTS = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
RATIOS = {"depth_list": [0, 1, 2], "expand_ratio_list": [0.2, 0.25, 0.35], "width_mult_list": [0.65, 0.8, 1.0]}
SIZES = (64, 96)
SPACES = {
    "OFAMobileNetV3": Space("mobile", 0.5, resolutions=SIZES),
    "OFAProxylessNASNets": Space.of("ofa_proxyless", "proxyless", width_mult=0.5, resolutions=SIZES),
    "OFAResNets": Space.of("ofa_resnet", "resnet", resolutions=SIZES),
}


@pytest.fixture(scope="module", params=SPACES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def theirs(ofa: SimpleNamespace, family: str) -> Any:
    """A supernet of the reference with 7 classes, nothing in it at its initial value."""
    torch.manual_seed(0)
    options = RATIOS if family == "OFAResNets" else {**LISTS, "width_mult": 0.5}
    net = getattr(ofa.networks, family)(7, dropout_rate=0, **options)
    shake(net, matrices=0.05)
    return net.eval()


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As all published files have it: blocks.N.mobile_inverted_conv."""
    return {
        key.replace(".conv.", ".mobile_inverted_conv.", 1) if key.startswith("blocks.") else key: value
        for key, value in state.items()
    }


def parallel(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{key}": value for key, value in state.items()}


def ours_of(state: dict[str, Tensor], family: str, path: Any) -> Any:
    """Written as the reference writes it, then imported."""
    torch.save({"state_dict": state, "epoch": 3}, path, _use_new_zipfile_serialization=False)
    return import_supernet(read_checkpoint(path), SPACES.values())


@pytest.mark.parametrize("spelled", [dict, old_names, parallel])
def test_a_supernet(theirs: Any, family: str, spelled: Any, tmp_path: Any) -> None:
    if family == "OFAResNets" and spelled is old_names:
        pytest.skip("ResNets have no mobile_inverted_conv")
    imported = ours_of(spelled(nn.Module.state_dict(theirs)), family, tmp_path / "net.pth")
    assert (imported.kind, imported.net.space.family) == ("supernet", SPACES[family].family)
    assert imported.net.space.num_classes == 7
    ours, other = imported.net.double(), theirs.double()
    random.seed(2)
    for _ in range(3):
        subnet = imported.net.space.from_config({**other.sample_active_subnet(), "r": 64})
        with torch.no_grad():
            torch.testing.assert_close(ours(images(), subnet), other(images()), **EXACT)
    other.float()


def test_a_static_full_network_into_a_supernet(theirs: Any, family: str, tmp_path: Any) -> None:
    theirs.set_max_net()
    full = theirs.get_active_subnet().eval()
    imported = ours_of(nn.Module.state_dict(full), family, tmp_path / "full.pth")
    assert imported.kind == "static full network"
    with torch.no_grad():
        found = imported.net.double()(images(), imported.net.space.largest(64))
        torch.testing.assert_close(found, full.double()(images()), **EXACT)


@pytest.mark.parametrize("spelled", [dict, old_names])
def test_a_specialised_network(theirs: Any, family: str, spelled: Any, tmp_path: Any) -> None:
    random.seed(4)
    for draw in range(3):
        chosen = theirs.sample_active_subnet()
        static = theirs.get_active_subnet().eval()
        shake(static)
        config = json.loads(json.dumps(static.config))
        torch.save({"state_dict": spelled(nn.Module.state_dict(static))}, tmp_path / "init")
        if spelled is old_names:
            if family == "OFAResNets":
                pytest.skip("ResNets have no mobile_inverted_conv")
            config["blocks"] = [older(block) for block in config["blocks"]]
        imported = import_network(
            read_checkpoint(tmp_path / "init"), parse_net_config(config, "net.config"), 96, SPACES.values()
        )
        space = imported.net.space
        wanted = space.from_config({**chosen, "r": 96})
        assert imported.net.subnet.stages == wanted.stages, draw
        # Two ratios can round to one width (the stem's middle at 0.65 and 0.8): the networks are the same.
        assert space.active_widths(imported.net.subnet.widths) == space.active_widths(wanted.widths)
        assert imported.net.calibrated
        with torch.no_grad():
            torch.testing.assert_close(imported.net.double()(images(96)), static.double()(images(96)), **EXACT)


def older(block: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "MobileInvertedResidualBlock",
        "mobile_inverted_conv": {**block["conv"], "name": "MBInvertedConvLayer"},
        "shortcut": block["shortcut"],
    }


def test_the_active_configuration_is_read_as_well(theirs: Any, family: str) -> None:
    if family == "OFAResNets":
        pytest.skip("the reference puts a live module into it")
    random.seed(5)
    theirs.sample_active_subnet()
    config = json.loads(json.dumps(theirs.get_active_net_config()))
    assert parse_net_config(config, "a") == parse_net_config(theirs.get_active_subnet().config, "b")


def test_another_eps_gives_equal_outputs(theirs: Any, family: str) -> None:
    static = theirs.get_active_subnet().eval()
    static.set_bn_param(momentum=0.1, eps=7e-3)
    from ofa_edge.supernet.importing.reading import Checkpoint

    state = Checkpoint("init", "torch zip", {k: v.clone() for k, v in nn.Module.state_dict(static).items()})
    imported = import_network(state, parse_net_config(static.config, "c"), 64, SPACES.values())
    assert any("0.007" in note for note in imported.notes)
    with torch.no_grad():
        found, wanted = imported.net.double()(images()), static.double()(images())
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)  # the variances are rounded to float32 once more


# -- accuracy predictors --


def subnets_of(encoder: Any, space: Space, count: int) -> tuple[list[dict[str, Any]], Any]:
    random.seed(6)
    drawn = [encoder.random_sample_arch() for _ in range(count)]
    return drawn, space.genome(space.from_config(each) for each in drawn)


def test_the_nas_predictor(ofa: SimpleNamespace, family: str) -> None:
    sizes = [128, 160, 192, 224]
    space = Space.of(SPACES[family].family, "published", resolutions=tuple(sizes))
    encoder = ofa.nas.ResNetArchEncoder(sizes)
    if family != "OFAResNets":
        kinds = {"OFAMobileNetV3": "mbv3", "OFAProxylessNASNets": "mbv2"}
        kind = type("Encoder", (ofa.nas.MobileNetArchEncoder,), {"SPACE_TYPE": kinds[family]})
        encoder = kind(sizes)
    torch.manual_seed(1)
    model = ofa.nas.AccuracyPredictor(encoder, device="cpu")
    model.base_acc.data.fill_(0.76)
    drawn, genomes = subnets_of(encoder, space, 200)
    ours = PublishedPredictor.from_state({key: value.numpy() for key, value in model.state_dict().items()}, space)
    assert (ours.form, ours.sizes) == ("nas", tuple(sizes))
    with torch.no_grad():
        wanted = model.predict_acc(drawn).numpy()
    assert wanted.std() > 1e-3
    assert np.abs(ours.predict(genomes) - wanted).max() < 1e-6


def test_the_tutorial_predictor(ofa: SimpleNamespace) -> None:
    space = Space("w1.2", 1.2, resolutions=tuple(range(112, 225, 16)))
    torch.manual_seed(2)
    model = ofa.tutorial.AccuracyPredictor(pretrained=False, device="cpu")
    encoder = ofa.nas.MobileNetArchEncoder(list(space.resolutions))
    drawn, genomes = subnets_of(encoder, space, 200)
    ours = PublishedPredictor.from_state({k: v.numpy() for k, v in model.model.state_dict().items()}, space)
    wanted = model.predict_accuracy([{**each, "r": [each["image_size"]]} for each in drawn])[:, 0].numpy()
    assert ours.form == "tutorial"
    assert wanted.std() > 1e-3
    assert np.abs(ours.predict(genomes) - wanted).max() < 1e-6


def test_the_tutorial_predictor_between_its_sizes(ofa: SimpleNamespace) -> None:
    """The reference takes the next smaller size that it knows, ours lies between the two: equal nets, rising sizes."""
    space = Space("w1.2", 1.2, resolutions=tuple(range(160, 225, 4)))
    torch.manual_seed(2)
    model = ofa.tutorial.AccuracyPredictor(pretrained=False, device="cpu")
    ours = PublishedPredictor.from_state({k: v.numpy() for k, v in model.model.state_dict().items()}, space)
    assert ours.interpolated == tuple(size for size in space.resolutions if size % 16)
    config = space.uniform(5, 4, 4).config()

    def reference(size: int) -> float:
        return float(model.predict_accuracy([{**config, "r": [size]}])[0, 0])

    for size in space.resolutions:
        below = size // 16 * 16
        low, high = reference(below), reference(min(below + 16, 224))
        assert reference(size) == low
        found = float(ours.predict(space.genome([space.uniform(5, 4, 4, size)]))[0])
        assert found == pytest.approx(low + (size - below) / 16 * (high - low), abs=1e-6)
