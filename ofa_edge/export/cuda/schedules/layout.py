"""NHWC for a whole network, its weights turned with it."""

from typing import Any


def channels_last(module: Any) -> Any:
    """NHWC with HWIO weights: neighbouring channels lie side by side, and their count is a multiple of 8.

    Args:
        module: a Relax module with one function `main`, its weights inside.
    """
    from tvm import ir
    from tvm.relax import transform as t

    from ofa_edge.export.tvm.relax import without_clip
    from ofa_edge.export.tvm.schedules.layout import fold_constants

    layouts = {"relax.nn.conv2d": ["NHWC", "HWIO"]}  # pooling and the rest follow
    before = [t.DecomposeOpsForInference(), t.CanonicalizeBindings(), t.ConvertLayout(layouts), t.Normalize()]
    after = [t.FoldConstant(), t.CanonicalizeBindings(), t.EliminateCommonSubexpr(), t.DeadCodeElimination()]
    module = without_clip(t.FoldConstant()(fold_constants(module)))
    return ir.transform.Sequential(after)(fold_constants(ir.transform.Sequential(before)(module)))
