"""Networks that are given quantised: QDQ files and QLinear operators, as a float graph and the steps it was given.

    x_q = QuantizeLinear(x, s, z)   x' = DequantizeLinear(x_q, s, z)   ->   x in steps of s
    w' = DequantizeLinear(w_q, s, 0)                                   ->   a constant in steps of s
    y_q = QLinearConv(x_q, ..., w_q, ..., y_s, y_z, b)                 ->   y = Conv(x, w', b'), y in steps of y_s

Nothing is rounded anew: who converts the graph stores its values in those very steps (`tflite.integers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node

QUANTISING = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"})


@dataclass(frozen=True)
class Steps:
    """How a value is stored: real = (integer - zero) * scale, integers of int8; of a constant one scale a channel."""

    scale: NDArray[np.float64]
    zero: int


@dataclass(frozen=True)
class Lifted:
    """A quantised network.

    Attributes:
        graph: the same in real numbers, without what quantises.
        steps: of its values and constants, by name.
    """

    graph: Graph
    steps: Mapping[str, Steps]


def lift(graph: Graph) -> Lifted | None:
    """The quantised network that a graph is; None where nothing in it is quantised.

    Raises:
        NodeRefusedError: 16-bit or 4-bit integers, weights with a zero point, or steps that are computed.
    """
    if not any(node.op in QUANTISING for node in graph.nodes):
        return None
    lifting = _Lifting(graph)
    for node in graph.nodes:
        lifting.visit(node)
    outputs = tuple(lifting.alias.get(name, name) for name in graph.outputs)
    lifted = replace(graph, nodes=tuple(lifting.nodes), constants=lifting.constants, outputs=outputs)
    return Lifted(lifted, lifting.steps)


@dataclass
class _Lifting:
    """One walk over the graph. `alias`: for a quantised or dequantised value, the real one in its place."""

    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.constants = dict(self.graph.constants)

    def visit(self, node: Node) -> None:
        """Keep a node, or what it stands for."""
        if node.op == "QuantizeLinear":
            self._quantise(node, node.inputs[0], node.output, *self._rest(node, 1))
        elif node.op == "DequantizeLinear":
            self._dequantise(node)
        elif node.op in ("QLinearConv", "QLinearMatMul"):
            self._integer_layer(node)
        elif node.op == "Identity":
            self.alias[node.output] = self._real(node.inputs[0])
        else:
            self.nodes.append(replace(node, inputs=tuple(self._real(name) for name in node.inputs)))

    def _real(self, name: str) -> str:
        return self.alias.get(name, name)

    def _quantise(self, node: Node, real: str, made: str, scale: str, zero: str) -> None:
        """A computed value gets steps. Rounded twice to the same steps it is rounded once."""
        name, found = self._real(real), self._steps(node, scale, zero)
        known = self.steps.get(name)
        if known is not None and (known.zero != found.zero or not np.array_equal(known.scale, found.scale)):
            raise node.refused(f"'{name}' is stored in two ways", "quantise each value once")
        self.steps[name] = found
        self.alias[made] = name

    def _dequantise(self, node: Node) -> None:
        source, (scale, zero) = node.inputs[0], self._rest(node, 1)
        if source in self.constants:
            self.alias[node.output] = self._constant(node, source, scale, zero)
        else:
            self.alias[node.output] = self._real(source)

    def _integer_layer(self, node: Node) -> None:
        """A layer of integers, as the layer of real numbers that it stands for."""
        x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = node.inputs
        del x_zero
        inputs = [self._real(x), self._constant(node, w, w_scale, w_zero)]
        if bias and bias[0]:
            size = self._number(node, x_scale) * self._number(node, w_scale)
            name = f"{node.output}/bias"
            self.constants[name] = (self._number(node, bias[0]) * size).astype(np.float32)
            inputs.append(name)
        real = f"{node.output}/real"
        op = node.op.removeprefix("QLinear")
        self.nodes.append(Node(op, node.name, tuple(inputs), real, node.attributes))
        self._quantise(node, real, node.output, y_scale, y_zero)

    def _constant(self, node: Node, name: str, scale: str, zero: str) -> str:
        """A quantised constant in real numbers. A bias (int32) has no steps of its own: they are its layer's."""
        stored, real = self.constants[name], f"{name}/real"
        scales, zeros = self._number(node, scale), self._number(node, zero) if zero else np.zeros(1)
        if stored.dtype != np.int32 and (stored.dtype not in (np.int8, np.uint8) or (zeros - _shift(stored)).any()):
            raise node.refused(
                f"'{name}' is {stored.dtype} with a zero point", "quantise weights symmetrically, to int8"
            )
        shape = [1] * stored.ndim
        if scales.size > 1:
            # A convolution's output channels are its weights' first axis, a matrix's columns its last.
            places = {"QLinearConv": 0, "QLinearMatMul": stored.ndim - 1}
            shape[places.get(node.op, node.attributes.get("axis", 1))] = -1
        centred = stored.astype(np.float64) - zeros.reshape(-1)[0]
        self.constants[real] = (centred * scales.reshape(shape)).astype(np.float32)
        if stored.dtype != np.int32:
            self.steps[real] = Steps(scales.ravel(), 0)
        return real

    def _steps(self, node: Node, scale: str, zero: str) -> Steps:
        """Of a computed value. uint8 is int8 moved by 128."""
        scales = self._number(node, scale)
        stored = self.constants.get(zero, np.zeros((), np.uint8))
        if scales.size != 1 or stored.dtype not in (np.int8, np.uint8):
            raise node.refused(
                f"{scales.size} scales, integers of type {stored.dtype}", "one scale for a computed value, 8 bits"
            )
        return Steps(scales.ravel(), int(stored.item()) - _shift(stored))

    def _rest(self, node: Node, place: int) -> tuple[str, str]:
        return node.inputs[place], node.inputs[place + 1] if len(node.inputs) > place + 1 else ""

    def _number(self, node: Node, name: str) -> NDArray[np.float64]:
        found = self.constants.get(name)
        if found is None:
            raise node.refused("its steps are computed while it runs", "quantise it statically")
        return found.astype(np.float64)


def _shift(stored: NDArray[Any]) -> int:
    return 128 if stored.dtype == np.uint8 else 0
