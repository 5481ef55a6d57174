"""A network for the TVM runner."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (3, 6, 5)
CLASSES = 4


def write_net(path: Path, seed: int = 0) -> Path:
    """One convolution, one pooling, one classifier."""
    random = np.random.default_rng(seed)
    shapes = {"kernel": (8, 3, 3, 3), "matrix": (CLASSES, 8), "bias": (CLASSES,)}
    weights = [numpy_helper.from_array(random.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("HardSwish", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "matrix", "bias"], ["logits"], transB=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", (1, *SHAPE)), ("logits", (1, CLASSES)))
    ]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
