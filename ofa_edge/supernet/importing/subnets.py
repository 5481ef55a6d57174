"""Which subnet of which space a net.config describes."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ofa_edge.errors import ConfigError
from ofa_edge.space import BlockSpec, Space, Subnet, middle_width
from ofa_edge.supernet.importing.config_layout import Layout, config_layout
from ofa_edge.supernet.importing.matching import COUNTER, shapes_of
from ofa_edge.supernet.importing.net_config import FAMILIES, MBConvConfig, MobileConfig, NetConfig, ResidualConfig
from ofa_edge.supernet.static import StaticNet

# Activations of the first convolution, of the static block, and of the layers behind the stages.
_ACTIVATIONS = {"MobileNetV3": ("h_swish", "relu", "h_swish"), "ProxylessNASNets": ("relu6", "relu6", "relu6")}


@dataclass(frozen=True)
class Placed:
    """A network as a point of a space."""

    space: Space
    subnet: Subnet
    notes: tuple[str, ...] = ()


class _UnfitError(Exception):
    """This space does not have the network; `depth` says how far they agreed."""

    def __init__(self, depth: int, why: str) -> None:
        super().__init__(why)
        self.depth = depth


def place(config: NetConfig, image_size: int, spaces: Iterable[Space]) -> Placed:
    """Find the space and subnet that a net.config describes, with its classes and input channels.

    An image size that the space does not list is added to it: sizes shape no weights.

    Raises:
        ConfigError: no space has this network; says how it differs from the nearest.
    """
    nearest: tuple[int, str] = (-1, f"no space of family {FAMILIES[config.name]} is known")
    for candidate in spaces:
        if candidate.to_json()["family"] != FAMILIES[config.name]:
            continue
        space, notes = _fitted(candidate, config, image_size)
        try:
            return Placed(space, _subnet(config, space, image_size), notes)
        except (_UnfitError, ConfigError) as error:
            depth = error.depth if isinstance(error, _UnfitError) else 0
            why = error.why if isinstance(error, ConfigError) else str(error)
            nearest = max(nearest, (depth, f"not '{space.name}': {why}"))
    raise ConfigError(
        "the network is of no space that is known here",
        nearest[1],
        "name its supernet's space with --space: a folder of ofa-edge train, or a space as JSON",
    )


def choose(config: NetConfig, space: Space, spaces: Iterable[Space], image_size: int) -> Placed:
    """The same choices of kernels, expand ratios, depths and size in a space of the user's own.

    Widths, classes and channels may differ: the choices are relative to them.

    Raises:
        ConfigError: the space lacks a choice or has other stages.
    """
    placed = place(config, image_size, [space, *spaces])
    if placed.space == space:
        return placed
    subnet = space.from_config(placed.subnet.config())
    note = f"choices of a network of '{placed.space.name}', taken over to '{space.name}'; its widths may differ"
    return Placed(space, subnet, (note,))


def _fitted(space: Space, config: NetConfig, image_size: int) -> tuple[Space, tuple[str, ...]]:
    first = config.first_conv if isinstance(config, MobileConfig) else config.input_stem[0]
    assert not isinstance(first, ResidualConfig)
    changes: dict[str, Any] = {"in_channels": first.in_channels, "num_classes": config.classifier.out_features}
    notes: tuple[str, ...] = ()
    if image_size not in space.resolutions:
        changes["resolutions"] = tuple(sorted({*space.resolutions, image_size}))
        notes = (f"image size {image_size} is not among the space's {space.resolutions}: it was added",)
    return dataclasses.replace(space, **changes), notes


def _subnet(config: NetConfig, space: Space, image_size: int) -> Subnet:
    if not isinstance(config, MobileConfig):
        raise _UnfitError(0, "ResNets are not known yet")
    choices = _mobile_choices(config, space)
    subnet = space.from_config({**choices, "r": image_size})
    _compare_layouts(config_layout(config), static_layout(space, subnet))
    return subnet


def static_layout(space: Space, subnet: Subnet) -> dict[str, torch.Size]:
    """Keys and shapes of a static network; nothing is allocated."""
    with torch.device("meta"):
        return shapes_of(StaticNet(space, subnet))


def _compare_layouts(described: Layout, wanted: dict[str, torch.Size]) -> None:
    ours = {key: tuple(shape) for key, shape in wanted.items() if not key.endswith(COUNTER)}
    strange = sorted(key for key in described.keys() | ours.keys() if described.get(key) != ours.get(key))
    if strange:
        key = strange[0]
        raise _UnfitError(1000 - len(strange), f"{key} is {described.get(key)}, wanted {ours.get(key)}")


def _mobile_choices(config: MobileConfig, space: Space) -> dict[str, Any]:
    """The vectors that the reference's `set_active_subnet` takes, active blocks only."""
    _check_ends(config, space)
    layers = []
    for index, block in enumerate(config.blocks):
        if not isinstance(block.conv, MBConvConfig):
            raise _UnfitError(index, f"block {index} is a plain convolution")
        layers.append((block.conv, block.shortcut is not None))
    depths, kernels, expands = [0] * space.num_stages, [], []
    specs = {(spec.stage, spec.position): spec for spec in space.blocks}
    here = (-1, 0)
    for index, (conv, shortcut) in enumerate(layers[1:], start=1):
        following = [place for place in ((here[0], here[1] + 1), (here[0] + 1, 0)) if place in specs]
        fitting = [place for place in following if _fits(conv, shortcut, specs[place])]
        if not fitting:
            wanted = " or ".join(_described(specs[place]) for place in following) or "no more blocks"
            raise _UnfitError(index, f"block {index} is {_told(conv, shortcut)}; wanted {wanted}")
        here = fitting[0]
        depths[here[0]] += 1
        kernels.append(conv.kernel_size)
        expands.append(_expand(index, conv, space.expands))
    return {"ks": kernels, "e": expands, "d": depths}


