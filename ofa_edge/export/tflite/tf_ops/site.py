"""A node where it is built."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value, ordered, plain


@dataclass(frozen=True)
class Site:
    """What a function of the map gets.

    Attributes:
        tf: the tensorflow module (imported by the caller: these files must be cheap to import).
        node: what is built.
        args: its inputs: a computed value, a constant in ONNX's layout, or None if left out.
        source: the node that computes the first input; None for the image.
    """

    tf: ModuleType
    node: Node
    args: tuple[Value | NDArray[Any] | None, ...]
    source: Node | None = None

    @property
    def x(self) -> Value:
        """The first input, which must be a computed value."""
        return self.value(0)

    @property
    def image(self) -> Value:
        """The first input, which must be a map, in NHWC."""
        value = self.x
        if value.rank != 4:
            raise self.node.refused(f"its input has {value.rank} dimensions", "only maps [1, C, H, W] are mapped")
        return ordered(self.tf, value, IMAGE)

    @property
    def row(self) -> Value:
        """The first input in ONNX's own order."""
        return ordered(self.tf, self.x, plain(self.x.rank))

    def value(self, position: int) -> Value:
        """The computed value at `position`."""
        value = self.args[position]
        if not isinstance(value, Value):
            raise self.node.refused(f"its input {position} is a constant", "run onnxsim over the model first")
        return value

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or ONNX's default for it."""
        return self.node.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a string."""
        found = self.attribute(name, default)
        return found.decode() if isinstance(found, bytes) else str(found)

    def weight(self, position: int) -> NDArray[Any]:
        """The constant at `position`."""
        value = self.args[position]
        if not isinstance(value, np.ndarray):
            raise self.node.refused(f"its input {position} is not a constant", "make it a weight of the network")
        return value

    def given(self, position: int) -> bool:
        """Whether there is an input at `position`."""
        return position < len(self.args) and self.args[position] is not None

    def integers(self, position: int, name: str) -> list[int] | None:
        """What newer opsets have as an input, older ones as an attribute: a list, or None where neither is there."""
        if self.given(position):
            return [int(each) for each in self.weight(position).reshape(-1)]
        found: Sequence[int] | None = self.attribute(name, None)
        return None if found is None else [int(each) for each in found]

    def like(self, tensor: Any) -> Value:
        """A result with the axes of the first input."""
        return Value(tensor, self.x.axes)


Builder = Callable[[Site], Value]
