"""Channels last, wherever a rule says how; every other operator is a border, with operands as the graph has them.

TVM's own `ConvertLayout` turns operators that cannot be compiled then, or that answer otherwise. Here a value is a
tensor and the order in which its axes lie (`axes.py`). A rule computes an operator from operands of another order;
transposes and most reshapes of the graph only change the order, and no number moves until a border asks for it.

Given
    y = conv2d(x[N, C, H, W], w)
    z = permute_dims(y, [0, 2, 3, 1])
    t = conv2d_transpose(y, v)
Result
    y' = conv2d(permute_dims(x, [0, 2, 3, 1]), w', data_layout="NHWC")
    z  = y'
    t  = conv2d_transpose(permute_dims(y', [0, 3, 1, 2]), v)
"""

from typing import Any

from ofa_edge.export.tvm.schedules.kept import Kept, Values, shape_of
from ofa_edge.export.tvm.schedules.turning_rules import RULES


def turn(module: Any, *, planes: bool = False) -> Any:
    """Keep pictures of a module's `main` channels last, from its first convolution or pooling on.

    Args:
        module: of Relax.
        planes: whether the first convolution reads a picture's channels one behind the other, as they are given.
    """
    from tvm import relax

    @relax.expr_functor.mutator
    class Turner(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def __init__(self, module: Any) -> None:
            super().__init__(module)
            self.values = Values(self, planes)

        def visit_var_binding_(self, binding: Any) -> None:
            made = _made(binding.value, self.values)
            if made is None or not _fits(binding.var, made):
                super().visit_var_binding_(binding)
            elif isinstance(binding.var, relax.DataflowVar):
                self.values.known[binding.var] = made
            else:
                super().visit_var_binding_(relax.VarBinding(binding.var, self.values.given(binding.var, made)))

        def visit_dataflow_var_(self, var: Any) -> Any:
            made = self.values.known.get(var)
            return super().visit_dataflow_var_(var) if made is None else self.values.given(var, made)

    turner = Turner(module)
    turner.builder_.update_func(module.get_global_var("main"), turner.visit_expr(module["main"]))
    return turner.builder_.get()


def _made(value: Any, values: Values) -> Kept | None:
    """What a rule makes of an operator; None at a border."""
    from tvm import relax

    if isinstance(value, relax.TupleGetItem):
        made = values.known.get(value.tuple_value)
        return None if made is None else Kept(values.emit(relax.TupleGetItem(made.value, value.index)), made.order)
    if not isinstance(value, relax.Call):
        return None
    rule = RULES.get(getattr(value.op, "name", ""))
    try:
        return None if rule is None else rule(value, values)
    except (TypeError, ValueError):  # a shape that is no number
        return None


def _fits(var: Any, made: Kept) -> bool:
    """Whether a rule kept a tensor's shape; what a tuple's parts are is not looked at."""
    from tvm import relax

    if isinstance(var.ty, relax.TupleType):
        return True
    wanted, found = shape_of(var), shape_of(made.value)
    return len(wanted) == len(found) and [wanted[axis] for axis in made.order] == list(found)
