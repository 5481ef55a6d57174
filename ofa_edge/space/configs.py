"""Subnets out of configuration files: our own, and both dialects of the reference."""

from collections.abc import Iterator, Mapping
from typing import Any

from ofa_edge.errors import ConfigError
from ofa_edge.space.fields import SpaceFields
from ofa_edge.space.subnet import Pair, Subnet


def read_config(space: SpaceFields, config: Mapping[str, Any]) -> Subnet:
    """Read a subnet; not yet checked against the space.

    Raises:
        ConfigError: keys are missing, or lists do not fit each other.
    """
    try:
        widths = _widths(space, config)
        return Subnet(_stages(space, config), _resolution(space, config), widths)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        third = "w" if space.width_ratios else "ks"
        raise ConfigError(
            "not a subnet configuration",
            f"{type(error).__name__}: {error}",
            f'give {{"{third}": [...], "e": [...], "d": [...], "r": 224}}',
        ) from error


def _resolution(space: SpaceFields, config: Mapping[str, Any]) -> int:
    size = config.get("r", config.get("image_size", space.resolutions[-1]))
    return int(size[0] if isinstance(size, list | tuple) else size)


def _widths(space: SpaceFields, config: Mapping[str, Any]) -> tuple[float, ...]:
    if not space.width_ratios:
        return ()
    if "widths" in config:
        return tuple(float(ratio) for ratio in config["widths"])
    indices = [int(index) for index in config["w"]]
    if min(indices) < 0:
        raise ValueError(f"negative width index in {indices}")
    return tuple(space.width_ratios[index] for index in indices)


def _depths(space: SpaceFields, config: Mapping[str, Any]) -> list[int]:
    """Blocks a stage. The reference samples a depth for Proxyless's single last block too, and ignores it.

    In the reference's form for ResNets, the one with `w`, a depth counts blocks on top of those that are always there.
    """
    if "blocks" in config:
        return [int(depth) for depth in config["blocks"]]
    stages = zip([int(depth) for depth in config["d"]], space.shape.stages, strict=True)
    return [shape.blocks(depth, space.depths) if shape.single or "w" in config else depth for depth, shape in stages]


def _left_out(space: SpaceFields, config: Mapping[str, Any]) -> list[Pair | None]:
    """Of each stage, what all its blocks are where the vectors leave them out; None where they have them."""
    stages = space.shape.stages
    if "w" in config:
        return [None if shape.expand is None else (space.shape.kernels[0], shape.expand) for shape in stages]
    first = (3, 1) if "blocks" in config and "ks" not in config else None
    return [first, *[None] * (len(stages) - 1)]


def _stages(space: SpaceFields, config: Mapping[str, Any]) -> tuple[tuple[Pair, ...], ...]:
    """(kernel, expand) pairs a stage. The vectors hold all blocks of the supernet, or only those that are kept."""
    depths, left_out = _depths(space, config), _left_out(space, config)
    expands = [each if float(each) != int(each) else int(each) for each in config["e"]]
    known = "ks" not in config and ("blocks" in config or len(space.shape.kernels) == 1)
    kernels = [3] * len(expands) if known else [int(each) for each in config["ks"]]
    longest = [depths[-1] for depths in space.stage_depths]
    kept = sum(depth for depth, pair in zip(depths, left_out, strict=True) if pair is None)
    full = len(kernels) == sum(most for most, pair in zip(longest, left_out, strict=True) if pair is None) != kept
    pairs: Iterator[Pair] = zip(kernels, expands, strict=True)
    stages: list[tuple[Pair, ...]] = []
    for depth, most, pair in zip(depths, longest, left_out, strict=True):
        if pair is not None:
            stages.append((pair,) * depth)
            continue
        taken = [each for _, each in zip(range(max(depth, most) if full else depth), pairs, strict=False)]
        if len(taken) < depth:
            raise ValueError(f"{len(kernels)} kernels and {len(expands)} expand ratios for depths {depths}")
        stages.append(tuple(taken[:depth]))
    if next(pairs, None) is not None:
        raise ValueError(f"{len(kernels)} kernels and {len(expands)} expand ratios for depths {depths}")
    return tuple(stages)
