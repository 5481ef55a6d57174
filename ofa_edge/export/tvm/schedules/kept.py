"""Values of a graph that is being turned: as what each is kept, and how to get it in another order."""

from dataclasses import dataclass
from typing import Any

from ofa_edge.export.tvm.schedules.axes import Order, as_given, permutation, same_memory


@dataclass(frozen=True)
class Kept:
    """A value of the graph: an expression, whose axes lie in `order`; of every part, where it is a tuple."""

    value: Any
    order: Order


class Values:
    """What became of each variable so far, and the ways to ask for it in an order.

    Attributes:
        known: variables that are kept otherwise than the graph says, or under another name.
        planes: see `turning.turn`.
    """

    def __init__(self, mutator: Any, planes: bool) -> None:
        self._mutator = mutator
        self.planes = planes
        self._given: dict[Any, Any] = {}
        self.known: dict[Any, Kept] = {}

    def emit(self, value: Any) -> Any:
        """A variable of its own."""
        return self._mutator.builder_.emit(value)

    def computed(self, name: str, function: Any, *operands: Any) -> Any:
        """A variable that a function of TVM's tensor expressions makes of operands; `name` is part of its own."""
        return self.emit(self._mutator.builder_.call_te(function, *operands, primfunc_name_hint=name))

    def lookup(self, value: Any) -> Kept:
        """An operand as it is kept now."""
        if value in self.known:
            return self.known[value]
        return Kept(self._mutator.visit_expr(value), as_given(len(shape_of(value))))

    def in_order(self, value: Any, wanted: Order) -> Any:
        """An operand in an order; transposed for it where it lies otherwise."""
        return self.moved(self.lookup(value), wanted)

    def given(self, var: Any, made: Kept) -> Any:
        """A value as the graph says, transposed once for all who ask."""
        from tvm import relax

        if var not in self._given:
            if isinstance(var.ty, relax.TupleType):
                parts = (self.emit(relax.TupleGetItem(made.value, index)) for index in range(len(var.ty.fields)))
                moved = [self.moved(Kept(part, made.order), as_given(len(made.order))) for part in parts]
                self._given[var] = self.emit(relax.Tuple(moved))
            else:
                self._given[var] = self.moved(made, as_given(len(made.order)))
        return self._given[var]

    def moved(self, kept: Kept, wanted: Order) -> Any:
        """A value in an order."""
        from tvm import ir, relax

        if kept.order == wanted:
            return kept.value
        axes = permutation(kept.order, wanted)
        if isinstance(kept.value, ir.GenericConst):
            return relax.const(kept.value.value.numpy().transpose(axes).copy(), str(kept.value.value.dtype))
        lying = shape_of(kept.value)
        shape = [lying[axis] for axis in axes]
        if same_memory(lying, as_given(len(lying)), axes):
            return self.emit(relax.op.reshape(kept.value, shape))
        return self.emit(relax.op.permute_dims(kept.value, axes))


def shape_of(value: Any) -> tuple[int, ...]:
    """Of a tensor; raises TypeError or ValueError where it is no number, or the value no tensor."""
    shape = value.ty.shape
    return tuple(int(size) for size in shape)
