"""The graph before fusion: channels last, and no operator that hides behind a slower one.

ONNX's pictures are [1, C, H, W]. Vectors want channels to be neighbours, so convolutions, pooling and all between them
become [1, H, W, C] with weights [k, k, C, F]; one transpose stays at the input, or none where the first convolution
reads the picture as it lies. Each step below is a graph that computes the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tvm.relax import without_clip
from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.turning import turn


def prepare(module: Any, isa: Isa) -> Any:
    """Bring a Relax module into the form that the rules take on a CPU with such vectors."""
    from tvm import ir, relax

    steps = relax.transform

    def run(module: Any, *passes: Any) -> Any:
        return ir.transform.Sequential(list(passes))(module)

    module = fold_constants(run(module, steps.DecomposeOpsForInference(), steps.CanonicalizeBindings()))
    module = run(module, steps.CanonicalizeBindings(), steps.EliminateCommonSubexpr())
    module = run(module, steps.FoldConstant(), steps.CanonicalizeBindings())
    module = run(turn(without_division(without_clip(module)), planes=isa.memory_operands), steps.Normalize())
    module = run(fold_constants(module), steps.CanonicalizeBindings(), steps.FoldConstant())
    module = run(module, steps.CanonicalizeBindings())
    return run(module, steps.EliminateCommonSubexpr(), steps.DeadCodeElimination())


def fold_constants(module: Any) -> Any:
    """Fold what constants are prepared by: FoldConstant compiles a program for each, in a tenth of a second.

    Given
        w = permute_dims(const[F, C, k, k], [2, 3, 1, 0])
    Result
        w = const[k, k, C, F]
    """
    from tvm import ir, relax

    @relax.expr_functor.mutator
    class Folder(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            if (work := _FOLDED.get(getattr(call.op, "name", ""))) is None:
                return call
            tensors = [arg for arg in call.args if not isinstance(arg, relax.ShapeExpr)]
            known = [self.lookup_binding(arg) if isinstance(arg, relax.Var) else arg for arg in tensors]
            if not all(isinstance(each, ir.GenericConst) for each in known):
                return call
            with np.errstate(over="ignore"):  # what float16 does not hold is infinite, there as here
                value = work(call, *(each.value.numpy() for each in known))
            return call if value is None else relax.const(np.asarray(value, order="C"), str(call.ty.dtype))

    return _rewritten(module, Folder(module))


def _permuted(call: Any, value: NDArray[Any]) -> NDArray[Any]:
    axes = call.attrs.axes
    return value.transpose(None if axes is None else [int(axis) for axis in axes])


def _converted(call: Any, value: NDArray[Any]) -> NDArray[Any] | None:
    return value.astype(str(call.attrs.dtype)) if value.ndim else None  # a scalar goes into the kernel


_FOLDED: Mapping[str, Callable[..., NDArray[Any] | None]] = {
    "relax.permute_dims": _permuted,
    "relax.reshape": lambda call, value: value.reshape([int(size) for size in call.ty.shape]),
    "relax.astype": _converted,
    "relax.isnan": lambda _, value: np.isnan(value),  # these two are how the importer writes bounds of Clip
    "relax.where": lambda _, *values: np.where(*values),
}


def without_division(module: Any) -> Any:
    """Multiply by the reciprocal: a vector division takes an order of magnitude longer, and no compiler may change it.

    Given
        y = divide(x, const(6))
    Result
        y = multiply(x, const(1 / 6)), which differs in the last bit
    """
    from tvm import ir, relax

    @relax.expr_functor.mutator
    class Reciprocals(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name == "relax.divide" and isinstance(call.args[1], ir.GenericConst):
                value = call.args[1].value.numpy()
                inverse = np.reciprocal(value.astype(np.float64)).astype(value.dtype)
                if np.issubdtype(value.dtype, np.floating) and np.isfinite(inverse).all():
                    return relax.op.multiply(call.args[0], relax.const(inverse))
            return call

    return _rewritten(module, Reciprocals(module))


def _rewritten(module: Any, rewriter: Any) -> Any:
    rewriter.builder_.update_func(module.get_global_var("main"), rewriter.visit_expr(module["main"]))
    return rewriter.builder_.get()
