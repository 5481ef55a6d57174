"""Multiplications by a constant number, moved downstream into the weights of the next layer.

Given::

    s = x * (1/6)                                # what hard activations leave behind
    y = Conv(Relu(s), w, b)

Result::

    y = Conv(Relu(x), w / 6, b)

A factor travels through what is homogeneous (ReLU, means, reshapes, products) until a Conv, Gemm or MatMul takes it
into its weights. Where it meets an addition, the other side is brought to the same factor in the weights of the
convolution that makes it, and the sum carries the factor on. Only where neither works is a multiplication left.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node

_HOMOGENEOUS = frozenset({"Relu", "GlobalAveragePool", "ReduceMean", "Flatten", "Reshape", "Squeeze", "Identity"})
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


def sink_scales(graph: Graph) -> Graph:
    """Remove positive constant factors from between the layers."""
    sinking = _Sinking(graph)
    for node in graph.nodes:
        sinking.visit(node)
    return sinking.result()


@dataclass
class _Sinking:
    """One walk over the graph.

    Attributes:
        graph: what is rewritten.
        stored: for each value seen so far, the name of the value that now stands for it, and the factor that is still
            owed: original = factor * stand-in.
        emitted: the new nodes by the name of their output, in order.
    """

    graph: Graph
    stored: dict[str, tuple[str, float]] = field(default_factory=dict)
    emitted: dict[str, Node] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(init=False)
    uses: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.constants = dict(self.graph.constants)
        self.uses = self.graph.uses()

    def visit(self, node: Node) -> None:
        """Emit `node`, or what takes its place."""
        scaled = self._as_scale(node)
        if scaled is not None:
            name, factor = scaled
            stand_in, owed = self._resolve(name)
            self.stored[node.output] = (stand_in, owed * factor)
        elif node.op in _WEIGHTED and node.inputs[1] in self.constants:
            self._absorb(node)
        elif node.op in _HOMOGENEOUS:
            self._emit(node, self._resolve(node.inputs[0])[1])
        elif node.op == "Mul" and not self._constant_inputs(node):
            left, right = (self._resolve(name)[1] for name in node.inputs)
            self._emit(node, left * right)
        elif node.op == "Add" and not self._constant_inputs(node):
            self._add(node)
        else:
            self._pay_inputs(node)
            self._emit(node, 1.0)

    def result(self) -> Graph:
        """The new graph; factors still owed by its outputs are paid."""
        for name in self.graph.outputs:
            self._pay(name)
        return replace(
            self.graph,
            nodes=tuple(self.emitted.values()),
            constants=self.constants,
            outputs=tuple(self._resolve(name)[0] for name in self.graph.outputs),
            stand_ins=self.stored,
        )

    def _resolve(self, name: str) -> tuple[str, float]:
        return self.stored.get(name, (name, 1.0))

    def _constant_inputs(self, node: Node) -> bool:
        return any(name in self.constants for name in node.inputs)

    def _as_scale(self, node: Node) -> tuple[str, float] | None:
        """(value, factor) where `node` multiplies a value by one positive constant number."""
        if node.op != "Mul":
            return None
        for value, other in (node.inputs, node.inputs[::-1]):
            number = self.constants.get(other)
            if number is None or value in self.constants or not self._is_number(number, value):
                continue
            if number.item() > 0:
                return value, float(number.item())
        return None

    def _is_number(self, constant: NDArray[Any], value: str) -> bool:
        """Whether a constant only scales a value: [1, 1, 1, 1] would make a map of a row."""
        return constant.size == 1 and constant.dtype == np.float32 and (constant.ndim < 2 or value in self.graph.maps)

    def _emit(self, node: Node, owed: float) -> None:
        """Emit `node` reading stand-ins; its own output owes `owed`."""
        inputs = tuple(self._resolve(name)[0] for name in node.inputs)
        self.emitted[node.output] = replace(node, inputs=inputs)
        self.stored[node.output] = (node.output, owed)

    def _absorb(self, node: Node) -> None:
        """A layer with weights pays what its input owes: w * (f x) = (f w) * x."""
        for name in node.inputs[2:]:
            self._pay(name)  # a bias that is computed
        factor = self._resolve(node.inputs[0])[1]
        if factor != 1:
            node = self._with_scaled(node, 1, factor)
        self._emit(node, 1.0)

    def _add(self, node: Node) -> None:
        """Bring both sides to one factor; the sum owes it."""
        (left, owed_left), (right, owed_right) = (self._resolve(name) for name in node.inputs)
        if owed_left != owed_right:
            if self._can_scale(left):
                self._scale_layer(left, owed_left / owed_right)
                self.stored[node.inputs[0]] = (left, owed_right)
                owed_left = owed_right
            elif self._can_scale(right):
                self._scale_layer(right, owed_right / owed_left)
                self.stored[node.inputs[1]] = (right, owed_left)
            else:
                self._pay_inputs(node)
                owed_left = 1.0
        self._emit(node, owed_left)

    def _can_scale(self, name: str) -> bool:
        """Whether a value is made by a layer with constant weights and read only once."""
        maker = self.emitted.get(name)
        fits = maker is not None and maker.op in _WEIGHTED and all(each in self.constants for each in maker.inputs[1:])
        return fits and self.uses.get(name) == 1

    def _scale_layer(self, name: str, factor: float) -> None:
        """Multiply the output of an emitted layer, weights and bias, by `factor`."""
        layer = self.emitted[name]
        for position in range(1, len(layer.inputs)):
            layer = self._with_scaled(layer, position, factor)
        self.emitted[name] = layer

    def _with_scaled(self, node: Node, position: int, factor: float) -> Node:
        """`node` with its constant input at `position` multiplied; the old constant may have other readers."""
        old = self.constants[node.inputs[position]]
        name = f"{node.output}/scaled {position}"
        self.constants[name] = (old.astype(np.float64) * factor).astype(old.dtype)
        return replace(node, inputs=(*node.inputs[:position], name, *node.inputs[position + 1 :]))

    def _pay_inputs(self, node: Node) -> None:
        for name in node.inputs:
            self._pay(name)

    def _pay(self, name: str) -> None:
        """Multiply a value by what it owes: the way out where nothing downstream can absorb it."""
        stand_in, owed = self._resolve(name)
        if owed == 1:
            return
        factor, paid = f"{name}/factor", f"{name}/paid"
        self.constants[factor] = np.asarray(owed, np.float32)
        self.emitted[paid] = Node("Mul", f"{name}/pay", (stand_in, factor), paid)
        self.stored[name] = (paid, 1.0)
