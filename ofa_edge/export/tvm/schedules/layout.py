"""The graph before fusion: channels last, and no operator that hides behind a slower one.

ONNX's pictures are [1, C, H, W]. Vectors want channels to be neighbours, so convolutions, pooling and all between them
become [1, H, W, C] with weights [k, k, C, F]; one transpose stays at the input. Each step below is a graph that
computes the same.
"""

from typing import Any

from ofa_edge.export.tvm.relax import without_clip
from ofa_edge.export.tvm.schedules.turning import turn


def prepare(module: Any) -> Any:
    """Bring a Relax module into the form that the rules take."""
    from tvm import ir, relax

    steps = relax.transform

    def run(module: Any, *passes: Any) -> Any:
        return ir.transform.Sequential(list(passes))(module)

    module = fold_shapes(run(module, steps.DecomposeOpsForInference(), steps.CanonicalizeBindings()))
    # Bounds of clip become constants: once for all equal ones, for FoldConstant compiles a program for each.
    module = run(module, steps.CanonicalizeBindings(), steps.EliminateCommonSubexpr())
    module = run(module, steps.FoldConstant(), steps.CanonicalizeBindings())
    module = run(turn(without_division(without_clip(module))), steps.Normalize())
    module = run(fold_shapes(module), steps.CanonicalizeBindings(), steps.FoldConstant(), steps.CanonicalizeBindings())
    return run(module, steps.EliminateCommonSubexpr(), steps.DeadCodeElimination())


def fold_shapes(module: Any) -> Any:
    """Transpose and reshape constants here: FoldConstant compiles a program for each, a tenth of a second a time.

    Given
        w = permute_dims(const[F, C, k, k], [2, 3, 1, 0])
    Result
        w = const[k, k, C, F]
    """
    import numpy as np
    from tvm import ir, relax

    @relax.expr_functor.mutator
    class Folder(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name not in ("relax.permute_dims", "relax.reshape"):
                return call
            source = self.lookup_binding(call.args[0]) if isinstance(call.args[0], relax.Var) else call.args[0]
            if not isinstance(source, ir.GenericConst):
                return call
            value = source.value.numpy()
            if name == "relax.permute_dims":
                axes = call.attrs.axes
                value = value.transpose(None if axes is None else [int(axis) for axis in axes])
            else:
                value = value.reshape([int(size) for size in call.ty.shape])
            return relax.const(np.ascontiguousarray(value), str(source.value.dtype))

    return _rewritten(module, Folder(module))


def without_division(module: Any) -> Any:
    """Multiply by the reciprocal: a vector division takes an order of magnitude longer, and no compiler may change it.

    Given
        y = divide(x, const(6))
    Result
        y = multiply(x, const(1 / 6)), which differs in the last bit
    """
    import numpy as np
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
