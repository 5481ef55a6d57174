"""fp32 ONNX -> int8 ONNX: quantised and dequantised tensors around float operators, as ONNX Runtime fuses them.

Weights are symmetric with one scale a channel; activations have the range that they took on calibration images.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.run import feeds, open_session
from ofa_edge.files import write_bytes
from ofa_edge.records.ranges import RangesRecord

if TYPE_CHECKING:
    import onnx

_MOVES = ("Flatten", "Reshape", "MaxPool")  # what they give are values of their input


def quantise(source: Path, out: Path, calibration: NDArray[np.float32], ranges: RangesRecord | None = None) -> None:
    """Write the int8 form of a network. The same network and images give the same bytes.

    Args:
        source: an ONNX file of float32 inputs, one of them [1, C, H, W].
        out: the file to write; its input and output stay float32.
        calibration: [N, C, H, W] float32, normalised, as the network takes them; of several inputs [N, values], one
            behind the other.
        ranges: that training settled. Other values, of which ONNX Runtime rounds some, have theirs from the images.

    Raises:
        ConversionError: no ONNX file, no images, images that are not numbers, or a graph that cannot be quantised.
        OutputError: `out` cannot be written.
    """
    if not len(calibration) or not np.isfinite(calibration).all():
        raise ConversionError(
            "cannot find int8 ranges",
            "there are no calibration images" if not len(calibration) else "calibration images hold NaN or infinity",
            "calibrate on images of the training data, normalised as in training",
        )
    with tempfile.TemporaryDirectory(prefix="ofa-edge-int8-") as folder, _quiet():
        made = Path(folder) / "int8.onnx"
        try:
            _quantise(source, made, calibration, ranges)
            content = _checked(made)
        except ConversionError:
            raise
        except Exception as error:  # onnx and onnxruntime raise whatever their own code meets
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise ConversionError(
                f"ONNX Runtime cannot quantise {source.name}",
                words[0][:300],
                "--precision fp32",
            ) from error
    write_bytes(out, content)


def _quantise(source: Path, out: Path, calibration: NDArray[np.float32], ranges: RangesRecord | None) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    model = onnx.load(source)
    _require_numbers(model)

    class Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not typed
        """The calibration images, one at a time."""

        def __init__(self) -> None:
            self.rest = feeds(open_session(source), calibration)

        def get_next(self) -> dict[str, Any] | None:
            """The next feed, None after the last."""
            return next(self.rest, None)

    quantize_static(
        source,
        out,
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={"WeightSymmetric": True, "TensorQuantOverrides": _settled(model, ranges)},
    )


def _settled(model: "onnx.ModelProto", ranges: RangesRecord | None) -> dict[str, list[dict[str, Any]]]:
    """The steps of the graph's values that training settled, as ONNX Runtime takes them."""
    from onnxruntime.quantization import QuantType

    graph = model.graph
    known = {each.name for each in graph.input} | {name for node in graph.node for name in node.output}
    values = dict(ranges.values) if ranges else {}
    for node in graph.node:
        if node.op_type in _MOVES and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return {
        name: [
            {
                "quant_type": QuantType.QInt8,
                "scale": np.array(steps.scale, np.float32),
                "zero_point": np.array(steps.zero, np.int8),
            }
        ]
        for name, steps in values.items()
        if name in known
    }


def _checked(path: Path) -> bytes:
    """The file's content, once ONNX has checked it and its scales are numbers."""
    import onnx

    model = onnx.load(path)
    onnx.checker.check_model(model)
    for part in model.graph.initializer:
        if part.name.endswith("_scale"):
            scales = onnx.numpy_helper.to_array(part)
            if not (np.isfinite(scales) & (scales > 0)).all():
                raise ValueError(f"{part.name.removesuffix('_scale')} has no scale: its values are not numbers")
    return bytes(model.SerializeToString(deterministic=True))


def _require_numbers(model: "onnx.ModelProto") -> None:
    """Raise ConversionError for a node with weights that are not numbers."""
    import onnx

    parts = {part.name: part for part in model.graph.initializer}
    for node in model.graph.node:
        for part in (parts[name] for name in node.input if name in parts):
            values = onnx.numpy_helper.to_array(part)
            if values.dtype == np.float32 and not np.isfinite(values).all():
                raise ConversionError(
                    "cannot quantise weights that are not numbers",
                    f"node {node.name}, {node.op_type}: '{part.name}' holds NaN or infinity",
                    "train it again, with a lower learning rate",
                )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its advice to pre-process, which export has done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
