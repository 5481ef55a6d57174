"""One operator of a network, and the error that says that it is what cannot be converted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ofa_edge.errors import ConversionError


@dataclass(frozen=True)
class Node:
    """One operator with one output. An optional input that is left out is the empty string, as in ONNX."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def refused(self, why: str, hint: str) -> "NodeRefusedError":
        """The error that says this node cannot be converted."""
        return NodeRefusedError(self, why, hint)


class PartRefusedError(ConversionError):
    """A part of the network is what cannot be converted: the nodes that give `outputs`."""

    def __init__(self, what: str, why: str, hint: str, outputs: Collection[str]) -> None:
        super().__init__(what, why, hint)
        self.outputs = tuple(outputs)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.why, self.hint, self.outputs)


class NodeRefusedError(PartRefusedError):
    """One node is what cannot be converted."""

    def __init__(self, node: Node, why: str, hint: str) -> None:
        what = f"cannot convert node '{node.name}', operator {node.op}"
        super().__init__(what, why, hint, (node.output,))
        self.node = node

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.node, self.why, self.hint)
