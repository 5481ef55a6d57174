"""TFLite files, run by LiteRT on this machine: their answers, and what the tensors inside hold meanwhile."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.pixels import dequantise, quantise
from ofa_edge.export.onnx.run import parted
from ofa_edge.export.tflite.flatbuffer import pack, unpack
from ofa_edge.export.tflite.native_log import without_lines
from ofa_edge.records.interface import StepsRecord

LITERT_BANNER = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU."


def run_tflite(path: Path, inputs: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
    """Run a TFLite model over images with LiteRT, one at a time.

    Args:
        path: a model of `convert`.
        inputs: [N, C, H, W] float32, normalised, or other samples [N, ...]; of several inputs [N, values], one behind
            the other. Quantised here where the model's input is int8.
        threads: of one inference.

    Returns:
        Logits, [N, classes] float32, dequantised where the model's output is int8; outputs of another shape are
        flattened, several stand one behind the other.
    """
    interpreter = started(path, threads)
    sinks, rows = interpreter.get_output_details(), []
    for row in inputs:
        set_inputs(interpreter, row)
        interpreter.invoke()
        parts = [dequantise(interpreter.get_tensor(each["index"]), *each["quantization"]) for each in sinks]
        rows.append(np.concatenate([part.reshape(1, -1) for part in parts], axis=1))
    return np.concatenate(rows)


def set_inputs(interpreter: Any, row: NDArray[np.float32]) -> None:
    """Set a file's inputs to one sample, as ONNX has it: what a file takes as [1, H, W, C] is [C, H, W] there."""
    details = interpreter.get_input_details()
    for detail, part in zip(details, laid_out(row, [each["shape"] for each in details]), strict=True):
        interpreter.set_tensor(detail["index"], quantise(part, detail["dtype"], *detail["quantization"]))


def laid_out(row: NDArray[np.float32], shapes: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """The inputs of one sample as a file takes them, in these shapes."""
    own = [(shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else shape for shape in shapes]
    parts = (part.transpose(0, 2, 3, 1) if part.ndim == 4 else part for part in parted(row, own))
    return [np.ascontiguousarray(part) for part in parts]


def started(path: Path, threads: int = 1) -> Any:
    """An interpreter of a file, ready to `invoke` on zeros."""
    from ai_edge_litert.interpreter import Interpreter

    with without_lines(LITERT_BANNER):
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter


def own_tensors(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs of a file: name, shape, dtype, and the steps of integers."""
    interpreter = started(path, 1)

    def said(detail: dict[str, Any]) -> dict[str, Any]:
        scale, zero_point = detail["quantization"]
        return {
            "name": detail["name"],
            "shape": tuple(map(int, detail["shape"])),
            "dtype": np.dtype(detail["dtype"]).name,
            "steps": StepsRecord(scale=float(scale), zero_point=int(zero_point)) if scale else None,
        }

    return [said(each) for each in interpreter.get_input_details()], [
        said(each) for each in interpreter.get_output_details()
    ]


def answers_of(content: bytes, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """`run_tflite` of a file that is in memory."""
    with tempfile.TemporaryDirectory(prefix="ofa-edge-run-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        return run_tflite(path, images)


def watch(content: bytes, images: NDArray[np.float32], tensors: Sequence[int]) -> Iterator[list[NDArray[Any]]]:
    """Run a model over images, one at a time.

    Args:
        content: the file.
        images: as of `run_tflite`.
        tensors: their numbers in the file.

    Yields:
        The values of `tensors`, in their order, of one image; good until the next is asked for.
    """
    from ai_edge_litert.interpreter import Interpreter

    # As outputs, so that LiteRT keeps them and XNNPACK still runs the file: it is many times faster than keeping all.
    model = unpack(content)
    graph = model.subgraphs[0]
    graph.outputs = list(dict.fromkeys([*map(int, graph.outputs), *tensors]))
    model.signatureDefs = None
    with without_lines(LITERT_BANNER):
        interpreter = Interpreter(model_content=pack(model), num_threads=1)
        interpreter.allocate_tensors()
    for row in images:
        set_inputs(interpreter, row)
        interpreter.invoke()
        yield [interpreter.get_tensor(tensor) for tensor in tensors]
