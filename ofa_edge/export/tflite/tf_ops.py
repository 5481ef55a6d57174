"""The map from ONNX operators to TensorFlow: one small function each. Maps are NHWC on TensorFlow's side.

A network built in NHWC throughout needs no transposition, and NHWC is what TFLite's kernels are written for. The map
holds what these networks use after onnxsim; anything else is an error that names the node. To add an operator: write
its function, put it into `BUILDERS`, and add it to the test that compares the whole map with ONNX Runtime.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.graph import Graph, Node

_NHWC = (0, 2, 3, 1)
_AXIS_OF = {0: 0, 1: 3, 2: 1, 3: 2}  # ONNX's axis -> TensorFlow's, of a map


@dataclass(frozen=True)
class Site:
    """A node where it is built.

    Attributes:
        tf: the tensorflow module (imported by the caller: this file must be cheap to import).
        node: what is built.
        args: its inputs: a tensor (NHWC if it has four dimensions), a constant in ONNX's layout, or None if left out.
        source: the node that computes the first input; None for the image.
    """

    tf: ModuleType
    node: Node
    args: tuple[Any, ...]
    source: Node | None = None

    @property
    def x(self) -> Any:
        """The first input, which must be a computed value."""
        if isinstance(self.args[0], np.ndarray):
            raise self.node.refused("its first input is a constant", "run onnxsim over the model first")
        return self.args[0]

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or ONNX's default for it."""
        return self.node.attributes.get(name, default)

    def weight(self, position: int) -> NDArray[Any]:
        """The constant at `position`."""
        value = self.args[position]
        if not isinstance(value, np.ndarray):
            raise self.node.refused(f"its input {position} is not a constant", "make it a weight of the network")
        return value

    def optional(self, position: int) -> Any:
        """The input at `position`, or None."""
        return self.args[position] if position < len(self.args) else None


Builder = Callable[[Site], Any]


def check_operators(graph: Graph) -> None:
    """Refuse a graph with an operator outside the map, before any work.

    Raises:
        ConversionError: naming the first such node and all such operators.
    """
    outside = [node for node in graph.nodes if node.op not in BUILDERS]
    if outside:
        operators = ", ".join(sorted({node.op for node in outside}))
        raise outside[0].refused(
            f"outside the map to TensorFlow: {operators}; the map holds {', '.join(sorted(BUILDERS))}",
            "write the network without it, or add a function for it to ofa_edge/export/tflite/tf_ops.py",
        )


def build(tf: ModuleType, graph: Graph, x: Any) -> Any:
    """Build the graph's operators on `x`, a tensor [1, H, W, C]; return the logits' tensor."""
    values = {graph.input: x}
    sources = {node.output: node for node in graph.nodes}
    for node in graph.nodes:
        args = tuple(values[name] if name in values else graph.constant(name) for name in node.inputs)
        values[node.output] = BUILDERS[node.op](Site(tf, node, args, sources.get(node.inputs[0])))
    return values[graph.output]


