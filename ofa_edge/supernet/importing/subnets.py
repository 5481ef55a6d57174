"""Which subnet of which space a net.config describes."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ofa_edge.errors import ConfigError
from ofa_edge.space import Space, Subnet
from ofa_edge.space.words import one_of
from ofa_edge.supernet.importing.choices import UnfitError, mobile_choices, resnet_choices
from ofa_edge.supernet.importing.config_layout import Layout, config_layout
from ofa_edge.supernet.importing.matching import COUNTER, shapes_of
from ofa_edge.supernet.importing.net_config import FAMILIES, MobileConfig, NetConfig, ResidualConfig
from ofa_edge.supernet.static import StaticNet


@dataclass(frozen=True)
class Placed:
    """A network as a point of a space."""

    space: Space
    subnet: Subnet
    notes: tuple[str, ...] = ()


def place(config: NetConfig, image_size: int, spaces: Iterable[Space]) -> Placed:
    """Find the space and subnet that a net.config describes, with its classes and input channels.

    An image size that the space does not list is added to it: sizes shape no weights.

    Raises:
        ConfigError: no space has this network; says how it differs from the nearest.
    """
    nearest: tuple[int, str] = (-1, f"no space of family {FAMILIES[config.name]} is known")
    for candidate in spaces:
        if candidate.family != FAMILIES[config.name]:
            continue
        space, notes = _fitted(candidate, config, image_size)
        try:
            return Placed(space, _subnet(config, space, image_size), notes)
        except (UnfitError, ConfigError) as error:
            depth = error.depth if isinstance(error, UnfitError) else 0
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
    if space.family != FAMILIES[config.name]:
        raise ConfigError(
            "a network of another family",
            f"the net.config is of {FAMILIES[config.name]}; '{space.name}' is of {space.family}",
            "name a space of that family with --space",
        )
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
        notes = (f"image size {image_size} is not {one_of(space.resolutions)}, which the space has: it was added",)
    return dataclasses.replace(space, **changes), notes


def _subnet(config: NetConfig, space: Space, image_size: int) -> Subnet:
    choices = mobile_choices(config, space) if isinstance(config, MobileConfig) else resnet_choices(config, space)
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
        raise UnfitError(1000 - len(strange), f"{key} is {described.get(key)}, wanted {ours.get(key)}")
