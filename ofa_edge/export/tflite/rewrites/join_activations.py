"""Activations that an exporter wrote in pieces, as the one operator that TFLite has for them.

Given::

    e = Erf(x / sqrt(2))                         g = HardSigmoid(x, alpha=1/6, beta=1/2)
    y = x * (e + 1) * 0.5                        y = x * g

Result::

    y = Gelu(x)                                  y = HardSwish(x)

The factors of the product may stand in any order, and x may be divided by sqrt(2) or multiplied by its inverse. Where
the half is missing, because onnxsim put it into the weights of the next layer, what is left is 2 * Gelu(x), and
`sink_scales` puts the 2 there as well. TFLite has no Erf: in pieces, GELU is twenty operators. (Hendrycks and Gimpel,
2016, arXiv 1606.08415; Howard et al., ICCV 2019, section 5.2.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.rewrites.hard_activations import is_torch_hard_sigmoid


def join_activations(graph: Graph) -> Graph:
    """Join each GELU written with Erf, and each hard swish written as x * HardSigmoid(x)."""
    search = _Search(graph)
    constants = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph.nodes:
        found = search.activation(node) if node.op == "Mul" else None
        if found is None:
            nodes.append(node)
            continue
        op, x, factor = found
        if factor == 1:
            nodes.append(Node(op, node.name, (x,), node.output))
            continue
        whole, scale = f"{node.output}/whole", f"{node.output}/factor"
        constants[scale] = np.asarray(factor, np.float32)
        nodes.append(Node(op, f"{node.name}/whole", (x,), whole))
        nodes.append(Node("Mul", node.name, (whole, scale), node.output))
    if tuple(nodes) == graph.nodes:
        return graph
    return replace(graph, nodes=tuple(nodes), constants=constants).still_read()


@dataclass
class _Search:
    """What makes each value of a graph."""

    graph: Graph
    makers: Mapping[str, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.makers = {node.output: node for node in self.graph.nodes}

    def activation(self, product: Node) -> tuple[str, str, float] | None:
        """(operator, x, factor) where a product is an activation of x, times a factor."""
        factors = self._factors(product)
        values = [each for each in factors if isinstance(each, str)]
        number = float(np.prod([each for each in factors if not isinstance(each, str)]))
        for x, gate in (values, values[::-1]) if len(values) == 2 else ():
            maker = self.makers.get(gate)
            if maker is None:
                continue
            if number > 0 and self._is_erf_and_one(maker, x):
                return "Gelu", x, _rounded(2 * number)
            if number > 0 and is_torch_hard_sigmoid(maker) and maker.inputs[0] == x:
                return "HardSwish", x, _rounded(number)
        return None

    def _factors(self, product: Node) -> list[str | float]:
        """Values and numbers whose product it is, two products deep."""
        found: list[str | float] = []
        for name in product.inputs:
            inner = self.makers.get(name)
            if (number := self._number(name)) is not None:
                found.append(number)
            elif inner is not None and inner.op == "Mul" and product is not inner:
                parts = [self._number(each) for each in inner.inputs]
                found += [each if part is None else part for each, part in zip(inner.inputs, parts, strict=True)]
            else:
                found.append(name)
        return found

    def _is_erf_and_one(self, node: Node, x: str) -> bool:
        """Whether it is erf(x / sqrt(2)) + 1."""
        if node.op != "Add":
            return False
        for erf, one in (node.inputs, node.inputs[::-1]):
            maker = self.makers.get(erf)
            if self._number(one) == 1 and maker is not None and maker.op == "Erf":
                scaled = self.makers.get(maker.inputs[0])
                return scaled is not None and self._halves(scaled, x)
        return False

    def _halves(self, node: Node, x: str) -> bool:
        """Whether a node is x / sqrt(2)."""
        left, right = (*node.inputs, "", "")[:2]
        number = self._number(right) if left == x else self._number(left) if right == x else None
        if number is None or node.op not in ("Mul", "Div") or (node.op == "Div" and left != x):
            return False
        scale = 1 / number if node.op == "Div" else number
        return bool(abs(scale - 0.5**0.5) < 1e-6)

    def _number(self, name: str) -> float | None:
        constant = self.graph.constant(name)
        fits = constant is not None and constant.size == 1 and constant.dtype == np.float32
        return float(constant.item()) if fits and constant is not None else None


def _rounded(factor: float) -> float:
    """A factor; 1 where it is that but for rounding."""
    return 1.0 if abs(factor - 1) < 1e-6 else factor
