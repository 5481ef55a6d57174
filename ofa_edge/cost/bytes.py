"""How many bytes a subnet takes: its artifact as a file, and its maps while it runs.

Both are tables over blocks, so that a search can hold thousands of subnets against a limit in milliseconds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost.counts import BlockTable, Operator
from ofa_edge.space import Space

Floats = NDArray[np.float64]
_WIDE = 5  # depthwise kernels above it are split for TFLite, and each part is an operator with constants of its own


@dataclass(frozen=True)
class SizeModel:
    """Bytes of an artifact, fitted to recorded ones by `python benchmarks/artifact_sizes.py`.

    Attributes:
        weight: bytes of a weight; not fitted, the format's.
        channel: bytes of an output channel of an operator that has weights: biases, scales, padding.
        operator: bytes of an operator.
        wide: bytes of a depthwise operator with a kernel above 5, on top.
        wide_channel: bytes of an output channel of such an operator, on top.
        constant: bytes of any artifact.
        error: the largest relative error over the recorded artifacts.
    """

    weight: float
    channel: float
    operator: float
    wide: float
    wide_channel: float
    constant: float
    error: float

    @property
    def coefficients(self) -> Floats:
        """Bytes of each of `size_terms`: [6]."""
        return np.array([self.weight, self.channel, self.operator, self.wide, self.wide_channel, self.constant])

    def table(self, space: Space) -> BlockTable:
        """Bytes of many genomes at once: [N, 1]. The constant is in every stem and head."""
        table = BlockTable(space, lambda part: (size_terms(part) @ self.coefficients[:-1])[None])
        table.fixed += self.constant
        return table


def size_terms(part: tuple[Operator, ...]) -> Floats:
    """What a size model weighs: weights, output channels, operators, wide depthwise ones, their channels: [5].

    A network has one more term, the constant.
    """
    own = [each for each in part if each.weights]
    wide = [each for each in own if each.kind == "depthwise" and each.kernel > _WIDE]
    return np.array(
        [
            sum(each.weights for each in own),
            sum(each.out_channels for each in own),
            len(part),
            len(wide),
            sum(each.out_channels for each in wide),
        ],
        dtype=np.float64,
    )


def peak_elements(part: tuple[Operator, ...]) -> int:
    """The most values of maps that are alive at once while these operators run one after the other, batch 1.

    An operator's input and output live together; what a shortcut adds lives until it is added, and what
    squeeze-and-excite scales lives while the scales are computed. Additions, scales and hard-swish write over an input.
    A runtime's arena may be larger: this is what the network itself asks for.
    """
    waiting = np.zeros(len(part), dtype=np.int64)
    for index, operator in enumerate(part):
        if operator.kind == "add":
            start = _shortcut(part[:index], operator.out_elements)
            waiting[start + 1 : index] += max(operator.out_elements, part[start].in_elements)
        if operator.kind == "scale":
            pool = max(i for i in range(index) if part[i].kind == "pool")
            waiting[pool + 1 : index] += operator.out_elements
    in_place = ("add", "scale", "h_swish")
    own = [each.in_elements + (0 if each.kind in in_place else each.out_elements) for each in part]
    return int((waiting + own).max())


def _shortcut(before: tuple[Operator, ...], size: int) -> int:
    """Which operator reads what a shortcut adds: the first of a map of that size; else the first (a projection)."""
    readers = [i for i, each in enumerate(before) if each.kind in ("pointwise", "depthwise", "conv")]
    same = [i for i in readers if before[i].in_elements == size]
    return same[0] if same else readers[0]


def peak_table(space: Space) -> BlockTable:
    """`peak_elements` of each choice, stem and head together; its `most` gives those of many genomes."""
    return BlockTable(space, lambda part: np.array([float(peak_elements(part))]))
