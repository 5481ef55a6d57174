"""The process that holds TensorFlow: `python -m ofa_edge.export.tflite_worker ONNX OUT PRECISION SKIP [IMAGES.npy]`.

Exit code 0 and a written file, or 1 and the three parts of a ConversionError as JSON on stdout. `tflite.convert` calls
it with checked arguments.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.artifact import Precision
from ofa_edge.export.graph import Graph, read_graph
from ofa_edge.export.rewrites import rewrite
from ofa_edge.export.tf_ops import build
from ofa_edge.export.tflite import operators


def main(arguments: list[str]) -> int:
    """Convert; report an error of ours as JSON, let any other end the process with its traceback."""
    onnx_path, out, precision, skip, *calibration = arguments
    try:
        graph = rewrite(read_graph(Path(onnx_path)), cast(Precision, precision), skip.split(","))
        images = np.load(calibration[0], allow_pickle=False) if calibration else None
        Path(out).write_bytes(_convert(graph, cast(Precision, precision), images))
        _check_layout(Path(out))
    except ConversionError as error:
        print(json.dumps({"what": error.what, "why": error.why, "hint": error.hint}))
        return 1
    return 0


def _convert(graph: Graph, precision: Precision, images: NDArray[np.float32] | None) -> bytes:
    import tensorflow as tf

    _, channels, height, width = graph.input_shape
    module = tf.Module()  # owns the function, as the converter asks
    module.run = tf.function(
        lambda input: {"logits": build(tf, graph, input)},
        input_signature=[tf.TensorSpec([1, height, width, channels], tf.float32, name="input")],
        autograph=False,
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    if precision != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if images is not None:
        converter.representative_dataset = lambda: _batches(images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        return bytes(converter.convert())
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"TensorFlow's converter refused the network in {precision}",
            first,
            "the operators named above are the place; try another --precision, or --runtime tvm",
        ) from error


def _batches(images: NDArray[np.float32]) -> Iterator[list[Any]]:
    """Images [N, C, H, W] one by one, as the converter wants them: [1, H, W, C]."""
    for image in images:
        yield [np.ascontiguousarray(image.transpose(1, 2, 0)[None])]


def _check_layout(path: Path) -> None:
    """A network built in NHWC has no transposition; one would mean that the map or the converter went wrong."""
    if "TRANSPOSE" in operators(path):
        raise ConversionError(
            "the TFLite model has a TRANSPOSE",
            "the map to TensorFlow builds NHWC throughout, the converter put one in",
            "report this with the ONNX file: it costs speed on every device",
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
