"""Operators that work on each element by itself, in whatever order the dimensions are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ofa_edge.export.onnx.graph import input_cast
from ofa_edge.export.tflite.tf_ops.site import Builder, Site
from ofa_edge.export.tflite.tf_ops.values import IMAGE, Axes, Value, constant_like, ordered, plain, raised


def unary(function: Callable[[Any, Any], Any]) -> Builder:
    """A function of TensorFlow and one tensor."""
    return lambda site: site.like(function(site.tf, site.x.tensor))


def binary(function: Callable[[Any, Any, Any], Any]) -> Builder:
    """A function of TensorFlow and two operands that broadcast."""

    def build(site: Site) -> Value:
        left, right, axes = operands(site, *site.args[:2])
        return Value(function(site.tf, left, right), axes)

    return build


def variadic(function: Callable[[Any, Any, Any], Any]) -> Builder:
    """A function of two operands over one or more inputs."""

    def build(site: Site) -> Value:
        found = site.args[0]
        for other in site.args[1:]:
            left, right, axes = operands(site, found, other)
            found = Value(function(site.tf, left, right), axes)
        if not isinstance(found, Value):
            raise site.node.refused("its only input is a constant", "run onnxsim over the model first")
        return found

    return build


def operands(site: Site, left: Any, right: Any) -> tuple[Any, Any, Axes]:
    """Both as tensors that broadcast as ONNX says, and the axes of what comes out."""
    (first, second), axes = _aligned(site, left, right)
    return first, second, axes


def _aligned(site: Site, *given: Any) -> tuple[list[Any], Axes]:
    """All as tensors that broadcast as ONNX says, and the axes of what comes out."""
    values = [each for each in given if isinstance(each, Value)]
    if not values:
        raise site.node.refused("all of its inputs are constants", "run onnxsim over the model first")
    rank = max(len(each.shape) for each in given)
    # The larger one keeps its order, of alike ones one in a usual order: the others follow.
    lead = raised(site.tf, max(values, key=lambda each: (each.rank, math.prod(each.shape), _is_usual(each))), rank)

    def follow(each: Any) -> Any:
        if isinstance(each, Value):
            return ordered(site.tf, raised(site.tf, each, rank), lead.axes).tensor
        return constant_like(site.tf, each, lead.axes)

    return [follow(each) for each in given], lead.axes


def _is_usual(value: Value) -> bool:
    return value.axes in (plain(value.rank), IMAGE)


def clip(site: Site) -> Value:
    """Between two numbers, either of which may be left out."""
    low, high = (float(site.weight(at).item()) if site.given(at) else None for at in (1, 2))
    x = site.x.tensor
    if (low, high) == (0, 6):
        return site.like(site.tf.nn.relu6(x))
    y = x if low is None else site.tf.maximum(x, low)
    return site.like(y if high is None else site.tf.minimum(y, high))


def hard_swish(site: Site) -> Value:
    """In the form that TFLite's converter recognises as HARD_SWISH."""
    x = site.x.tensor
    return site.like(x * site.tf.nn.relu6(x + 3.0) * np.float32(1 / 6))


def hard_sigmoid(site: Site) -> Value:
    """A line, cut at 0 and 1."""
    slope, offset = site.attribute("alpha", 0.2), site.attribute("beta", 0.5)
    line = site.x.tensor * np.float32(slope) + np.float32(offset)
    return site.like(site.tf.minimum(site.tf.maximum(line, 0.0), 1.0))


def leaky_relu(site: Site) -> Value:
    """With ONNX's slope of 0.01."""
    return site.like(site.tf.nn.leaky_relu(site.x.tensor, float(site.attribute("alpha", 0.01))))


def elu(site: Site) -> Value:
    """TFLite's has no slope."""
    alpha, x = site.attribute("alpha", 1.0), site.x.tensor
    if alpha == 1:
        return site.like(site.tf.nn.elu(x))
    return site.like(site.tf.nn.relu(x) + np.float32(alpha) * (site.tf.exp(site.tf.minimum(x, 0.0)) - 1.0))


