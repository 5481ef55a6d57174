"""Small ONNX models with the operators of OFA-MobileNetV3, made by hand: no network, no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 12, 12)
CLASSES = 5
CORTEX_A57 = {
    "kind": "llvm",
    "mtriple": "aarch64-linux-gnu",
    "mcpu": "cortex-a57",
    "mattr": ["+neon"],
    "num-cores": 4,
}
JETSON_NANO = {
    "kind": "cuda",
    "arch": "sm_53",
    "max_threads_per_block": 1024,
    "max_shared_memory_per_block": 49152,
    "registers_per_block": 32768,
    "thread_warp_size": 32,
    "host": CORTEX_A57,
}


class Graph:
    """A chain of nodes; each call appends one and returns the name of its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def weight(self, shape: Sequence[int], scale: float) -> str:
        name = f"w{len(self.weights)}"
        values = self.random.normal(0, scale, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def conv(self, x: str, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        fan_in = inputs // groups * kernel**2
        weight = self.weight((outputs, inputs // groups, kernel, kernel), (2 / fan_in) ** 0.5)
        bias = self.weight((outputs,), 0.1)
        pads = [kernel // 2] * 4
        return self.node(
            "Conv", x, weight, bias, group=groups, strides=[stride] * 2, pads=pads, kernel_shape=[kernel] * 2
        )

    def model(self, output: str, batch: int | str = 1) -> onnx.ModelProto:
        shape = [batch, *SHAPE[1:]]
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["logits"], name="logits")],
            "main",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mobile_net(extra: str | None = None, batch: int | str = 1) -> onnx.ModelProto:
    """A stem, one inverted residual block with a 5x5 depthwise convolution and squeeze-and-excite, a head.

    Args:
        extra: an operator to put before the classifier.
        batch: of input and output; a name makes it dynamic.
    """
    g = Graph()
    stem = g.node("HardSwish", g.conv("input", 3, 8, kernel=3, stride=2))
    wide = g.node("HardSwish", g.conv(stem, 8, 24))
    deep = g.node("Relu", g.conv(wide, 24, 24, kernel=5, groups=24))
    pooled = g.node("GlobalAveragePool", deep)
    gate = g.node("HardSigmoid", g.conv(g.node("Relu", g.conv(pooled, 24, 8)), 8, 24), alpha=1 / 6, beta=0.5)
    block = g.node("Add", stem, g.conv(g.node("Mul", deep, gate), 24, 8))
    flat = g.node("Flatten", g.node("GlobalAveragePool", block))
    if extra is not None:
        flat = g.node(extra, flat)
    return g.model(g.node("Gemm", flat, g.weight((CLASSES, 8), 0.5), g.weight((CLASSES,), 0.1), transB=1), batch)


def save(model: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def images(count: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 1, (count, *SHAPE[1:])).astype(np.float32)


def reference(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": inputs[i : i + 1]})[0] for i in range(len(inputs))])
