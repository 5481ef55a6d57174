import pytest
from compiled import run
from onnx_text import save_model

from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.apply import fuse
from ofa_edge.export.tvm.schedules.joins import with_whole_vectors

BODY = "a = Conv(input, w) c = Concat<axis=1>(a, input, a) r = Mul(c, k) logits = Conv(r, v)"


def weights(inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    joined = inputs + 2 * outputs
    return {"w": (outputs, inputs, 1, 1), "k": (1, joined, 1, 1), "v": (8, joined, 1, 1)}


def join(tmp_path, inputs: int, outputs: int):
    """The fused function that joins the channels."""
    path = save_model(tmp_path / "m.onnx", BODY, (1, inputs, 8, 8), **weights(inputs, outputs))
    module, _ = fuse(tvm.import_onnx(path), tvm.make_target(tvm.host_target(), "llvm"))
    return next(func for variable, func in module.functions_items() if "concat" in variable.name_hint)


def test_joins_at_whole_vectors_choose_by_vectors(tmp_path):
    assert not with_whole_vectors(func := join(tmp_path, 16, 32), 8).same_as(func)


def test_other_joins_stay(tmp_path):
    assert with_whole_vectors(func := join(tmp_path, 12, 34), 8).same_as(func)


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 32), (12, 34), (8, 8), (8, 12)])
def test_answers(inputs, outputs):
    assert not run(BODY, (1, inputs, 5, 6), **weights(inputs, outputs)).fallbacks