def mean(site: Site) -> Value:
    """Of one or more inputs."""
    summed = variadic(lambda _, left, right: left + right)(site)
    return Value(summed.tensor * np.float32(1 / len(site.args)), summed.axes)


def softplus(tf: Any, x: Any) -> Any:
    """log(1 + exp(x)), without a number that is too large."""
    return tf.nn.relu(x) + tf.math.log(1.0 + tf.exp(-tf.abs(x)))


def selu(site: Site) -> Value:
    """Gamma * (x, or alpha * (exp(x) - 1) below 0)."""
    alpha, gamma = site.attribute("alpha", 1.67326319), site.attribute("gamma", 1.05070102)
    x = site.x.tensor
    below = site.tf.exp(site.tf.minimum(x, 0.0)) - 1.0
    return site.like(np.float32(gamma) * (site.tf.nn.relu(x) + np.float32(alpha) * below))


def celu(site: Site) -> Value:
    """x, or alpha * (exp(x / alpha) - 1) below 0."""
    alpha, x = np.float32(site.attribute("alpha", 1.0)), site.x.tensor
    return site.like(site.tf.nn.relu(x) + alpha * (site.tf.exp(site.tf.minimum(x, 0.0) / alpha) - 1.0))


def swish(site: Site) -> Value:
    """X * sigmoid(alpha * x)."""
    x = site.x.tensor
    return site.like(x * site.tf.sigmoid(x * np.float32(site.attribute("alpha", 1.0))))


def gelu(site: Site) -> Value:
    """By erf, or by tanh where ONNX says so."""
    approximate = site.text("approximate", "none") == "tanh"
    return site.like(site.tf.nn.gelu(site.x.tensor, approximate=approximate))


def power(site: Site) -> Value:
    """Squares and roots by their own operators, which are faster and exact."""
    exponent = site.args[1]
    if isinstance(exponent, np.ndarray) and exponent.size == 1:
        own = {2.0: site.tf.square, 0.5: site.tf.sqrt, 1.0: site.tf.identity}.get(float(exponent.item()))
        if own is not None:
            return site.like(own(site.x.tensor))
    left, right, axes = operands(site, *site.args[:2])
    return Value(site.tf.pow(left, right), axes)


def erf(site: Site) -> Value:
    """TFLite has none: a rational function, right to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    tf, x = site.tf, site.x.tensor
    size = tf.abs(x)
    t = 1.0 / (1.0 + 0.3275911 * size)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return site.like(tf.sign(x) * (1.0 - poly * tf.exp(-tf.square(x))))


def prelu(site: Site) -> Value:
    """Slopes of a channel or of all."""
    left, right, axes = operands(site, *site.args[:2])
    return Value(site.tf.maximum(left, 0.0) + right * site.tf.minimum(left, 0.0), axes)


def where(site: Site) -> Value:
    """One or the other, by what `Equal` gives, by a constant, or by an input of truth values given in floats."""
    (condition, then, other), axes = _aligned(site, *site.args[:3])
    return Value(site.tf.where(site.tf.cast(condition, site.tf.bool), then, other), axes)


def cast(site: Site) -> Value:
    """Of truth values to 0 and 1; between floats nothing is to be done. An input of whole numbers stays in floats."""
    of_whole_input = site.source is None and site.node.name == input_cast(site.node.inputs[0])
    if site.attribute("to", 1) not in (1, 10, 11) and not of_whole_input:
        raise site.node.refused("it makes other values than floats", "compute in float32 throughout")
    if site.x.tensor.dtype == site.tf.bool:
        return site.like(site.tf.cast(site.x.tensor, site.tf.float32))
    return site.x


def dropout(site: Site) -> Value:
    """Its input, but in training."""
    if site.given(2) and bool(site.weight(2)):
        raise site.node.refused("it is in training mode: another answer each time", "export the network with .eval()")
    return site.x


def identity(site: Site) -> Value:
    """Its input."""
    return site.x
