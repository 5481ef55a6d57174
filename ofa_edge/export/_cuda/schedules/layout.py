"""NHWC for a whole network, its weights turned with it."""

from typing import Any


def channels_last(module: Any) -> Any:
    """NHWC with HWIO weights: neighbouring channels lie side by side, and their count is a multiple of 8.

    Args:
        module: a Relax module with one function `main`, its weights inside.
    """
    from tvm import ir
    from tvm.relax import transform as t

    from ofa_edge.export.relax import without_clip

    layouts = {"relax.nn.conv2d": ["NHWC", "HWIO"]}  # pooling and the rest follow
    before = [t.DecomposeOpsForInference(), t.CanonicalizeBindings(), t.ConvertLayout(layouts), t.Normalize()]
    after = [t.FoldConstant(), t.CanonicalizeBindings(), t.EliminateCommonSubexpr(), t.DeadCodeElimination()]
    module = without_clip(t.FoldConstant()(fold_moves(module)))
    return ir.transform.Sequential(after)(fold_moves(ir.transform.Sequential(before)(module)))


def fold_moves(module: Any) -> Any:
    """Turn and reshape weights here. FoldConstant does it too, but compiles a program for each: 0.1 s a weight.

    Given
        w' = permute_dims(const(w), axes), or reshape(const(w), shape)
    Result
        const(w')
    """
    import numpy as np
    from tvm import ir, relax

    @relax.expr_functor.mutator
    class MoveFolder(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
        def visit_call_(self, call: Any) -> Any:
            call = super().visit_call_(call)
            name = getattr(call.op, "name", "")
            if name not in ("relax.permute_dims", "relax.reshape"):
                return call
            source = self.lookup_binding(call.args[0]) if isinstance(call.args[0], relax.Var) else call.args[0]
            if not isinstance(source, ir.GenericConst):
                return call
            value = source.value.numpy()
            if name == "relax.reshape":
                value = value.reshape([int(size) for size in call.ty.shape])
            else:
                axes = call.attrs.axes
                value = value.transpose(None if axes is None else [int(axis) for axis in axes])
            return relax.const(np.ascontiguousarray(value), str(source.value.dtype))

    folder = MoveFolder(module)
    folder.builder_.update_func(module.get_global_var("main"), folder.visit_expr(module["main"]))
    return folder.builder_.get()