def _conv(site: Site) -> Any:
    weight = site.weight(1)
    if weight.ndim != 4 or site.attribute("auto_pad", b"NOTSET") != b"NOTSET":
        raise site.node.refused("only 2-d convolutions with explicit pads are mapped", "give the pads as numbers")
    strides, dilations = list(site.attribute("strides", (1, 1))), list(site.attribute("dilations", (1, 1)))
    x, padding = _padded(site, weight.shape[2:], strides, dilations)
    groups, channels = site.attribute("group", 1), x.shape[3]
    if groups == channels and weight.shape[1] == 1:
        # [C * multiplier, 1, kH, kW] -> [kH, kW, C, multiplier]. The raw operator: tf.nn's own takes no dilation with
        # a stride, and writes a dilated one as space-to-batch.
        kernel = weight.reshape(channels, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
        y = site.tf.raw_ops.DepthwiseConv2dNative(
            input=x,
            filter=site.tf.constant(np.ascontiguousarray(kernel)),
            strides=[1, *strides, 1],
            padding=padding,
            dilations=[1, *dilations, 1],
        )
    else:
        kernel = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
        y = site.tf.nn.conv2d(x, site.tf.constant(kernel), strides, padding, dilations=dilations)
    return y if site.optional(2) is None else site.tf.nn.bias_add(y, site.tf.constant(site.weight(2)))


def _padded(site: Site, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> tuple[Any, str]:
    """(input, padding) with exactly ONNX's pads.

    TensorFlow's SAME puts the odd pixel of a stride of 2 behind the image, torch puts half the kernel on both sides:
    SAME is used only where the two are equal, otherwise zeros are added by a PAD, which XNNPACK fuses.
    """
    x, wanted = site.x, _pads(site)
    if not any(map(any, wanted)):
        return x, "VALID"
    if wanted == _same(x, kernel, strides, dilations):
        return x, "SAME"
    return site.tf.pad(x, [(0, 0), *wanted, (0, 0)]), "VALID"


Pads = tuple[tuple[int, int], ...]  # before and behind, of height and width


def _pads(site: Site) -> Pads:
    """A node's own pads."""
    top, left, bottom, right = site.attribute("pads", (0, 0, 0, 0))
    return (top, bottom), (left, right)


def _same(x: Any, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Pads:
    """The pads of TensorFlow's SAME."""
    same = []
    for size, taps, stride, dilation in zip(x.shape[1:3], kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
        same.append((total // 2, total - total // 2))
    return tuple(same)


def _window(site: Site) -> tuple[list[int], list[int]]:
    """Kernel and strides of a pooling node."""
    kernel = list(site.attribute("kernel_shape", ()))
    plain = list(site.attribute("dilations", (1, 1))) == [1, 1] and site.attribute("auto_pad", b"NOTSET") == b"NOTSET"
    if len(kernel) != 2 or not plain:
        raise site.node.refused("only undilated 2-d pooling with explicit pads is mapped", "give the pads as numbers")
    return kernel, list(site.attribute("strides", (1, 1)))


def _max_pool(site: Site) -> Any:
    """Pads can never be the maximum: zeros where nothing is below 0, elsewhere mirrored pixels of the same window."""
    kernel, strides = _window(site)
    wanted = _pads(site)
    if site.attribute("ceil_mode", 0) or any(2 * max(pads) > taps for pads, taps in zip(wanted, kernel, strict=True)):
        raise site.node.refused("rounding up, or pads of more than half the window", "pad by half the window at most")
    x, padding = site.x, "VALID"
    if any(map(any, wanted)):
        if wanted == _same(x, kernel, strides, (1, 1)):
            padding = "SAME"
        else:
            # Zeros for XNNPACK, which takes no other padding.
            mode = "CONSTANT" if site.source is not None and site.source.op == "Relu" else "SYMMETRIC"
            x = site.tf.pad(x, [(0, 0), *wanted, (0, 0)], mode=mode)
    return site.tf.nn.max_pool2d(x, kernel, strides, padding)


def _average_pool(site: Site) -> Any:
    """Both divide by the pixels inside the map: windows that reach over its far side are SAME's."""
    kernel, strides = _window(site)
    x, ceil = site.x, site.attribute("ceil_mode", 0)
    before = [pads[0] for pads in _same(x, kernel, strides, (1, 1))]
    if any(map(any, _pads(site))) or (ceil and (any(before) or kernel != strides)):
        raise site.node.refused(
            f"kernel {kernel}, strides {strides}, pads {list(map(list, _pads(site)))}, ceil_mode {ceil}",
            "only average pooling without padding is mapped; with ceil_mode, of strides equal to the kernel",
        )
    return site.tf.nn.avg_pool2d(x, kernel, strides, "SAME" if ceil else "VALID")


def _gemm(site: Site) -> Any:
    if site.attribute("transA", 0):
        raise site.node.refused("a transposed first operand is not mapped", "transpose the weights instead")
    weight = site.weight(1).T if site.attribute("transB", 0) else site.weight(1)
    scaled = np.ascontiguousarray(weight * np.float32(site.attribute("alpha", 1.0)))
    y = site.tf.matmul(site.x, site.tf.constant(scaled))
    if site.optional(2) is None:
        return y
    return y + site.tf.constant(site.weight(2) * np.float32(site.attribute("beta", 1.0)))


def _matmul(site: Site) -> Any:
    if len(site.x.shape) != 2:
        raise site.node.refused("only products of a row [1, features] with weights are mapped", "flatten the map first")
    return site.tf.matmul(site.x, site.tf.constant(site.weight(1)))


def _add(site: Site) -> Any:
    left, right = _operands(site)
    return left + right


def _mul(site: Site) -> Any:
    left, right = _operands(site)
    return left * right


def _operands(site: Site) -> tuple[Any, Any]:
    """Both inputs of a broadcasting operator, constants brought to the layout of the tensor beside them."""
    left, right = site.args
    rank = max(len(each.shape) for each in (left, right))
    for each in (left, right):
        # ONNX broadcasts a tensor of fewer dimensions from the width, TensorFlow from the channels.
        if rank == 4 and len(each.shape) not in (0, 4) and np.prod(each.shape) != 1:
            raise site.node.refused("it broadcasts a row over a map", "give both sides four dimensions")
    left, right = (_constant_operand(site, each) if isinstance(each, np.ndarray) else each for each in (left, right))
    return left, right


def _constant_operand(site: Site, value: NDArray[Any]) -> Any:
    layout = value.transpose(_NHWC) if value.ndim == 4 else value.reshape(()) if value.size == 1 else value
    return site.tf.constant(np.ascontiguousarray(layout) if layout.ndim else layout, site.tf.float32)


def _relu(site: Site) -> Any:
    return site.tf.nn.relu(site.x)


def _clip(site: Site) -> Any:
    low, high = (None if site.optional(at) is None else float(site.weight(at).item()) for at in (1, 2))
    if (low, high) == (0, 6):
        return site.tf.nn.relu6(site.x)
    y = site.x if low is None else site.tf.maximum(site.x, low)
    return y if high is None else site.tf.minimum(y, high)


def _hard_swish(site: Site) -> Any:
    # The form that TFLite's converter recognises as HARD_SWISH.
    return site.x * site.tf.nn.relu6(site.x + 3.0) * np.float32(1 / 6)


def _hard_sigmoid(site: Site) -> Any:
    slope, offset = site.attribute("alpha", 0.2), site.attribute("beta", 0.5)
    return site.tf.minimum(site.tf.maximum(site.x * np.float32(slope) + np.float32(offset), 0.0), 1.0)


def _global_average_pool(site: Site) -> Any:
    return site.tf.reduce_mean(site.x, [1, 2], keepdims=True)


def _reduce_mean(site: Site) -> Any:
    given = site.optional(1)  # opset 18 on
    axes = _axes(site, site.attribute("axes", None) if given is None else site.weight(1).tolist())
    return site.tf.reduce_mean(site.x, axes, keepdims=bool(site.attribute("keepdims", 1)))


def _squeeze(site: Site) -> Any:
    given = site.optional(1)
    return site.tf.squeeze(site.x, _axes(site, None if given is None else given.tolist()))


def _axes(site: Site, axes: Sequence[int] | None) -> list[int]:
    """The spatial axes of a map in TensorFlow's order; no other axes keep the layouts in step."""
    found = sorted({axis % 4 for axis in axes or ()})
    if len(site.x.shape) != 4 or found != [2, 3]:
        raise site.node.refused(
            f"axes {list(axes) if axes else 'left out'} of a tensor with {len(site.x.shape)} dimensions",
            "only height and width together, axes [2, 3] of a map, are mapped",
        )
    return sorted(_AXIS_OF[axis] for axis in found)


def _to_row(site: Site) -> Any:
    """Flatten or Reshape of [1, C, 1, 1] to [1, C]; of a larger map the order of the features would change."""
    shape = tuple(site.x.shape)
    wanted = site.optional(1)
    axis = site.attribute("axis", 1) if wanted is None else 1
    fits = wanted is None or (tuple(wanted) in _rows(shape[-1]))
    if axis != 1 or not fits or (len(shape) == 4 and shape[1:3] != (1, 1)):
        raise site.node.refused(
            f"it reshapes {shape} (NHWC) to {'a row' if wanted is None else wanted.tolist()}",
            "only one pixel [1, C, 1, 1] to one row [1, C] is mapped: pool over the whole map first",
        )
    return site.tf.reshape(site.x, [1, shape[-1]])


def _rows(channels: int) -> set[tuple[int, int]]:
    """The ways to say [1, channels]: 0 keeps the batch, one -1 is what is left."""
    return {(batch, row) for batch in (0, 1, -1) for row in (-1, channels)} - {(-1, -1)}


def _identity(site: Site) -> Any:
    return site.x


BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Add": _add,
        "AveragePool": _average_pool,
        "Clip": _clip,
        "Conv": _conv,
        "Flatten": _to_row,
        "Gemm": _gemm,
        "GlobalAveragePool": _global_average_pool,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _hard_swish,
        "Identity": _identity,
        "MatMul": _matmul,
        "MaxPool": _max_pool,
        "Mul": _mul,
        "ReduceMean": _reduce_mean,
        "Relu": _relu,
        "Reshape": _to_row,
        "Squeeze": _squeeze,
    }
)
