"""Matrix products, and normalisation."""

from typing import Any

import numpy as np

from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import Value, constant_like, ordered, plain


def gemm(site: Site) -> Value:
    """Alpha * x @ weights + beta * row, of a matrix."""
    x = site.row.tensor
    if site.attribute("transA", 0):
        x = site.tf.transpose(x)
    weight = site.weight(1).T if site.attribute("transB", 0) else site.weight(1)
    scaled = np.ascontiguousarray(weight * np.float32(site.attribute("alpha", 1.0)))
    y = site.tf.matmul(x, site.tf.constant(scaled))
    if site.given(2):
        y = y + site.tf.constant(site.weight(2) * np.float32(site.attribute("beta", 1.0)))
    return Value(y, plain(2))


def matmul(site: Site) -> Value:
    """Of matrices and of stacks of them: in ONNX's own order, which is also TensorFlow's."""
    other = site.args[1]
    if (
        isinstance(other, Value)
        and other.rank > 1
        and other.axes == (*range(other.rank - 2), other.rank - 1, other.rank - 2)
    ):
        y = site.tf.matmul(_matrix(site, site.args[0]), other.tensor, transpose_b=True)
        return Value(y, plain(len(y.shape)))
    left, right = (_matrix(site, each) for each in site.args[:2])
    vectors = [-2] * (len(left.shape) == 1) + [-1] * (len(right.shape) == 1)
    left = site.tf.expand_dims(left, 0) if len(left.shape) == 1 else left
    right = site.tf.expand_dims(right, 1) if len(right.shape) == 1 else right
    y = site.tf.matmul(left, right)
    y = site.tf.squeeze(y, vectors) if vectors else y
    return Value(y, plain(len(y.shape)))


def einsum(site: Site) -> Value:
    """By its equation, in ONNX's own order."""
    y = site.tf.einsum(site.text("equation", ""), *(_matrix(site, each) for each in site.args))
    return Value(y, plain(len(y.shape)))


def _matrix(site: Site, side: Any) -> Any:
    if isinstance(side, Value):
        return ordered(site.tf, side, plain(side.rank)).tensor
    return site.tf.constant(np.ascontiguousarray(side))


def batch_normalization(site: Site) -> Value:
    """One scale and one offset a channel."""
    if site.attribute("training_mode", 0):
        raise site.node.refused("it is in training mode: it takes its statistics from the image", "export with .eval()")
    scale, bias, mean, var = (site.weight(at).astype(np.float64) for at in range(1, 5))
    factor = scale / np.sqrt(var + float(site.attribute("epsilon", 1e-5)))
    return _scaled(site, site.x.tensor, factor, bias - mean * factor)


def instance_normalization(site: Site) -> Value:
    """Each map by its own mean and deviation."""
    x, dims = site.x, site.x.dims(range(2, site.x.rank))
    normal = _normal(site, x.tensor, dims, float(site.attribute("epsilon", 1e-5)))
    return _scaled(site, normal, site.weight(1), site.weight(2))


def group_normalization(site: Site) -> Value:
    """Each group of channels by its own mean and deviation; scales are of channels (opset 21) or of groups (18)."""
    x, groups = site.x, site.attribute("num_groups", 1)
    at = x.dim(1)
    sizes = [int(size) for size in x.tensor.shape]
    channels = sizes[at]
    parts = site.tf.reshape(x.tensor, [*sizes[:at], groups, channels // groups, *sizes[at + 1 :]])
    kept = {x.dim(0) + (x.dim(0) > at), at}
    dims = [dim for dim in range(len(sizes) + 1) if dim not in kept]
    normal = _normal(site, parts, dims, float(site.attribute("epsilon", 1e-5)))
    factors = (site.weight(place) for place in (1, 2))
    factors = (np.repeat(each, channels // groups) if each.size == groups != channels else each for each in factors)
    return _scaled(site, site.tf.reshape(normal, sizes), *factors)


def layer_normalization(site: Site) -> Value:
    """Over the last axes, from `axis` on."""
    axis = site.attribute("axis", -1) % site.x.rank
    x = site.x
    normal = _normal(site, x.tensor, x.dims(range(axis, x.rank)), float(site.attribute("epsilon", 1e-5)))
    y = normal * constant_like(site.tf, site.weight(1), x.axes)
    return site.like(y + constant_like(site.tf, site.weight(2), x.axes) if site.given(2) else y)


def over_last(function: str) -> Builder:
    """A softmax, which TFLite has over the last dimension."""

    def build(site: Site) -> Value:
        x = site.x
        axis = site.attribute("axis", -1) % x.rank
        order = (*(each for each in x.axes if each != axis), axis)
        return Value(getattr(site.tf.nn, function)(ordered(site.tf, x, order).tensor), order)

    return build


def _normal(site: Site, x: Any, dims: list[int], epsilon: float) -> Any:
    centred = x - site.tf.reduce_mean(x, dims, keepdims=True)
    # A product, not a square: the converter would make it a SQUARED_DIFFERENCE, which XNNPACK leaves alone in int8.
    variance = site.tf.reduce_mean(centred * centred, dims, keepdims=True)
    return centred * site.tf.math.rsqrt(variance + np.float32(epsilon))


def _scaled(site: Site, x: Any, factor: Any, offset: Any) -> Value:
    shape = [1, -1, *[1] * (site.x.rank - 2)]
    parts = [np.asarray(each, np.float32).reshape(shape) for each in (factor, offset)]
    scale, bias = (constant_like(site.tf, each, site.x.axes) for each in parts)
    x = x if (parts[0] == 1).all() else x * scale
    return site.like(x + bias if parts[1].any() else x)
