"""Any ONNX file on this machine's CPU, by ONNX Runtime: what all else is held against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.unshare import unshare_steps


def run_onnx(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the model over images, one at a time on one thread: exactly the graph that ships, repeatable to the bit.

    Args:
        path: an ONNX file of one input and one output.
        inputs: [N, C, H, W] float32, normalised; or of whatever shape the model takes.

    Returns:
        Logits, [N, classes] float32; outputs of another shape are flattened, several stand one behind the other.
    """
    session = open_session(path)
    name = session.get_inputs()[0].name
    rows = [in_a_row(session.run(None, {name: inputs[i : i + 1]})) for i in range(len(inputs))]
    return np.concatenate(rows).astype(np.float32)


def in_a_row(outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Outputs one behind the other, [1, values]."""
    return np.concatenate([each.reshape(1, -1) for each in outputs], axis=1)


def open_session(path: Path) -> Any:
    """ONNX Runtime on one thread of this machine's CPU. Raises classes of ONNX Runtime's own, derived from Exception.

    Sums of two int8 products saturate on x86 CPUs that have no VNNI unless it is told to be exact, which it cannot be
    on every file that was quantised elsewhere.
    """
    import onnxruntime

    def session(model: Path | bytes, exact: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.x64quantprecision", exact)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    states = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        return session(path, "1")
    except states.NotImplemented:
        return session(path, "0")
    except states.Fail:
        return session(_unshared(path), "1")


def _unshared(path: Path) -> bytes:
    import onnx

    model = onnx.load(path)
    unshare_steps(model.graph)
    return bytes(model.SerializeToString())