def _check_ends(config: MobileConfig, space: Space) -> None:
    stem, static, head = _ACTIVATIONS[config.name]
    first = config.blocks[0].conv
    facts: list[tuple[str, object, object]] = [
        ("first_conv.act_func", config.first_conv.act_func, stem),
        ("first_conv.stride", config.first_conv.stride, space.strides[0]),
        ("blocks.0.act_func", first.act_func, static),
        ("blocks.0.stride", first.stride, 1),
        ("feature_mix_layer.act_func", config.feature_mix_layer.act_func, head),
    ]
    if config.final_expand_layer:
        facts.append(("final_expand_layer.act_func", config.final_expand_layer.act_func, head))
    same = config.name == "MobileNetV3" and first.in_channels == first.out_channels
    facts.append(("blocks.0 has a shortcut", config.blocks[0].shortcut is not None, same))
    for name, found, wanted in facts:
        if found != wanted:
            raise _UnfitError(0, f"{name} is {found!r}, wanted {wanted!r}")


def _fits(conv: MBConvConfig, shortcut: bool, spec: BlockSpec) -> bool:
    return (conv.in_channels, conv.out_channels, conv.stride, conv.act_func, conv.use_se, shortcut) == (
        spec.in_channels,
        spec.out_channels,
        spec.stride,
        spec.activation,
        spec.squeeze,
        spec.shortcut,
    )


def _expand(index: int, conv: MBConvConfig, expands: Sequence[float]) -> float:
    """The space's ratio that gives this block's middle width; the one that the file names, where two do."""
    giving = [ratio for ratio in expands if middle_width(conv.in_channels, ratio) == conv.middle]
    if not giving:
        raise _UnfitError(index, f"block {index} is {conv.middle} wide inside: none of the ratios {tuple(expands)}")
    return min(giving, key=lambda ratio: abs(ratio - conv.expand_ratio))


def _told(conv: MBConvConfig, shortcut: bool) -> str:
    return _words(conv.in_channels, conv.out_channels, conv.stride, conv.act_func, conv.use_se, shortcut)


def _described(spec: BlockSpec) -> str:
    return _words(spec.in_channels, spec.out_channels, spec.stride, spec.activation, spec.squeeze, spec.shortcut)


def _words(inside: int, outside: int, stride: int, act: str, squeeze: bool, shortcut: bool) -> str:
    extra = (" SE" if squeeze else "") + (" with a shortcut" if shortcut else "")
    return f"{inside} -> {outside} channels, stride {stride}, {act}{extra}"
