"""Running what the tools made on this machine: one image in, one row of logits out, the call itself by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


class Model(Protocol):
    """A loaded model."""

    def set(self, image: Image) -> None:
        """Take one normalised image [1, C, H, W] in the model's own layout and type."""

    def run(self) -> None:
        """One inference: what is timed."""

    def logits(self) -> Image:
        """Of the last run, [1, classes]."""


class LiteRt:
    """A TFLite file of any tool: NHWC or NCHW, float or int8 at its ends."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from ofa_edge.export.native_log import without_lines

        with without_lines(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."):
            self.interpreter = Interpreter(str(path), num_threads=threads)
            self.interpreter.allocate_tensors()
        (self.source,) = self.interpreter.get_input_details()
        (self.sink,) = self.interpreter.get_output_details()
        self.run = self.interpreter.invoke

    def set(self, image: Image) -> None:
        """See `Model`."""
        from ofa_edge.export.tflite import quantise

        given = image if tuple(self.source["shape"]) == image.shape else image.transpose(0, 2, 3, 1)
        values = quantise(given, self.source["dtype"], *self.source["quantization"])
        self.interpreter.set_tensor(self.source["index"], values)

    def logits(self) -> Image:
        """See `Model`."""
        from ofa_edge.export.tflite import dequantise

        values = dequantise(self.interpreter.get_tensor(self.sink["index"]), *self.sink["quantization"])
        return values.reshape(1, -1)


class OnnxRuntime:
    """An ONNX file."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def set(self, image: Image) -> None:
        """See `Model`."""
        self.feed = {self.name: image}

    def run(self) -> None:
        """See `Model`."""
        self.answer = self.session.run(None, self.feed)[0]

    def logits(self) -> Image:
        """See `Model`."""
        return np.asarray(self.answer)


class Torch:
    """The static network, batch norms folded, eager, channels_last."""

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        from ofa_edge.export.fold import fold_batch_norm
        from ofa_edge.supernet.weights import load_static

        torch.set_num_threads(threads)
        self.torch = torch
        net: Any = fold_batch_norm(load_static(path))
        self.net = net.to(memory_format=torch.channels_last)

    def set(self, image: Image) -> None:
        """See `Model`."""
        self.image = self.torch.from_numpy(image).contiguous(memory_format=self.torch.channels_last)

    def run(self) -> None:
        """See `Model`."""
        with self.torch.inference_mode():
            self.answer = self.net(self.image)

    def logits(self) -> Image:
        """See `Model`."""
        return np.asarray(self.answer.numpy())


class Tvm:
    """A library that TVM compiled for this machine. Its threads are the process's: TVM_NUM_THREADS."""

    def __init__(self, path: Path, threads: int) -> None:
        import os

        from ofa_edge.export.tvm import load_module

        if os.environ.get("TVM_NUM_THREADS") != str(threads):
            raise ValueError(f"TVM_NUM_THREADS is not {threads}")
        self.call = load_module(path)

    def set(self, image: Image) -> None:
        """See `Model`."""
        self.image = np.ascontiguousarray(image)

    def run(self) -> None:
        """See `Model`. With a copy of the image, as every user of `load_module` has."""
        self.answer = self.call(self.image)

    def logits(self) -> Image:
        """See `Model`."""
        return self.answer


LOADERS: dict[str, Callable[[Path, int], Model]] = {
    "litert": LiteRt,
    "onnxruntime": OnnxRuntime,
    "torch": Torch,
    "tvm": Tvm,
}


def answers(model: Model, images: Image) -> Image:
    """Logits [N, classes] of images [N, C, H, W], one at a time."""
    rows = []
    for index in range(len(images)):
        model.set(images[index : index + 1])
        model.run()
        rows.append(np.array(model.logits(), np.float32))
    return np.concatenate(rows)
