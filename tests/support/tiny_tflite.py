"""Write a tiny convolutional network as .tflite bytes, float or int8, without TensorFlow.

Input [1, 12, 12, 2] (or other channels) -> conv 3x3 stride 2 -> depthwise 3x3 -> conv 1x1 -> mean -> logits [1, 5];
fixed random weights.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SHAPE = (2, 12, 12)  # C, H, W
CLASSES = 5
ACTIVATION_SCALE = 0.04
Op, Options = schema.BuiltinOperator, schema.BuiltinOptions


class _Writer:
    def __init__(self, quantised: bool) -> None:
        self.quantised = quantised
        self.random = np.random.default_rng(7)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, shape, data=None, scales=None, axis=0):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.INT8 if self.quantised else schema.TensorType.FLOAT32
        if data is not None:
            kinds = {"i": schema.TensorType.INT32, "b": schema.TensorType.INT8, "f": schema.TensorType.FLOAT32}
            tensor.type = kinds[data.dtype.char]
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        if self.quantised and data is None:
            scales = [ACTIVATION_SCALE]
        if self.quantised and scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [0] * len(scales)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def weights(self, name, shape, axis, per_tensor=False):
        values = self.random.normal(size=shape, scale=(2 / (np.prod(shape) / shape[axis])) ** 0.5).astype("f")
        bias = self.random.normal(size=shape[axis], scale=0.1).astype("f")
        if not self.quantised:
            return self.tensor(name, shape, values), self.tensor(name + "_b", bias.shape, bias)
        others = tuple(index for index in range(values.ndim) if index != axis)
        scales = np.abs(values).max(others) / 127
        if per_tensor:
            scales = np.full(1, scales.max())
        spread = np.expand_dims(scales, others) if len(scales) > 1 else scales
        stored = np.clip(np.rint(values / spread), -127, 127).astype("b")
        steps = np.rint(bias / (scales * ACTIVATION_SCALE)).astype("i")
        return (
            self.tensor(name, shape, stored, scales, axis),
            self.tensor(name + "_b", bias.shape, steps, scales * ACTIVATION_SCALE),
        )

    def add(self, code, inputs, outputs, *, kind, options, version):
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode = code
        operator_code.deprecatedBuiltinCode = min(code, 127)
        operator_code.version = version
        self.model.operatorCodes.append(operator_code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)

    def convolve(self, source, name, shape, *, size, stride, depthwise=False):
        weights, bias = self.weights(name, shape, axis=3 if depthwise else 0)
        result = self.tensor(name + "_out", (1, size, size, shape[3] if depthwise else shape[0]))
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, stride, stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        if depthwise:
            options.depthMultiplier = 1
        code = Op.DEPTHWISE_CONV_2D if depthwise else Op.CONV_2D
        kind = Options.DepthwiseConv2DOptions if depthwise else Options.Conv2DOptions
        version = 3 if self.quantised else 1
        self.add(code, [source, weights, bias], [result], kind=kind, options=options, version=version)
        return result

    def finish(self, source, result):
        self.graph.inputs, self.graph.outputs, self.graph.name = [source], [result], "main"
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def tiny_tflite(quantised: bool, channels: int = SHAPE[0]) -> bytes:
    """The network's file; int8 with per-channel weights if `quantised`."""
    writer = _Writer(quantised)
    source = writer.tensor("input", (1, 12, 12, channels))
    value = writer.convolve(source, "stem", (8, 3, 3, channels), size=6, stride=2)
    value = writer.convolve(value, "depthwise", (1, 3, 3, 8), size=6, stride=1, depthwise=True)
    value = writer.convolve(value, "pointwise", (16, 1, 1, 8), size=6, stride=1)
    pooled = writer.tensor("pooled", (1, 16))
    axes = writer.tensor("axes", (2,), np.array([1, 2], "i"))
    mean = schema.ReducerOptionsT()
    writer.add(Op.MEAN, [value, axes], [pooled], kind=Options.ReducerOptions, options=mean, version=2)
    weights, bias = writer.weights("classifier", (CLASSES, 16), axis=0, per_tensor=True)
    logits = writer.tensor("logits", (1, CLASSES))
    dense = schema.FullyConnectedOptionsT()
    version = 4 if quantised else 1
    inputs, kind = [pooled, weights, bias], Options.FullyConnectedOptions
    writer.add(Op.FULLY_CONNECTED, inputs, [logits], kind=kind, options=dense, version=version)
    return writer.finish(source, logits)


def behind_the_flatbuffer(content: bytes, least: int = 64) -> bytes:
    """The same model with its constants of `least` bytes or more behind the flatbuffer, as in files of 2 GB."""
    model = schema.ModelT.InitFromPackedBuf(content)
    moved = [each for each in model.buffers if each.data is not None and len(each.data) >= least]
    values = [bytes(each.data) for each in moved]
    for each in moved:
        each.data, each.offset, each.size = None, 1 << 40, 1 << 40  # as wide as what comes
    place = -(-len(_packed(model)) // 16) * 16
    tail = bytearray()
    for each, value in zip(moved, values, strict=True):
        each.offset, each.size = place + len(tail), len(value)
        tail += value + bytes(-len(value) % 16)
    head = _packed(model)
    return head + bytes(place - len(head)) + bytes(tail)


def _packed(model) -> bytes:
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def sum_with_constants(code, options, kind) -> bytes:
    """A file that adds to its input [1, 4] what an operator makes of constants."""
    writer = _Writer(False)
    source, row = writer.tensor("input", (1, 4)), writer.tensor("row", (1, 4), np.arange(1, 5, dtype="f")[None])
    other = writer.tensor("times", (2,), np.ones(2, "i")) if code == Op.TILE else row
    made, result = writer.tensor("made", (1, 4)), writer.tensor("logits", (1, 4))
    writer.add(code, [row, other], [made], kind=kind, options=options, version=1)
    writer.add(Op.ADD, [source, made], [result], kind=Options.AddOptions, options=schema.AddOptionsT(), version=1)
    return writer.finish(source, result)
