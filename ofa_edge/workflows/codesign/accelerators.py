"""The accelerators that a co-design chooses among: a file's, or those that a runtime knows."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ofa_edge.errors import ConfigError
from ofa_edge.files import bounded_text, parse_toml
from ofa_edge.names import PlainName
from ofa_edge.runtimes import Runtime, runtime_named, runtimes
from ofa_edge.runtimes.base import ArraySize
from ofa_edge.schema import Strict, changed, validated
from ofa_edge.target_schema import Array, Npu
from ofa_edge.targets import Target, load_target

_USUAL = "ethos-u55-128"  # whose runtime knows those that are meant where none are named
_OF_TABLES = {"npu": _USUAL, "array": "zu3eg"}  # targets with such a table: all else is theirs


class _File(Strict):
    accelerators: dict[PlainName, Npu] = Field(default_factory=dict, max_length=64)
    arrays: dict[PlainName, Array] = Field(default_factory=dict, max_length=64)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.accelerators and not self.arrays:
            raise ValueError("accelerators: there are none, and no arrays")
        if both := sorted(self.accelerators.keys() & self.arrays.keys()):
            raise ValueError(f"{both[0]} is both among accelerators and among arrays")
        return self


@dataclass(frozen=True)
class Accelerator:
    """One that may be chosen: its name, a target that has it, and what it costs."""

    name: str
    target: Target
    size: ArraySize

    @classmethod
    def of(cls, name: str, target: Target) -> "Accelerator":
        """Of a target. Raises ConfigError: it has no accelerator."""
        size = runtime_named(target.runtime.kind).array_size(target)
        if size is None:
            raise ConfigError(
                f"{target.name} has no accelerator",
                f"its runtime, {target.runtime.kind}, is of a CPU or GPU",
                f"one of: {', '.join(_knowing())}, or a TOML file",
            )
        return cls(name, target, size)

    @property
    def runtime(self) -> Runtime:
        """What knows its cycles."""
        return runtime_named(self.target.runtime.kind)


@dataclass(frozen=True)
class Limits:
    """What hardware may cost; None: anything.

    Attributes:
        macs: a cycle.
        sram: bytes on the chip.
        area: square millimetres; an accelerator whose area no source gives is left out.
    """

    macs: int | None = None
    sram: int | None = None
    area: float | None = None

    def allow(self, size: ArraySize) -> bool:
        """Whether an accelerator is within them."""
        pairs = ((self.macs, size.macs_per_cycle), (self.sram, size.sram_bytes), (self.area, size.area_mm2))
        return all(most is None or (has is not None and has <= most) for most, has in pairs)


def read_accelerators(given: str | None, limits: Limits | None = None) -> list[Accelerator]:
    """The accelerators of a file, or all that a runtime knows, within limits.

    Args:
        given: a TOML file with a table `[accelerators.NAME]` or `[arrays.NAME]` for each, as a target's `[npu]` and
            `[array]`; the name of a runtime that knows some; None: all of Arm's.
        limits: of hardware.

    Raises:
        ConfigError: the file cannot be read or does not fit its schema, or no accelerator is within the limits.
    """
    limits = limits or Limits()
    known = _knowing()
    usual = load_target(_USUAL).runtime.kind
    name = usual if given is None else given
    targets = known[name].accelerators() if name in known else _read(Path(name), sorted(known))
    found = [Accelerator.of(each, target) for each, target in targets.items()]
    chosen = [each for each in found if limits.allow(each.size)]
    if not chosen:
        least = min(each.size.macs_per_cycle for each in found)
        smallest = min(each.size.sram_bytes for each in found)
        areas = [each.size.area_mm2 for each in found if each.size.area_mm2 is not None]
        area = f"{min(areas):g} mm2" if areas else "an area that no source gives"
        raise ConfigError(
            "no accelerator is within the limits",
            f"the smallest of {len(found)} have {least} MACs a cycle, {smallest:,} bytes of SRAM, and {area}",
            "larger --macs, --sram or --area" if areas else "larger --macs or --sram; area_mm2 in a file's own tables",
        )
    return chosen


def _knowing() -> Mapping[str, Runtime]:
    return {name: runtime for name, runtime in runtimes().items() if runtime.accelerators()}


def _read(path: Path, known: list[str]) -> dict[str, Target]:
    try:
        raw = parse_toml(bounded_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read accelerators from {path.name}",
            f"{path}: {error}",
            f"--accelerators with a TOML file, or one of: {', '.join(known)}; all of Arm's without it",
        ) from error
    hint = "[accelerators.NAME] has the keys of [npu], [arrays.NAME] those of [array]: ofa-edge targets show zu3eg"
    file = validated(_File, raw, f"accelerators file {path.name}", path, hint)
    tables: list[tuple[str, str, Npu | Array]] = [("npu", *each) for each in file.accelerators.items()]
    tables += [("array", *each) for each in file.arrays.items()]
    return {
        name: changed(load_target(_OF_TABLES[table]), name=name, path=path.resolve(), **{table: value})
        for table, name, value in tables
    }
