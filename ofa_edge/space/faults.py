"""What can be wrong with a space's fields."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ofa_edge.space.families import FAMILIES
from ofa_edge.space.fields import SpaceFields

_MOST_CHOICES = 64
_MOST: Mapping[str, int] = MappingProxyType(
    {
        "resolutions": 4096,
        "kernels": 64,
        "strides": 2,
        "depths": 64,
        "expands": 64,
        "width_ratios": 64,
        "width_mult": 64,
        "in_channels": 1024,
        "num_classes": 1_000_000,
    }
)
_WHOLE = frozenset({"resolutions", "kernels", "strides", "depths", "in_channels", "num_classes"})
Fault = tuple[str, str, str]  # the field, what is wrong with it, what to try


def faults(space: SpaceFields) -> Iterator[Fault]:
    """Each fault of a space's fields."""
    if space.family not in FAMILIES:
        yield "family", f"family = {space.family!r}; known: {', '.join(FAMILIES)}", "use one of them"
        return
    shape = FAMILIES[space.family]
    yield from _unordered(space)
    yield from _absurd(space)
    if any(kernel not in shape.kernels for kernel in space.kernels):
        known = ", ".join(map(str, shape.kernels))
        yield "kernels", f"kernels = {space.kernels!r}", f"use some of {known}"
    stages = len(shape.stages)
    if len(space.strides) != stages + 1 or any(stride not in (1, 2) for stride in space.strides):
        wanted = f"wanted {stages + 1} values of 1 or 2: the stem, then the stages"
        yield "strides", f"strides = {space.strides!r}; {wanted}", f"for example strides = {list(shape.strides)}"
    if bool(space.width_ratios) != bool(shape.width_ratios):
        wanted = "wanted some" if shape.width_ratios else "widths are fixed in this family"
        yield "width_ratios", f"width_ratios = {space.width_ratios!r}; {wanted}", f"use {list(shape.width_ratios)}"
    if space.width_mult <= 0 or space.in_channels < 1 or space.num_classes < 2:
        given = f"width_mult = {space.width_mult}, in_channels = {space.in_channels}, num_classes = {space.num_classes}"
        yield "width, channels or classes", given, "use a positive width, at least one channel and two classes"


def _absurd(space: SpaceFields) -> Iterator[Fault]:
    """Figures that no network has: counting what such a space holds would take for ever, or all memory."""
    for field, most in _MOST.items():
        value = getattr(space, field)
        values = value if isinstance(value, tuple) else (value,)
        shown = f"{field} = {values[:3]!r}..." if len(values) > 3 else f"{field} = {value!r}"
        if len(values) > _MOST_CHOICES or not all(math.isfinite(item) and item <= most for item in values):
            yield field, f"{shown}; wanted at most {_MOST_CHOICES} values of at most {most}", "smaller values"
        elif field in _WHOLE and not all(isinstance(item, int) for item in values):
            yield field, f"{shown}; wanted whole numbers", "whole numbers"


def _unordered(space: SpaceFields) -> Iterator[Fault]:
    least = min(FAMILIES[space.family].depths)
    for field in ("resolutions", "kernels", "expands", "depths", "width_ratios"):
        values = getattr(space, field)
        if field == "width_ratios" and not values:
            continue
        in_range = bool(values) and (values[0] >= min(1, least) if field == "depths" else values[0] > 0)
        if not in_range or list(values) != sorted(set(values)):
            wanted = "wanted positive values in rising order, each once"
            yield field, f"{field} = {values!r}; {wanted}", f"sort {field} and drop repeats"
