"""The kernels that microcontrollers have: TensorFlow Lite Micro's, on this machine, beside LiteRT's reference kernels.

An Ethos-U gives the bits of these kernels, by Arm's account: what it cannot take runs in them, on the CPU beside it.
As a program it runs one file: `python -m ofa_edge.export.vela.micro MODEL INPUTS OUTPUTS`.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.pixels import dequantise, quantise
from ofa_edge.errors import ConversionError
from ofa_edge.export.process import reported, run_worker
from ofa_edge.export.tflite.running import laid_out

MODULE = "tflite_micro"
_ARENA = 1 << 26  # bytes; what a network takes of it is not asked here


def reference_answers(path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits [N, values] of an int8 file in LiteRT's reference kernels, from inputs [N, C, H, W], dequantised."""
    interpreter, source, sink = _reference(path)
    rows = []
    for row in inputs:
        interpreter.set_tensor(source["index"], _quantised(row, source))
        interpreter.invoke()
        rows.append(dequantise(interpreter.get_tensor(sink["index"]), *sink["quantization"]).reshape(1, -1))
    return np.concatenate(rows)


def unequal_values(path: Path, inputs: NDArray[np.float32]) -> int:
    """How many output values of an int8 file differ between the two sets of kernels, from inputs [N, C, H, W].

    Raises:
        ConversionError: TensorFlow Lite Micro does not run the file.
        WorkerDiedError: it crashed.
    """
    interpreter, source, sink = _reference(path)
    given = np.stack([_quantised(row, source) for row in inputs])
    with tempfile.TemporaryDirectory(prefix="ofa-edge-micro-") as folder:
        images, answers = Path(folder) / "images.npy", Path(folder) / "answers.npy"
        np.save(images, given)
        run_worker("ofa_edge.export.vela.micro", [str(path), str(images), str(answers)])
        micro = np.load(answers, allow_pickle=False)
    unequal = 0
    for image, other in zip(given, micro, strict=True):
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        unequal += int((interpreter.get_tensor(sink["index"]) != other).sum())
    return unequal


def _reference(path: Path) -> tuple[Any, Any, Any]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) > 1 or len(sinks) > 1:
        raise ConversionError(
            "a network of several inputs or outputs for an Ethos-U",
            f"{path.name} has {len(sources)} inputs and {len(sinks)} outputs",
            "give a network with one of each",
        )
    return interpreter, sources[0], sinks[0]


def _quantised(row: NDArray[np.float32], source: Any) -> NDArray[Any]:
    (part,) = laid_out(row, [source["shape"]])
    return np.asarray(quantise(part, source["dtype"], *source["quantization"]))


def _run(model: Path, images: Path, out: Path) -> int:
    from tflite_micro.python.tflite_micro import runtime

    try:
        interpreter = runtime.Interpreter.from_file(str(model), arena_size=_ARENA)
        rows = []
        for image in np.load(images, allow_pickle=False):
            interpreter.set_input(image, 0)
            interpreter.invoke()
            rows.append(np.array(interpreter.get_output(0)))
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"TensorFlow Lite Micro does not run {model.name}",
            str(error),
            "an Ethos-U needs its kernels for what is left to the CPU: see which operators the network has",
        ) from error
    np.save(out, np.stack(rows))
    return len(rows)


if __name__ == "__main__":
    sys.exit(reported(lambda: _run(*map(Path, sys.argv[1:4]))))
