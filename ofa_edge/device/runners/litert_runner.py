"""Run a LiteRT model on the device this file was pushed to. Needs only NumPy, ai-edge-litert and `runner_passes.py`.

Nothing of ofa-edge is imported: the files stand alone on the device. See `runner_passes.py` for options and output.

    litert_runner.py MODEL INPUTS.npy OUTPUTS.npy ...

INPUTS is float32 [N, H, W, C], normalised; OUTPUTS float32 [N, classes]. Several inputs stand one behind the other,
[N, values], each as ONNX has it: what is [1, H, W, C] here was [1, C, H, W]. Int8 models are quantised and dequantised
here by the scale and zero point of the model's own tensors.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import sys
import time
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from ofa_edge.device.runners import runner_passes
else:
    import runner_passes


class Model(runner_passes.Model):
    """An interpreter of a model with float inputs and float outputs, whatever their stored type."""

    def __init__(self, options: argparse.Namespace) -> None:
        start = time.perf_counter_ns()
        self.path = options.model
        self.interpreter = Interpreter(model_path=self.path, num_threads=options.threads)
        self.interpreter.allocate_tensors()
        self.load_ns = time.perf_counter_ns() - start
        self.invoke = self.interpreter.invoke
        self.facts = {"runtime": "LiteRT", "version": version("ai-edge-litert")}
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()

    def set(self, image: NDArray[np.float32]) -> None:
        """Set the input to one float32 image [H, W, C]; or several, from one behind the other."""
        parts = [image[np.newaxis]] if len(self.inputs) == 1 else parted(image, [each["shape"] for each in self.inputs])
        for part, detail in zip(parts, self.inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], quantise(part, detail))

    def get(self) -> NDArray[np.float32]:
        """The float32 logits [classes] of the last run; or other outputs, flattened, one behind the other."""
        return np.concatenate(
            [dequantise(self.interpreter.get_tensor(each["index"]).reshape(-1), each) for each in self.outputs]
        )

    def inside(self) -> dict[str, Any]:
        """What the delegate took over."""
        return delegation(self)


def parted(row: NDArray[np.float32], shapes: list[Any]) -> list[NDArray[np.float32]]:
    """The inputs in a row, each in the model's layout."""
    parts, start = [], 0
    for shape in shapes:
        part = row[start : start + int(np.prod(shape))]
        start += part.size
        if len(shape) == 4:
            batch, height, width, channels = shape
            parts.append(part.reshape(batch, channels, height, width).transpose(0, 2, 3, 1))
        else:
            parts.append(part.reshape(shape))
    return parts


def quantise(values: NDArray[np.float32], detail: dict[str, Any]) -> NDArray[Any]:
    """Float32 to the tensor's own type: round half to even, saturate."""
    kind = detail["dtype"]
    if kind == np.float32:
        return values.astype(np.float32)
    scale, zero = detail["quantization"]
    limits = np.iinfo(kind)
    steps = np.rint(values / np.float32(scale)) + zero
    stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(kind)
    return stored


def dequantise(values: NDArray[Any], detail: dict[str, Any]) -> NDArray[np.float32]:
    """The tensor's own type to float32."""
    if detail["dtype"] == np.float32:
        return values
    scale, zero = detail["quantization"]
    real: NDArray[np.float32] = (values.astype(np.int32) - zero).astype(np.float32) * np.float32(scale)
    return real


def delegation(model: Model) -> dict[str, Any]:
    """How many operators a delegate runs, how many parts it cut the graph into, and which operators it left.

    The interpreter lists the model's operators first, then one node a delegated part. Walking back from the output,
    a tensor that a delegate gives was computed by the delegate; any other by the operator that is named for it.
    """
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    plain = Interpreter(model_path=model.path, experimental_op_resolver_type=resolver)
    plain.allocate_tensors()
    nodes = model.interpreter._get_ops_details()
    total = len(plain._get_ops_details())
    maker = {int(tensor): node for node in nodes for tensor in node["outputs"]}  # the delegates come last and win
    waiting = [int(each["index"]) for each in model.outputs]
    seen: set[int] = set()
    kept: dict[int, str] = {}
    while waiting:
        tensor = waiting.pop()
        node = maker.get(tensor)
        if tensor in seen or node is None:
            continue
        seen.add(tensor)
        if node["index"] < total:
            kept[node["index"]] = node["op_name"]
        waiting.extend(int(source) for source in node["inputs"] if source >= 0)
    return {
        "operators": total,
        "delegated_operators": total - len(kept),
        "delegate_partitions": len(nodes) - total,
        "undelegated": dict(sorted(Counter(kept.values()).items())),
    }


if __name__ == "__main__":
    sys.exit(runner_passes.main(Model))
