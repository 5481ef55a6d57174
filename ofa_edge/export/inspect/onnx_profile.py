"""The time of each node of an ONNX file, told by ONNX Runtime while it runs the whole file as it is."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ofa_edge.errors import ModelFileError
from ofa_edge.export.onnx.load import load_model

RUNS, WARM_UP = 15, 3


@dataclass(frozen=True)
class OnnxProfile:
    """Least milliseconds of each node, by its name as findings have it, and of the whole; of one thread."""

    ms: Mapping[str, float]
    whole_ms: float


def profile_onnx(path: Path, shapes: Mapping[str, Sequence[int]] = MappingProxyType({})) -> OnnxProfile:
    """Run a file on random numbers, unoptimised, so that its nodes are those of the file.

    Args:
        path: the file.
        shapes: of its inputs, by name; of others a free size is taken as 1.

    Raises:
        ModelFileError: it cannot be read, or ONNX Runtime does not run it.
    """
    import onnxruntime

    model = load_model(path).model
    names = {f"n{number}": node.name or f"#{number}" for number, node in enumerate(model.graph.node)}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="ofa-edge-profile-") as folder:
        options.profile_file_prefix = str(Path(folder) / "ort")
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            given = {each.name: _random(shapes.get(each.name, each.shape), each.type) for each in session.get_inputs()}
            for _ in range(WARM_UP + RUNS):
                session.run(None, given)
        except Exception as error:  # ONNX Runtime's own classes have no common one
            raise ModelFileError(
                f"ONNX Runtime does not run {path.name}",
                " ".join(str(error).split()),
                "leave out --profile, or give the file fixed shapes",
            ) from error
        events = json.loads(Path(session.end_profiling()).read_bytes())
    nodes, wholes = defaultdict(list), []
    for event in events:
        name = str(event.get("name", ""))
        if name == "model_run":
            wholes.append(event["dur"] / 1e3)
        elif event.get("cat") == "Node" and name.endswith("_kernel_time"):
            nodes[name.removesuffix("_kernel_time")].append(event["dur"] / 1e3)
    ms: dict[str, float] = defaultdict(float)
    for name, values in nodes.items():
        if name in names:  # nodes in bodies belong to the node that has the body
            ms[names[name]] += min(values[WARM_UP:], default=min(values))
    return OnnxProfile(dict(ms), min(wholes[WARM_UP:]))


def _random(shape: Sequence[int | str], kind: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
    types = {"float": "f4", "float16": "f2", "double": "f8", "int64": "i8", "int32": "i4", "bool": "?"}
    dtype = np.dtype(types.get(kind.removeprefix("tensor(").removesuffix(")"), kind[7:-1]))
    return np.random.default_rng(0).standard_normal(sizes).astype(dtype)
