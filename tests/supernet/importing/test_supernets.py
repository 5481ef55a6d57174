"""Checkpoints into supernets: every spelling, the space found by shapes, and nothing kept or dropped silently."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from ofa_edge.errors import WeightsError
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.importing.reading import Checkpoint
from ofa_edge.supernet.importing.supernets import import_supernet, load_checkpoint, supernet_layout
from ofa_edge.supernet.network import Supernet

TINY = {
    "mobile": Space("mobile", 0.25, 1, 5, (2, 2, 2, 2, 1, 1), (32,)),
    "proxyless": Space.of(
        "ofa_proxyless", "proxyless", width_mult=0.25, in_channels=1, num_classes=5, resolutions=(32,)
    ),
    "resnet": Space.of("ofa_resnet", "resnet", width_mult=0.25, in_channels=1, num_classes=5, resolutions=(32,)),
}


@pytest.fixture(scope="module", params=TINY)
def net(request: pytest.FixtureRequest) -> Supernet:
    torch.manual_seed(0)
    net = Supernet(TINY[request.param]).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("_matrix"):
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return net


def state_of(net: Any) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in net.state_dict().items()}


def checkpoint(state: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint("net.pth", "torch zip", state)


def same(found: Any, wanted: Any) -> bool:
    first, second = found.state_dict(), wanted.state_dict()
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


def old(key: str) -> str:
    return key.replace(".conv.", ".mobile_inverted_conv.", 1) if key.startswith("blocks.") else key


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("block", [str, old])
def test_every_spelling(net: Supernet, prefix: str, block: Any) -> None:
    if net.space.family == "ofa_resnet" and block is old:
        pytest.skip("its blocks never had the old name")
    state = {prefix + block(key): value for key, value in state_of(net).items()}
    found = import_supernet(checkpoint(state), [net.space])
    assert same(found.net, net)
    assert (found.kind, found.net.training) == ("supernet", False)
    assert ("module prefix" in found.match.dialect) == bool(prefix)
    assert ("mobile_inverted_conv" in found.match.dialect) == (block is old)


def test_nested_layers_where_ours_are_plain(net: Supernet) -> None:
    """Older supernets had elastic layers at both ends."""
    state = {
        key.replace("classifier.linear.", "classifier.linear.linear."): value for key, value in state_of(net).items()
    }
    if net.space.family == "ofa_resnet":
        pytest.skip("its ends are elastic")
    found = import_supernet(checkpoint(state), [net.space])
    assert same(found.net, net)
    assert found.match.dialect == {"nested layers": 2}


def test_a_static_full_network(net: Supernet) -> None:
    full = net.extract(net.space.largest())
    found = import_supernet(checkpoint(state_of(full)), [net.space])
    assert found.kind == "static full network"
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found.net(images, net.space.largest()), full(images))
    matrices = [value for key, value in found.net.state_dict().items() if key.endswith("_matrix")]
    assert all(torch.equal(matrix, torch.eye(len(matrix))) for matrix in matrices)
    assert any("identities" in note for note in found.notes) == bool(matrices)


def test_the_space_is_found_with_its_classes_and_channels(net: Supernet) -> None:
    candidates = [dataclasses.replace(space, in_channels=3, num_classes=1000) for space in TINY.values()]
    candidates.insert(0, dataclasses.replace(candidates[0], width_mult=0.5))
    assert import_supernet(checkpoint(state_of(net)), candidates).net.space == net.space


@pytest.mark.parametrize("name", zoo.UNTRAINED)
def test_published_layouts_are_found_among_each_other(name: str) -> None:
    layout = supernet_layout(zoo.UNTRAINED[name])
    types = {key: torch.int64 if key.endswith("tracked") else torch.float32 for key in layout}
    state = {key: torch.zeros((), dtype=types[key]).expand(shape) for key, shape in layout.items()}
    assert import_supernet(checkpoint(state), zoo.UNTRAINED.values()).net.space == zoo.UNTRAINED[name]


def test_batch_counters_may_be_missing(net: Supernet) -> None:
    state = {key: value for key, value in state_of(net).items() if not key.endswith("num_batches_tracked")}
    found = import_supernet(checkpoint(state), [net.space])
    assert any("batch counters" in note for note in found.notes)


def test_missing_unexpected_and_misshapen_keys_are_named(net: Supernet) -> None:
    state = state_of(net)
    bias, weight = (next(key for key in state if key.endswith(end)) for end in ("linear.bias", "bn.weight"))
    del state[bias]
    state["surprise"] = torch.zeros(1)
    state[weight] = torch.zeros(3)
    with pytest.raises(WeightsError, match="do not fit") as caught:
        import_supernet(checkpoint(state), [net.space])
    for part in (f"1 missing ({bias})", "1 unexpected (surprise)", f"1 of another shape ({weight}: (3,), wanted"):
        assert part in caught.value.why


def test_one_missing_matrix_is_missing() -> None:
    net = Supernet(TINY["mobile"])
    state = state_of(net)
    del state["blocks.2.conv.depth_conv.conv.5to3_matrix"]
    with pytest.raises(WeightsError, match="do not fit") as caught:
        import_supernet(checkpoint(state), [net.space])
    assert "5to3_matrix" in caught.value.why


def test_two_spellings_of_one_tensor_collide(net: Supernet) -> None:
    state = state_of(net)
    key = next(key for key in state if key.endswith("bn.bn.bias"))
    state[key.replace("bn.bn.bias", "bn.bias")] = state[key]
    with pytest.raises(WeightsError, match="ambiguous") as caught:
        import_supernet(checkpoint(state), [net.space])
    assert key in caught.value.why


def test_a_key_that_is_too_deep_is_unexpected(net: Supernet) -> None:
    state = state_of(net)
    key = next(key for key in state if key.endswith("bn.bn.bias"))
    state[key.replace("bn.bn.bias", "bn.bn.bn.bn.bias")] = state.pop(key)
    with pytest.raises(WeightsError, match="do not fit"):
        import_supernet(checkpoint(state), [net.space])


def test_the_weights_of_a_subnet_ask_for_its_configuration(net: Supernet) -> None:
    with pytest.raises(WeightsError, match="of a subnet") as caught:
        import_supernet(checkpoint(state_of(net.extract(net.space.smallest()))), [net.space])
    assert "net.config" in caught.value.hint


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(net: Supernet, value: float) -> None:
    state = state_of(net)
    key = next(key for key in state if key.endswith("linear.bias"))
    state[key][0] = value
    with pytest.raises(WeightsError, match="not finite") as caught:
        import_supernet(checkpoint(state), [net.space])
    assert key in caught.value.why


def test_integers_for_weights(net: Supernet) -> None:
    state = state_of(net)
    key = next(key for key in state if key.endswith("linear.bias"))
    state[key] = state[key].to(torch.int64)
    with pytest.raises(WeightsError, match="another type"):
        import_supernet(checkpoint(state), [net.space])


def test_a_space_given_is_held_to(net: Supernet, tmp_path: Any) -> None:
    torch.save({"state_dict": state_of(net)}, tmp_path / "net.pth")
    assert same(load_checkpoint(tmp_path / "net.pth", net.space), net)
    with pytest.raises(WeightsError, match="do not fit"):
        load_checkpoint(tmp_path / "net.pth", dataclasses.replace(net.space, num_classes=6))


def test_half_precision_is_taken(net: Supernet) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in state_of(net).items()}
    found = import_supernet(checkpoint(state), [net.space]).net
    assert all(not value.is_floating_point() or value.dtype == torch.float32 for value in found.state_dict().values())


def test_subnets_of_the_imported_supernet(net: Supernet) -> None:
    found = import_supernet(checkpoint(state_of(net)), [net.space]).net
    subnet: Subnet = net.space.smallest()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found(images, subnet), net(images, subnet))
