"""A network as the layers that ZigZag is asked about, and what goes on beside them.

A depthwise convolution and the pointwise one behind it run at once where an array is pipelined: the map between them is
handed over on the chip. Everything else reads its map from off the chip and writes it there, as ZigZag has it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ofa_edge.cost import Operator

EngineName = Literal["pointwise", "depthwise"]
Streamed = Literal["", "I", "O"]  # the map that is handed over on the chip: read, written
_DENSE = ("conv", "pointwise", "dense")
_LOOPS = ("G", "K", "C", "OY", "OX", "FY", "FX")
_EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"


@dataclass(frozen=True)
class Layer:
    """One convolution on one engine: all that ZigZag's answer depends on besides the engine.

    Attributes:
        engine: that runs it.
        streamed: what does not go off the chip.
        sizes: of the loops G, K, C, OY, OX, FY, FX.
        stride, read: of its map: height and width.
    """

    engine: EngineName
    streamed: Streamed
    sizes: tuple[int, ...]
    stride: int
    read: tuple[int, int]

    @classmethod
    def of(cls, operator: Operator, streamed: Streamed = "") -> "Layer":
        """Of a convolution or a fully connected layer."""
        deep = operator.kind == "depthwise"
        groups = operator.in_channels if deep else operator.groups
        height, rows = operator.out_size, operator.kernel
        width = height if operator.out_width is None else operator.out_width
        columns = rows if operator.kernel_width is None else operator.kernel_width
        read = (operator.in_size, operator.in_size if operator.in_width is None else operator.in_width)
        channels = (operator.out_channels // groups, operator.in_channels // groups)
        sizes = (groups, *channels, height, width, rows, columns)
        return cls("depthwise" if deep else "pointwise", streamed, sizes, operator.stride, read)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return math.prod(self.sizes)

    def workload(self) -> dict[str, Any]:
        """As ZigZag takes a layer: batch 1, int8, sums of 32 bits."""
        padding = []
        for out, taps, read in zip(self.sizes[3:5], self.sizes[5:], self.read, strict=True):
            missing = max(0, (out - 1) * self.stride + taps - read)
            padding.append([missing // 2, missing - missing // 2])
        return {
            "id": 0,
            "name": "layer",
            "operator_type": "Conv",
            "equation": _EQUATION,
            "dimension_relations": [f"ix={self.stride}*ox+1*fx", f"iy={self.stride}*oy+1*fy"],
            "loop_dims": ["B", *_LOOPS],
            "loop_sizes": [1, *self.sizes],
            "operand_precision": {"O": 32, "O_final": 8, "W": 8, "I": 8},
            "operand_source": {"W": 0, "I": 0},
            "pr_loop_dims": ["IY", "IX"],
            "pr_loop_sizes": list(self.read),
            "padding": padding,
        }


@dataclass(frozen=True)
class Step:
    """What runs at one time: one layer or two, or a map that is read without multiplications.

    Attributes:
        name: in words.
        layers: at once.
        moved_bytes: to or from off the chip, besides the layers' own.
    """

    name: str
    layers: tuple[Layer, ...] = ()
    moved_bytes: int = 0


def steps(network: Sequence[Operator], pipelined: bool) -> Iterator[Step]:
    """A network's steps in order. Raises ValueError: an operator that no engine runs, in words.

    Additions read their second map, products with a gate read and write theirs, pooling reads its own: one byte an
    element, counted by hand. Activations cost nothing on the way out of an engine.
    """
    waiting: Operator | None = None
    for operator in network:
        kind, what = operator.kind, _words(operator)
        if waiting is not None and kind == "pointwise":
            yield Step(f"{_words(waiting)} + {what}", (Layer.of(waiting, "O"), Layer.of(operator, "I")))
            waiting = None
            continue
        if kind == "h_swish":
            continue
        if waiting is not None:
            yield Step(_words(waiting), (Layer.of(waiting),))
            waiting = None
        if kind == "depthwise" and pipelined:
            waiting = operator
        elif kind in ("depthwise", *_DENSE):
            yield Step(what, (Layer.of(operator),))
        elif kind == "add":
            yield Step(what, moved_bytes=operator.out_elements)
        elif kind == "scale":
            yield Step(what, moved_bytes=2 * operator.out_elements)
        elif kind == "pool":
            yield Step(what, moved_bytes=operator.in_elements)
        else:
            raise ValueError(what)
    if waiting is not None:
        yield Step(_words(waiting), (Layer.of(waiting),))


def _words(operator: Operator) -> str:
    size = f"{operator.in_channels} to {operator.out_channels} channels at {operator.out_size}"
    taps = f" {operator.kernel}x{operator.kernel}" if operator.kernel > 1 else ""
    return f"{operator.kind}{taps}, {size}"
