"""Running what the tools made on this machine: one image in, one row of logits out, the call itself by itself."""

import argparse
import ctypes
import importlib.util
import os
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

        from ofa_edge.export.tflite.native_log import without_lines

        with without_lines(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."):
            self.interpreter = Interpreter(str(path), num_threads=threads)
            self.interpreter.allocate_tensors()
        (self.source,) = self.interpreter.get_input_details()
        (self.sink,) = self.interpreter.get_output_details()
        self.run = self.interpreter.invoke

    def set(self, image: Image) -> None:
        """See `Model`."""
        from ofa_edge.export.tflite.convert import quantise

        given = image if tuple(self.source["shape"]) == image.shape else image.transpose(0, 2, 3, 1)
        values = quantise(given, self.source["dtype"], *self.source["quantization"])
        self.interpreter.set_tensor(self.source["index"], values)

    def logits(self) -> Image:
        """See `Model`."""
        from ofa_edge.export.tflite.convert import dequantise

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
        self.binding = self.session.io_binding()
        self.binding.bind_output(self.session.get_outputs()[0].name)

    def set(self, image: Image) -> None:
        """See `Model`."""
        self.image = np.ascontiguousarray(image)  # the binding does not keep it
        self.binding.bind_cpu_input(self.session.get_inputs()[0].name, self.image)

    def run(self) -> None:
        """See `Model`. On bound tensors: a feed by name would cost as much as a small network."""
        self.session.run_with_iobinding(self.binding)

    def logits(self) -> Image:
        """See `Model`."""
        return np.asarray(self.binding.copy_outputs_to_cpu()[0])


class Torch:
    """The static network, batch norms folded, eager, channels_last."""

    def __init__(self, path: Path, threads: int) -> None:
        import torch

        from ofa_edge.supernet.fold import fold_batch_norm
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
    """A library that TVM compiled for this machine. Its threads are the process's: TVM_NUM_THREADS.

    Loaded as `export.tvm.compile.load_module` does, but with the copies of image and logits outside of the call.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import tvm_ffi

        if os.environ.get("TVM_NUM_THREADS") != str(threads):
            raise ValueError(f"TVM_NUM_THREADS is not {threads}")
        package = importlib.util.find_spec("tvm")
        assert package is not None
        assert package.origin is not None
        ctypes.CDLL(str(Path(package.origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)
        self.from_numpy = tvm_ffi.from_dlpack
        self.vm = tvm_ffi.load_module(str(path.resolve()))["vm_load_executable"]()
        self.vm["vm_initialization"](1, 0, 2)  # CPU, device 0, pooled memory
        self.main = self.vm["main"]

    def set(self, image: Image) -> None:
        """See `Model`."""
        room = np.empty(image.size + 16, np.float32)  # the code may assume 64 bytes of alignment, NumPy promises 16
        start = -room.ctypes.data % 64 // 4
        copy = room[start : start + image.size].reshape(image.shape)
        copy[...] = image
        self.image = self.from_numpy(copy)

    def run(self) -> None:
        """See `Model`."""
        self.answer = self.main(self.image)

    def logits(self) -> Image:
        """See `Model`."""
        return np.from_dlpack(self.answer)


class Ncnn:
    """An artifact of the package in examples/ofa-edge-ncnn, by the runner that it pushes to devices."""

    def __init__(self, path: Path, threads: int) -> None:
        from ofa_edge_ncnn.ncnn_runner import Model as Network

        self.network = Network(argparse.Namespace(model=str(path), threads=threads))
        self.run = self.network.invoke

    def set(self, image: Image) -> None:
        """See `Model`."""
        self.network.set(image[0])

    def logits(self) -> Image:
        """See `Model`."""
        return np.asarray(self.network.get())[np.newaxis]


LOADERS: dict[str, Callable[[Path, int], Model]] = {
    "litert": LiteRt,
    "ncnn": Ncnn,
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
