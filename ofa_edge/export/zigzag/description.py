"""One engine as ZigZag describes an accelerator: an array of multipliers, its memories from the array outwards.

Read here, and checked, so that limits and errors need no ZigZag. What would have ZigZag start another program (costs by
CACTI) is no key of ours.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from ofa_edge.errors import ConfigError
from ofa_edge.files import bounded_text, sha256_bytes
from ofa_edge.plain_yaml import read_plain_yaml
from ofa_edge.schema import Strict, validated

_LARGEST = 1 << 18  # characters of a file; ours have 4,000
_VALUES = 4000
_OPERANDS = ("I1", "I2", "O")  # maps read, weights, maps written
Bits = Annotated[int, Field(ge=1, lt=1 << 50)]
Energy = Annotated[float, Field(ge=0, le=1e9)]  # pJ
Dimension = Annotated[str, Field(pattern=r"^D[1-4]$")]
Operand = Literal["I1", "I2", "O"]


class _Port(Strict):
    name: Annotated[str, Field(pattern=r"^r?w?_port_\d{1,3}$")]
    type: Literal["read", "write", "read_write"]
    bandwidth_min: Bits
    bandwidth_max: Bits
    allocation: tuple[Annotated[str, Field(pattern=r"^(I[12]|O), (fh|tl|fl|th)$")], ...]


class _Memory(Strict):
    size: Bits
    r_cost: Energy
    w_cost: Energy
    area: Annotated[float, Field(ge=0)] = 0.0
    latency: Annotated[int, Field(ge=0, le=1 << 20)]
    operands: tuple[Operand, ...] = Field(min_length=1)
    ports: tuple[_Port, ...] = Field(min_length=1, max_length=16)
    served_dimensions: tuple[Dimension, ...] = ()
    force_double_buffering: bool = False


class _Multipliers(Strict):
    unit_energy: Energy
    unit_area: Annotated[float, Field(ge=0)] = 0.0
    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    sizes: tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.sizes) != len(self.dimensions):
            raise ValueError(f"{len(self.dimensions)} dimensions and {len(self.sizes)} sizes")
        return self


class _File(Strict):
    name: str
    memories: dict[str, _Memory] = Field(min_length=2, max_length=16)  # from the array outwards
    operational_array: _Multipliers
    dataflows: dict[Dimension, tuple[Annotated[str, Field(pattern=r"^(B|G|K|C|OX|OY|FX|FY), [1-9]\d{0,4}$")], ...]]

    @model_validator(mode="after")
    def _off_chip_last(self) -> Self:
        name, last = list(self.memories.items())[-1]
        if set(last.operands) != set(_OPERANDS):
            raise ValueError(f"the last memory, {name}, is what lies off the chip: it has to hold I1, I2 and O")
        known = set(self.operational_array.dimensions)
        used = {each for memory in self.memories.values() for each in memory.served_dimensions} | set(self.dataflows)
        if unknown := sorted(used - known):
            raise ValueError(f"{unknown[0]} is no dimension of the operational_array")
        return self


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        path: its file.
        content: of it, as ZigZag takes it.
        multipliers: MACs a cycle.
        sram_bytes: of memories on the chip, but those that each multiplier has for itself.
        offchip_bits: a cycle, to or from what lies off the chip.
    """

    path: Path
    content: dict[str, Any]
    multipliers: int
    sram_bytes: int
    offchip_bits: int

    @property
    def digest(self) -> str:
        """Of what is described: comments do not count."""
        return sha256_bytes(json.dumps(self.content).encode())  # not sorted: memories stand in their order


def read_engine(path: Path) -> Engine:
    """An engine's file.

    Raises:
        ConfigError: it cannot be read, is no plain YAML, or does not fit; names the key.
    """
    try:
        raw = read_plain_yaml(bounded_text(path, _LARGEST), _VALUES)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"cannot read the engine {path.name}",
            f"{path}: {' '.join(str(error).split())}",
            "targets/zu3eg.pointwise.yaml of ofa-edge is a whole one",
        ) from error
    hint = "correct it; zu3eg.pointwise.yaml of ofa-edge is a whole one"
    file = validated(_File, raw, f"engine {path.name}", path, hint)
    memories = list(file.memories.values())
    array = set(file.operational_array.dimensions)
    shared = [each for each in memories[:-1] if set(each.served_dimensions) == array]
    return Engine(
        path=path,
        content=file.model_dump(mode="json"),
        multipliers=math.prod(file.operational_array.sizes),
        sram_bytes=sum(each.size for each in shared) // 8,
        offchip_bits=max(port.bandwidth_max for port in memories[-1].ports),
    )
