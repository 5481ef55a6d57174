"""The process that holds TensorFlow: `python -m ofa_edge.export.tflite.worker ONNX OUT SETTINGS [ONNX ...]`.

SETTINGS is JSON (`Settings`). Exit code 0 and a written file, or 1 and the three parts of a ConversionError as JSON on
stdout. `convert.convert` calls it with checked arguments.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.export import run_onnx
from ofa_edge.export.onnx.graph import Graph, read_graph
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.rewrites import file_rewrites_for, rewrite
from ofa_edge.export.tflite.scales import check_scales
from ofa_edge.export.tflite.tf_ops import build
from ofa_edge.vocabulary import Precision, numbers

# Sound models show 110 dB and 60. What changes the answer at all changes it by far more.
_LEAST_DB: Mapping[Precision, float] = {"fp32": 70.0, "fp16": 30.0}


@dataclass(frozen=True)
class Settings:
    """What `convert.convert` was asked for. `images` names a .npy file.

    `twin_of`: the rewrites of that precision, and names after nodes, in a file of `precision`.
    """

    precision: Precision
    skip: tuple[str, ...] = ()
    images: str | None = None
    twin_of: Precision | None = None


def main(arguments: list[str]) -> int:
    """Convert; report an error of ours as JSON, let any other end the process with its traceback."""
    try:
        for onnx_path, out, facts in zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True):
            _convert(Path(onnx_path), Path(out), Settings(**json.loads(facts)))
    except ConversionError as error:
        print(json.dumps({"what": error.what, "why": error.why, "hint": error.hint}))
        return 1
    return 0


def _convert(onnx_path: Path, out: Path, settings: Settings) -> None:
    graph = read_graph(onnx_path)
    rewritten = rewrite(graph, settings.twin_of or settings.precision, settings.skip)
    out.write_bytes(convert_graph(rewritten, settings))
    _check_answers(onnx_path, graph, out, settings.precision)


def convert_graph(graph: Graph, settings: Settings) -> bytes:
    """The TFLite file of a rewritten graph. Imports TensorFlow."""
    import tensorflow as tf

    _, channels, height, width = graph.input_shape
    module = tf.Module()  # owns the function, as the converter asks
    module.run = tf.function(
        lambda input: {"logits": build(tf, graph, input, named=settings.twin_of is not None)},
        input_signature=[tf.TensorSpec([1, height, width, channels], tf.float32, name="input")],
        autograph=False,
    )
    content = _run_converter(tf, module, settings)
    images = None if settings.images is None else np.load(settings.images, allow_pickle=False)
    for each in file_rewrites_for(settings.precision):
        if each.__name__ not in settings.skip:
            content = each(content, lambda: _run_converter(tf, module, Settings("fp32")), images)
    return content


def _run_converter(tf: Any, module: Any, settings: Settings) -> bytes:
    meant = numbers(settings.precision)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    if settings.precision != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if meant.weights == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if meant.half_sums:
        converter.target_spec._experimental_supported_accumulation_type = tf.float16
    if settings.images is not None:
        images = np.load(settings.images, allow_pickle=False)
        converter.representative_dataset = lambda: _batches(images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        return bytes(converter.convert())
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"TensorFlow's converter refused the network in {settings.precision}",
            first,
            "the operators named above are the place; try another --precision, or --runtime tvm",
        ) from error


def _batches(images: NDArray[np.float32]) -> Iterator[list[Any]]:
    """Images [N, C, H, W] one by one, as the converter wants them: [1, H, W, C]."""
    for image in images:
        yield [np.ascontiguousarray(image.transpose(1, 2, 0)[None])]


def _check_answers(onnx_path: Path, graph: Graph, out: Path, precision: Precision) -> None:
    """Against ONNX Runtime on the model as it was given, so that no fault of the map or a rewrite goes unsaid.

    A model of smaller numbers is held to the shape of its answer alone: how near they are is for the build to judge.
    """
    image = np.random.default_rng(0).standard_normal(graph.input_shape).astype(np.float32)
    answer = _answer(out, precision, image)
    wanted = run_onnx(onnx_path, image)
    least = _LEAST_DB.get(precision)
    if answer.shape != wanted.shape:
        raise ConversionError(
            "the TFLite model answers in another shape",
            f"{list(answer.shape)} for ONNX's {list(wanted.shape)}",
            "report this with the ONNX file: every operator of it is inside the map",
        )
    if least is not None and np.isfinite(wanted).all():
        noise = float(np.square(wanted - answer, dtype=np.float64).sum())
        found = 10 * np.log10(float(np.square(wanted, dtype=np.float64).sum()) / noise) if noise else np.inf
        if not found >= least:
            raise ConversionError(
                "the TFLite model answers otherwise than the ONNX model",
                f"{found:.1f} dB beside ONNX Runtime on one random image, {least:.0f} are asked of {precision}",
                "--runtime onnxruntime or tvm; and report this with the ONNX file",
            )


def _answer(path: Path, precision: Precision, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """One inference with LiteRT, here, where its end by a signal ends no process of the user's."""
    try:
        return run_tflite(path, image)
    except (RuntimeError, ValueError) as error:
        check_scales(path)
        raise ConversionError(
            f"LiteRT refuses the {precision} model",
            " ".join(str(error).split()) or type(error).__name__,
            "another --precision; and report this with the ONNX file",
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
