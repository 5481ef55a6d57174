import numpy as np
from onnx_text import save_model

from ofa_edge.export.tvm.relax import import_onnx
from ofa_edge.export.tvm.schedules.layout import fold_constants

BODY = """
t = Transpose<perm=[1,0,2,3]>(weights)
c = Conv(input, t, bias)
b = Clip(c, low, high)
logits = Conv<group=3>(b, wide)
"""


def test_constants_become_what_tvm_would_make_of_them(tmp_path):
    """Transposed, reshaped (a bias) and converted to float16, beyond whose numbers one of them lies."""
    from tvm import ir, relax

    wide, low, high = (
        np.random.default_rng(0).normal(size=(3, 1, 1, 1)).astype(np.float32),
        np.float32(0),
        np.float32(6),
    )
    wide[1] = 1e6
    weights = {"weights": (4, 3, 1, 1), "bias": (3,), "wide": wide, "low": low, "high": high}
    path = save_model(tmp_path / "m.onnx", BODY, (1, 4, 5, 5), **weights)
    fold, mixed = relax.transform.FoldConstant(), relax.transform.ToMixedPrecision()
    shapes = import_onnx(path)
    folded = fold_constants(shapes)
    ir.assert_structural_equal(fold(folded), fold(shapes))
    assert [word for word in ("permute_dims", "reshape", "isnan", "where") if word in folded.script()] == []
    half = mixed(folded)
    ir.assert_structural_equal(fold(fold_constants(half)), fold(half))
    assert half.script().count("astype") == fold_constants(half).script().count("astype") + 2  # two weights
