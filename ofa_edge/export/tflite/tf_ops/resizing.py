"""Resizing of maps."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Value

_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda value: np.ceil(value - 0.5),
    "round_prefer_ceil": lambda value: np.floor(value + 0.5),
}
_OWN = ("axes", "antialias", "keep_aspect_ratio_policy")  # said otherwise, of one axis
_BILINEAR = {
    "half_pixel": (False, True),
    "pytorch_half_pixel": (False, True),
    "align_corners": (True, False),
    "asymmetric": (False, False),
}


def resize(site: Site) -> Value:
    """Height and width: by TFLite's own operators where they do the same, else as two matrix products."""
    x = site.image
    wanted, scales = _sizes(site, x.shape)
    if wanted[:2] != list(x.shape[:2]):
        raise site.node.refused("it resizes more than height and width", "keep batch and channels")
    mode, where = site.text("mode", "nearest"), site.text("coordinate_transformation_mode", "half_pixel")
    if site.node.op == "Upsample":
        where = "asymmetric"
    if mode == "nearest":
        return Value(_nearest(site, x, wanted[2:], scales[2:], where), IMAGE)
    if where == "tf_crop_and_resize":
        raise site.node.refused(f"coordinates {where}", "crop with Slice, and resize what is left")
    corners, half = _BILINEAR.get(where, (False, False))
    whole = corners or all(size * scale == want for size, scale, want in zip(x.shape, scales, wanted, strict=True))
    if where == "pytorch_half_pixel":
        whole &= min(wanted[2:]) > 1  # torch takes the first pixel for a single one, TensorFlow the middle
    shrinks = any(want < size for size, want in zip(x.shape, wanted, strict=True))
    if mode != "linear" or where not in _BILINEAR or not whole or (site.attribute("antialias", 0) and shrinks):
        return _by_matrices(site, x, wanted, scales)
    size = site.tf.constant(wanted[2:], site.tf.int32)
    y = site.tf.raw_ops.ResizeBilinear(images=x.tensor, size=size, align_corners=corners, half_pixel_centers=half)
    return Value(y, IMAGE)


def _sizes(site: Site, shape: tuple[int, ...]) -> tuple[list[int], list[float]]:
    """Sizes, and the scales that they come from: an input, or an attribute of opset 7."""
    old = site.node.op == "Upsample" or len(site.args) == 2
    axes = [axis % len(shape) for axis in site.attribute("axes", range(len(shape)))]
    if not old and site.given(3):
        wanted = list(shape)
        for axis, size in zip(axes, site.weight(3), strict=True):
            wanted[axis] = int(size)
        policy = site.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scale = {"not_larger": min, "not_smaller": max}[policy](wanted[axis] / shape[axis] for axis in axes)
            for axis in axes:
                wanted[axis] = math.floor(scale * shape[axis] + 0.5)
            return wanted, [scale if axis in axes else 1.0 for axis in range(len(shape))]
        return wanted, [want / size for want, size in zip(wanted, shape, strict=True)]
    given = site.attribute("scales", None)
    scales = [1.0] * len(shape)
    for axis, scale in zip(axes, site.weight(1 if old else 2) if given is None else given, strict=True):
        scales[axis] = float(scale)
    return [math.floor(size * scale) for size, scale in zip(shape, scales, strict=True)], scales


def _nearest(site: Site, x: Value, wanted: list[int], scales: list[float], where: str) -> Any:
    """By TFLite's own operator where its rounding is ONNX's, else by places."""
    rounding = "floor" if site.node.op == "Upsample" else site.text("nearest_mode", "round_prefer_floor")
    places = [_places(site, *each, where, rounding) for each in zip(x.shape[2:], wanted, scales, strict=True)]
    plain_ones = [np.arange(want) * size // want for size, want in zip(x.shape[2:], wanted, strict=True)]
    if all(np.array_equal(*pair) for pair in zip(places, plain_ones, strict=True)):
        size = site.tf.constant(wanted, site.tf.int32)
        return site.tf.raw_ops.ResizeNearestNeighbor(images=x.tensor, size=size)
    y = x.tensor
    for dim, found in enumerate(places, start=1):
        y = site.tf.gather(y, found.astype(np.int32), axis=dim)
    return y


def _places(
    site: Site, size: int, want: int, scale: float, where: str, rounding: str
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Which pixel of one axis each pixel of the result is: ONNX's Resize, by its reference."""
    at = np.arange(want, dtype=np.float64)
    if where in ("half_pixel", "pytorch_half_pixel"):
        found = (at + 0.5) / scale - 0.5
    elif where == "align_corners":
        found = at * (size - 1) / max(want - 1, 1)
    elif where == "asymmetric":
        found = at / scale
    else:
        raise site.node.refused(f"coordinates {where}", "half_pixel, align_corners or asymmetric")
    return np.asarray(np.clip(_ROUNDED[rounding](found), 0, size - 1).astype(np.int64))


def _by_matrices(site: Site, x: Value, wanted: list[int], scales: list[float]) -> Value:
    """Any resizing that is linear in the pixels, cubic and antialiased too: a constant matrix for each axis."""
    batch, channels, height, width = x.shape
    rows, columns = (_matrix(site, *each) for each in zip(x.shape[2:], wanted[2:], scales[2:], strict=True))
    y = site.tf.reshape(x.tensor, [batch, height, width * channels])
    y = site.tf.matmul(site.tf.constant(rows), y)
    y = site.tf.reshape(y, [batch * wanted[2], width, channels])
    y = site.tf.matmul(site.tf.constant(columns), y)
    return Value(site.tf.reshape(y, [batch, *wanted[2:], channels]), IMAGE)


def _matrix(site: Site, size: int, want: int, scale: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """[want, size]: what ONNX Runtime makes of the unit vectors of one axis."""
    import onnx
    import onnxruntime

    make = onnx.helper
    kept = {name: value for name, value in site.node.attributes.items() if name not in _OWN}
    antialias = {"antialias": 1} if site.attribute("antialias", 0) else {}
    by_size = site.given(3)
    node = make.make_node("Resize", ["x", "", "" if by_size else "by", *(["by"] if by_size else [])], ["y"])
    node.attribute.extend(make.make_attribute(name, value) for name, value in {**kept, **antialias}.items())
    by = np.array([1, 1, want, size], np.int64) if by_size else np.array([1, 1, scale, 1], np.float32)
    sides = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1, None, size]) for name in ("x", "y")]
    graph = make.make_graph([node], "matrix", sides[:1], sides[1:], [onnx.numpy_helper.from_array(by, "by")])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    unit = np.eye(size, dtype=np.float32)[None, None]
    return np.asarray(session.run(None, {"x": unit})[0][0, 0])
