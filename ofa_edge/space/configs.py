"""Subnets out of configuration files: our own, and both dialects of the reference.

A vector may be one number, which then holds everywhere, as in the reference's `set_active_subnet(ks=7, e=6, d=4)`.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ofa_edge.errors import ConfigError
from ofa_edge.space.fields import SpaceFields
from ofa_edge.space.subnet import Pair, Subnet
from ofa_edge.space.words import one_of

_KEYS = ("ks", "e", "d", "r", "image_size", "wid", "w", "blocks", "widths")
_BESIDE = ("top1", "balanced")  # what pairs.json says of a subnet beside its configuration


def read_config(space: SpaceFields, config: Mapping[str, Any]) -> Subnet:
    """Read a subnet; every choice of a block that it keeps is one of the space.

    Raises:
        ConfigError: a key is missing, unknown or of a form that it cannot have; says the lengths and values wanted.
    """
    return _Reader(space, config).subnet()


class _Reader:
    """One configuration beside the space that it is to be of."""

    def __init__(self, space: SpaceFields, config: Mapping[str, Any]) -> None:
        self.space, self.config = space, config
        if not isinstance(config, Mapping):
            raise self._fault(f"it is {_shown(config)}, wanted keys and values")
        if isinstance(config.get("classifier"), Mapping):
            raise self._fault("it is a net.config", "oe.from_net_config, or ofa-edge zoo import --subnet")
        for key in config:
            if key not in (*_KEYS, *_BESIDE):
                near = difflib.get_close_matches(str(key), ("resolution", "ratio", *_KEYS), n=1)
                meant = {"resolution": "r", "ratio": "e"}.get(near[0], near[0]) if near else ""
                raise self._fault(f"unknown key '{key!s:.40}'" + (f", perhaps '{meant}'" if meant else ""))
        if config.get("wid") is not None:
            raise self._fault(f"wid = {_shown(config['wid'])}; the only value known is null")

    def subnet(self) -> Subnet:
        widths = self._widths()
        return Subnet(self._stages(), self._resolution(), widths)

    # -- values --------------------------------------------------------------------------------------------------

    def _fault(self, why: str, hint: str | None = None) -> ConfigError:
        space = self.space
        first = "w" if space.width_ratios else "ks"
        most = len(space.width_ratios) - 1 if space.width_ratios else space.kernels[-1]
        example = f'{{"{first}": {most}, "e": {space.expands[-1]:g}, "d": {space.depths[-1]}, '
        example += f'"r": {space.resolutions[-1]}}}'
        usual = f"for example {example}; a list in place of a number gives each block or stage its own"
        return ConfigError(f"not a subnet configuration of space '{space.name}'", why, hint or usual)

    def _choice(self, name: str, value: Any, allowed: Sequence[float]) -> Any:
        """The one of `allowed` that a value is."""
        number = _number(value)
        for each in allowed:
            if each == number:
                return each
        raise self._fault(f"{name} is {_shown(value)}, wanted {one_of(allowed)}")

    def _vector(self, key: str, lengths: Mapping[int, str]) -> Any:
        """A list of one of the lengths, each said in words; or the one value that is to hold everywhere."""
        if self.config.get(key) is None:
            given = ", ".join(str(each) for each, value in self.config.items() if value is not None)
            raise self._fault(f"no '{key}'" + (f", only {given}" if given else ""))
        value = _plain(self.config[key])
        if not isinstance(value, list):
            return value
        if len(value) not in lengths:
            wanted = " or ".join(f"{length} ({words})" for length, words in lengths.items())
            raise self._fault(f"{key} has {len(value)} values, wanted {wanted}, or one number for all")
        return value

    # -- parts ---------------------------------------------------------------------------------------------------

    def _resolution(self) -> int:
        given = {key: _plain(self.config[key]) for key in ("r", "image_size") if self.config.get(key) is not None}
        sizes = []
        for key, value in given.items():
            if isinstance(value, list) and len(value) != 1:
                raise self._fault(f"{key} has {len(value)} values, wanted one size")
            size = value[0] if isinstance(value, list) else value
            sizes.append(self._choice(key, size, self.space.resolutions))
        if len(set(sizes)) > 1:
            raise self._fault(f"r is {sizes[0]} and image_size {sizes[1]}: they are one thing")
        return sizes[0] if sizes else self.space.resolutions[-1]

    def _widths(self) -> tuple[float, ...]:
        space, given = self.space, [key for key in ("w", "widths") if key in self.config]
        if not space.width_ratios:
            if given:
                raise self._fault(f"{given[0]}: the widths of this space are fixed")
            return ()
        key = "widths" if "widths" in given else "w"
        count = space.shape.slots[-1] + 1
        values = self._vector(key, {count: "one a width"})
        values = values if isinstance(values, list) else [values] * count
        allowed: Sequence[float] = space.width_ratios if key == "widths" else range(len(space.width_ratios))
        chosen = [self._choice(f"{key}[{index}]", value, allowed) for index, value in enumerate(values)]
        return tuple(chosen) if key == "widths" else tuple(space.width_ratios[index] for index in chosen)

    def _depths(self) -> list[int]:
        """Blocks a stage. The reference samples a depth for Proxyless's single last block too, and ignores it.

        In the reference's form for ResNets, the one with `w`, a depth counts blocks on top of those always there.
        """
        space, key = self.space, "blocks" if "blocks" in self.config else "d"
        shapes = space.shape.stages
        values = self._vector(key, {len(shapes): "one a stage"})
        values = values if isinstance(values, list) else [values] * len(shapes)
        depths = []
        for stage, (value, shape) in enumerate(zip(values, shapes, strict=True)):
            name = f"{key}[{stage}]"
            if key == "d" and shape.single:
                depths.append(1)
            elif key == "d" and "w" in self.config:
                depths.append(shape.blocks(self._choice(name, value, space.depths), space.depths))
            else:
                depths.append(self._choice(name, value, space.stage_depths[stage]))
        return depths

    def _left_out(self) -> list[Pair | None]:
        """Of each stage, what all its blocks are where the vectors leave them out; None where they have them."""
        stages = self.space.shape.stages
        if "w" in self.config:
            return [None if shape.expand is None else (self.space.shape.kernels[0], shape.expand) for shape in stages]
        first = (3, 1) if "blocks" in self.config and "ks" not in self.config else None
        return [first, *[None] * (len(stages) - 1)]

    def _stages(self) -> tuple[tuple[Pair, ...], ...]:
        """(kernel, expand) pairs a stage. The vectors hold all blocks of the supernet, or only those that are kept."""
        depths, left_out = self._depths(), self._left_out()
        free = [pair is None for pair in left_out]
        longest = [own[-1] if here else 0 for own, here in zip(self.space.stage_depths, free, strict=True)]
        kept = [depth if here else 0 for depth, here in zip(depths, free, strict=True)]
        kernels, expands, full = self._vectors(sum(longest), sum(kept))
        steps, start = longest if full else kept, 0
        stages = []
        for shape, pair, depth, step in zip(self.space.shape.stages, left_out, depths, steps, strict=True):
            allowed = shape.expands(self.space.expands)
            taken = [
                (
                    self._choice(f"ks[{index}]", kernels[index], self.space.kernels),
                    self._choice(f"e[{index}]", expands[index], allowed),
                )
                for index in range(start, start + (0 if pair else depth))
            ]
            stages.append((pair,) * depth if pair else tuple(taken))
            start += step
        return tuple(stages)

    def _vectors(self, full: int, kept: int) -> tuple[list[Any], list[Any], bool]:
        """Kernels and expand ratios, and whether they hold the blocks that are skipped too."""
        lengths = {full: "one a block of the supernet"}
        lengths |= {kept: "one a block that is kept"} if kept != full else {}
        known = "ks" not in self.config and ("blocks" in self.config or len(self.space.shape.kernels) == 1)
        given = {"ks": 3 if known else self._vector("ks", lengths), "e": self._vector("e", lengths)}
        sizes = {key: len(value) for key, value in given.items() if isinstance(value, list)}
        if len(set(sizes.values())) > 1:
            words = " and ".join(f"{key} {size}" for key, size in sizes.items())
            raise self._fault(f"not as many values in one as in the other: {words}, wanted {full} in both, or {kept}")
        size = max(sizes.values(), default=full)
        kernels, expands = (value if isinstance(value, list) else [value] * size for value in given.values())
        return kernels, expands, size == full


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, tuple) else value


def _number(value: Any) -> float | None:
    """A finite number, also in quotes; None for anything else."""
    value = _plain(value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
