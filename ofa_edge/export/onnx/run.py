"""Any ONNX file on this machine's CPU, by ONNX Runtime: what all else is held against."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.unshare import unshare_steps
from ofa_edge.onnx_weights import lift_constants


def run_onnx(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the model over images, one at a time on one thread: exactly the graph that ships, repeatable to the bit.

    Args:
        path: an ONNX file of float32 inputs.
        inputs: [N, C, H, W] float32, normalised; or of whatever shape the model takes; of several inputs [N, values],
            one behind the other.

    Returns:
        Logits, [N, classes] float32; outputs of another shape are flattened, several stand one behind the other.
    """
    session = open_session(path)
    rows = [in_a_row(session.run(None, each)) for each in feeds(session, inputs)]
    return np.concatenate(rows).astype(np.float32)


def feeds(session: Any, inputs: NDArray[np.float32]) -> Iterator[dict[str, NDArray[np.float32]]]:
    """What a session of float32 inputs is given for each of `inputs` (see `run_onnx`)."""
    entries = session.get_inputs()
    names = [each.name for each in entries]
    for at in range(len(inputs)):
        if len(entries) == 1:
            yield {names[0]: inputs[at : at + 1]}
        else:
            yield dict(zip(names, parted(inputs[at], [each.shape for each in entries]), strict=True))


def parted(row: NDArray[np.float32], shapes: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """The inputs that stand one behind the other in a row, each in its shape. Raises ValueError for another count."""
    sizes = [math.prod(map(int, shape)) for shape in shapes]
    if row.size != sum(sizes):
        raise ValueError(f"{row.size} values for inputs of {sizes}")
    pieces = np.split(row.reshape(-1), np.cumsum(sizes)[:-1])
    return [piece.reshape(tuple(shape)) for piece, shape in zip(pieces, shapes, strict=True)]


def in_a_row(outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Outputs one behind the other, [1, values]."""
    return np.concatenate([each.reshape(1, -1) for each in outputs], axis=1)


def open_session(path: Path, *, optimised: bool = True) -> Any:
    """ONNX Runtime on one thread of this machine's CPU; each node as it stands if not `optimised`.

    Raises classes of ONNX Runtime's own, derived from Exception.

    Sums of two int8 products saturate on x86 CPUs that have no VNNI unless it is told to be exact, which it cannot be
    on every file that was quantised elsewhere, nor where layers share weights.
    """
    import onnxruntime

    def session(model: Path | bytes, exact: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        if not optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.x64quantprecision", exact)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    states = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        return session(path, "1")
    except states.NotImplemented:
        return session(path, "0")
    except states.Fail:
        pass
    try:
        return session(_unshared(path), "1")
    except states.Fail:  # layers that share their weights, as those of two images do
        return session(path, "0")


def _unshared(path: Path) -> bytes:
    import onnx

    model = onnx.load(path)
    lift_constants(model)
    unshare_steps(model.graph)
    return bytes(model.SerializeToString())
