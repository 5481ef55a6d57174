import numpy as np
import pytest
from onnx_text import save_model
from random_graphs import START, STEPS, Drawn, draw

from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.verify.parity import compare

DB = 90.0


def answered(tmp_path, graph: Drawn):
    """Compile a graph, and compare its answers with ONNX Runtime's; what the rules did."""
    path = save_model(tmp_path / "m.onnx", "\n".join(graph.lines), START, **graph.weights)
    library = tvm.compile_cpu(path, tmp_path / "m.so", tvm.host_target())
    image = np.random.default_rng(7).normal(size=START).astype(np.float32)
    wanted, found = run_onnx(path, image), tvm.load_module(library.file.path)(image)
    assert found.shape == wanted.shape
    assert compare(wanted.reshape(1, -1), found.reshape(1, -1)).snr_db >= DB, graph.kinds
    return library.schedules


@pytest.mark.parametrize("name", sorted(STEPS))
def test_each_operator_between_two_convolutions(tmp_path, name):
    graph = Drawn(np.random.default_rng(1))
    STEPS["dense"](graph)
    STEPS[name](graph)
    STEPS["pointwise"](graph)
    graph.node(f"Identity({graph.value})", "logits")
    assert answered(tmp_path, graph).layout == "NHWC"


@pytest.mark.parametrize("seed", range(10))
def test_random_graphs(tmp_path, seed):
    assert answered(tmp_path, draw(seed)).layout == "NHWC"
