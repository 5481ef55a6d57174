"""An int8 TFLite file drawn from a network's operators alone: what Vela needs to tell cycles, and nothing more.

Weights are random: what an accelerator does with them depends on their number, and a little on how well they compress.
A converted network of the same shape takes the same cycles within a fraction of a percent (docs/ethos-u.md), and this
needs neither torch nor TensorFlow, so that thousands of networks can be asked about.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost import Operator
from ofa_edge.export.tflite.flatbuffer import pack

_SCALE = 0.04  # of every map; nothing is ever run


def drawn(network: Sequence[Operator]) -> bytes | None:
    """The file of a network, or of a part of one, from its operators in order; None for those of other than MBConv."""
    writer = _Writer()
    value = writer.map(network[0].in_channels, network[0].in_size)
    writer.graph.inputs = [value]
    residuals, gate = [value], value  # maps that an addition may take up: none inside a block
    for place, operator in enumerate(network):
        kind, size = operator.kind, (operator.out_channels, operator.out_size)
        inside = kind in ("depthwise", "scale")
        if kind == "pool":
            if operator.out_size != 1:
                return None
            gate, value = value, writer.mean(value, operator)
        elif kind in ("conv", "pointwise", "depthwise", "dense"):
            if operator.groups > 1:
                return None
            last = kind == "dense" and place == len(network) - 1 and place > 0
            value = writer.dense(value, operator) if last else writer.convolve(value, operator)
        elif kind == "h_swish":
            inside = network[place - 1].kind == "depthwise"
            value = writer.swish(value)
        elif kind == "scale":
            value = writer.pair("MUL", gate, value, size)
        elif kind == "add":
            other = next((each for each in reversed(residuals[:-1]) if writer.size(each) == size), None)
            if other is None:
                return None
            value = writer.pair("ADD", other, value, size)
        else:
            return None
        if not inside:
            residuals.append(value)
    writer.graph.outputs = [value]
    return writer.bytes()


class _Writer:
    """One subgraph, operator by operator."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.random = schema, np.random.default_rng(0)
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph.tensors, self.graph.operators, self.graph.name = [], [], "main"
        self._codes: dict[tuple[int, int], int] = {}
        self._sizes: dict[int, tuple[int, int]] = {}

    def bytes(self) -> bytes:
        """The file."""
        self.model.subgraphs = [self.graph]
        return pack(self.model)

    def size(self, tensor: int) -> tuple[int, int]:
        """Channels and spatial size of a map."""
        return self._sizes[tensor]

    def map(self, channels: int, size: int, flat: bool = False) -> int:
        """A new map [1, size, size, channels], or [1, channels]."""
        shape = (1, channels) if flat else (1, size, size, channels)
        tensor = self._tensor(shape, None, np.array([_SCALE], np.float32))
        self._sizes[tensor] = (channels, size)
        return tensor

    def convolve(self, source: int, operator: Operator) -> int:
        """A convolution with one scale a channel."""
        schema = self.schema
        channels, kernel = operator.out_channels, operator.kernel
        deep = operator.kind == "depthwise" or operator.in_channels == 1 < kernel  # as the converter has it
        shape = (1, kernel, kernel, channels) if deep else (channels, kernel, kernel, operator.in_channels)
        options = schema.DepthwiseConv2DOptionsT() if deep else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = operator.stride
        options.dilationHFactor = options.dilationWFactor = 1
        if deep:
            options.depthMultiplier = channels // operator.in_channels
        target = self.map(channels, operator.out_size)
        name = "DepthwiseConv2D" if deep else "Conv2D"
        code = "DEPTHWISE_CONV_2D" if deep else "CONV_2D"
        self._add(code, [source, *self._weights(shape, 3 if deep else 0)], target, f"{name}Options", options, 3)
        return target

    def dense(self, source: int, operator: Operator) -> int:
        """The classifier."""
        target = self.map(operator.out_channels, 1, flat=True)
        weights = self._weights((operator.out_channels, operator.in_channels), 0, each=False)
        options = self.schema.FullyConnectedOptionsT()
        self._add("FULLY_CONNECTED", [source, *weights], target, "FullyConnectedOptions", options, 4)
        return target

    def mean(self, source: int, operator: Operator) -> int:
        """The mean over a map."""
        options = self.schema.ReducerOptionsT()
        options.keepDims = True
        axes = self._tensor((2,), np.array([1, 2], np.int32))
        target = self.map(operator.out_channels, 1)
        self._add("MEAN", [source, axes], target, "ReducerOptions", options, 2)
        return target

    def swish(self, source: int) -> int:
        """A hard-swish."""
        target = self.map(*self.size(source))
        self._add("HARD_SWISH", [source], target, "HardSwishOptions", self.schema.HardSwishOptionsT(), 1)
        return target

    def pair(self, code: str, one: int, other: int, size: tuple[int, int]) -> int:
        """An addition or a product of two maps."""
        options = self.schema.AddOptionsT() if code == "ADD" else self.schema.MulOptionsT()
        target = self.map(*size)
        self._add(code, [one, other], target, f"{code.title()}Options", options, 2)
        return target

    def _weights(self, shape: tuple[int, ...], axis: int, *, each: bool = True) -> tuple[int, int]:
        """Weights as networks have them (bell-shaped, the largest of each channel at 127) and biases."""
        values = self.random.normal(size=shape)
        others = tuple(index for index in range(len(shape)) if index != axis)
        largest = np.abs(values).max(others, keepdims=True) if each else np.abs(values).max()
        scales = np.full(shape[axis] if each else 1, 0.01, np.float32)
        weights = self._tensor(shape, np.rint(values / largest * 127).astype(np.int8), scales, axis)
        biases = self.random.integers(-1000, 1000, shape[axis]).astype(np.int32)
        return weights, self._tensor((shape[axis],), biases, scales * _SCALE)

    def _tensor(
        self,
        shape: tuple[int, ...],
        data: NDArray[Any] | None,
        scales: NDArray[np.float32] | None = None,
        axis: int = 0,
    ) -> int:
        schema = self.schema
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{len(self.graph.tensors)}", list(shape), 0
        whole = data is not None and data.dtype == np.int32
        tensor.type = schema.TensorType.INT32 if whole else schema.TensorType.INT8
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _add(self, name: str, inputs: list[int], output: int, kind: str, options: Any, version: int) -> None:
        schema = self.schema
        builtin = getattr(schema.BuiltinOperator, name)
        if (builtin, version) not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
            self.model.operatorCodes.append(code)
            self._codes[builtin, version] = len(self.model.operatorCodes) - 1
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes[builtin, version]
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        self.graph.operators.append(operator)
