"""ONNX Runtime on files that others quantised: exact sums, whatever the steps share."""

import numpy as np
import onnx
import pytest
from own_networks import SIZE, pictures, save_classifier

from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.onnx.unshare import unshare_steps


@pytest.fixture
def images():
    return (pictures(40)[0].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5


def share(path, out):
    """Make one zero point of all that are equal, as simplifying does."""
    model = onnx.load(path)
    zeros = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            value = next(each for each in model.graph.initializer if each.name == node.input[2])
            key = (value.data_type, tuple(value.dims), onnx.numpy_helper.to_array(value).tobytes())
            node.input[2] = zeros.setdefault(key, node.input[2])
    onnx.save(model, out)
    return model


def test_shared_steps_change_no_answer(tmp_path, images):
    quantise(save_classifier(tmp_path / "f.onnx", shape=(1, 3, SIZE, SIZE)), tmp_path / "q.onnx", images)
    model = share(tmp_path / "q.onnx", tmp_path / "shared.onnx")
    wanted = run_onnx(tmp_path / "q.onnx", images)
    np.testing.assert_array_equal(run_onnx(tmp_path / "shared.onnx", images), wanted)
    unshare_steps(model.graph)
    read = [name for node in model.graph.node if "Linear" in node.op_type for name in node.input[1:]]
    assert len(set(read)) == len(read)
    onnx.checker.check_model(model, full_check=True)
