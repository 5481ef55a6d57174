"""The units that a space's latency is made of: stem, fused blocks and head, each at every size, and the call itself.

A block is one unit wherever it stands: blocks of the same shape share one, as they share a measurement.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import BlockTable, Operator, frames
from ofa_edge.space import Genomes, Space

UnitKind = Literal["stem", "block", "head", "call"]
Operators = tuple[Operator, ...]
_APART = 2.0  # distance between shapes that differ in kind: activation, gate, shortcut, stride


@dataclass(frozen=True)
class Unit:
    """One unit: a name that says all that shapes it, and the operators that the runtime fuses and runs."""

    name: str
    kind: UnitKind
    operators: Operators

    @property
    def place(self) -> NDArray[np.float64]:
        """Where it stands among its kind: near units have like errors. Octaves of sizes and widths, then switches."""
        first, core = self.operators[0], _core(self.operators)
        kinds = [each.kind for each in self.operators]
        sizes = (first.in_size, first.in_channels, core.out_channels, _last(self.operators).out_channels)
        switches = ("h_swish" in kinds, "scale" in kinds, "add" in kinds, core.stride > 1)
        return np.array([*(math.log2(size) for size in sizes), core.kernel / 2, *(_APART * on for on in switches)])


class UnitTable:
    """All units of a space, and which of them each genome runs.

    Attributes:
        units: distinct; the call is the last.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._index: dict[tuple[UnitKind, Operators], int] = {}
        ends = {(*stem, *head): (stem, head) for stem, head in frames(space)}

        def measure(operators: Operators) -> NDArray[np.float64]:
            pair = ends.get(operators)
            if pair is None:
                return np.array([self._number("block", operators)] * 2, dtype=np.float64)
            return np.array([self._number("stem", pair[0]), self._number("head", pair[1])], dtype=np.float64)

        self._table = BlockTable(space, measure)
        elastic = bool(space.width_ratios)
        named = [Unit(_name(kind, operators, elastic), kind, operators) for kind, operators in self._index]
        self.units: tuple[Unit, ...] = (*named, Unit("call", "call", ()))
        self.by_name = {unit.name: index for index, unit in enumerate(self.units)}
        if len(self.by_name) != len(self.units):  # a name that leaves out what shapes a unit would merge two
            raise ValueError(f"two units of space '{space.name}' share a name")

    def number(self, kind: UnitKind, operators: Operators) -> int:
        """Place in `units` of what these operators make. Raises KeyError where the space has no such unit."""
        return len(self.units) - 1 if kind == "call" else self._index[kind, operators]

    def _number(self, kind: UnitKind, operators: Operators) -> int:
        return self._index.setdefault((kind, operators), len(self._index))

    def rows(self, genomes: Genomes) -> NDArray[np.intp]:
        """Numbers of the units of each genome: stem, head, call, then blocks; `len(units)` stands for a skipped one.

        Args:
            genomes: [N, genome_length].

        Returns:
            [N, 3 + blocks].
        """
        fixed, blocks = self._table.gather(genomes)
        call = np.full((len(genomes), 1), len(self.units) - 1)
        kept = np.where(self.space.active(genomes), blocks[:, :, 0], len(self.units))
        return np.hstack([fixed, call, kept]).astype(np.intp)

    def counts(self, genomes: Genomes) -> NDArray[np.float64]:
        """How often each genome runs each unit: [N, units]."""
        rows = self.rows(genomes)
        counts = np.zeros((len(genomes), len(self.units) + 1))
        np.add.at(counts, (np.arange(len(genomes))[:, None], rows), 1.0)
        return counts[:, :-1]


@functools.lru_cache(maxsize=4)
def unit_table(space: Space) -> UnitTable:
    """The units of a space, told apart once."""
    return UnitTable(space)


def _core(operators: Operators) -> Operator:
    """The operator that a unit is built around: its depthwise or its k x k convolution, else its first."""
    return next((each for each in operators if each.kind in ("depthwise", "conv")), operators[0])


def _last(operators: Operators) -> Operator:
    """The last operator that shapes the output."""
    return next(each for each in reversed(operators) if each.kind in ("pointwise", "conv", "dense", "pool"))


def _name(kind: UnitKind, operators: Operators, elastic: bool) -> str:
    first, core, last = operators[0], _core(operators), _last(operators)
    parts = [kind, f"input:{first.in_size}x{first.in_size}x{first.in_channels}"]
    parts.append(f"output:{last.out_size}x{last.out_size}x{last.out_channels}")
    parts.append(f"middle:{core.out_channels}")
    if kind != "block":
        between = [each.out_channels for each in operators if each.weights][1:-1] if elastic else []
        return "-".join([*parts, *(f"then:{channels}" for channels in between)])
    kinds = [each.kind for each in operators]
    projected = kinds.count("pointwise") > 2  # ResNet: the shortcut has a convolution of its own
    parts += [f"kernel:{core.kernel}", f"stride:{core.stride}"]
    parts += [f"se:{int('scale' in kinds)}", f"hs:{int('h_swish' in kinds)}", f"add:{int('add' in kinds) + projected}"]
    return "-".join(parts)
