"""Decoding and non-maximum suppression inside a TFLite file, by the operator that LiteRT has for it.

Its kind is that of custom operators, but LiteRT registers it wherever it registers its own: in Python, on Android, in
Google Play services. What comes before it, from raw outputs to boxes, is converted from ONNX
like any network, in fp32, and put behind the file's outputs.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import flexbuffers
from numpy.typing import NDArray

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import FINISHED
from ofa_edge.export.onnx.boxes import Tail, centres_and_scores
from ofa_edge.export.tflite.convert import convert
from ofa_edge.export.tflite.flatbuffer import SUPPRESSION, pack, unpack
from ofa_edge.files import write_bytes

_LEAST_SIDE = 1e-9  # of a box, in shares of the input: the operator takes logarithms
Shape = tuple[int, ...]


def write_suppressed(source: Path, out: Path, decoding: Decoding) -> None:
    """Write a file's suppressed form: its outputs become boxes, classes, scores and how many count, in fp32.

    Args:
        source: a model of `convert.convert`, without metadata.
        out: the file to write.
        decoding: how its outputs become boxes; of a form in `onnx.boxes.SUPPRESSIBLE`.

    Raises:
        ConversionError: what comes before suppression cannot be converted.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-edge-suppress-") as folder:
        onnx, tail = Path(folder) / "tail.onnx", Path(folder) / "tail.tflite"
        _write_tail(onnx, decoding)
        convert(onnx, tail, "fp32")
        spliced = _Spliced(unpack(source.read_bytes()))
        places = [(1, *_flat(shape), 1) for shape in decoding.shapes]
        encodings, scores = spliced.append(unpack(tail.read_bytes()), places)
    spliced.suppress(encodings, scores, decoding)
    write_bytes(out, pack(spliced.model))


def _flat(shape: Shape) -> Shape:
    """An output as rows and columns: the tail takes it as an image of one channel, which no layout turns."""
    return shape[1], math.prod(shape[2:])


def _write_tail(path: Path, decoding: Decoding) -> None:
    """The ONNX model from raw outputs to what the operator takes: (y, x, log h, log w) [1, N, 4], scores [1, N, C]."""
    from onnx import TensorProto, checker, helper

    tail, names = Tail(), [f"part_{place:03}" for place in range(len(decoding.shapes))]
    whole = [tail.reshape(name, *shape) for name, shape in zip(names, decoding.shapes, strict=True)]
    centres, scores = centres_and_scores(tail, whole, decoding)
    x, y, size = (tail.slice(centres, 2, start, end) for start, end in ((0, 1), (1, 2), (2, 4)))
    sides = tail.op("Log", tail.op("Max", size, tail.constant(_LEAST_SIDE)))
    width, height = (tail.slice(sides, 2, start, start + 1) for start in (0, 1))
    ends = {"0_encodings": tail.concat([y, x, height, width], 2), "1_scores": tail.op("Identity", scores)}
    for name, end in ends.items():
        tail.nodes.append(helper.make_node("Identity", [end], [name], name))
    graph = helper.make_graph(
        tail.nodes,
        "tail",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, *_flat(shape)))
            for name, shape in zip(names, decoding.shapes, strict=True)
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, None]) for name in ends],
        tail.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))


class _Spliced:
    """A model to whose outputs more is put."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model, self.graph, self._schema = model, model.subgraphs[0], schema

    def append(self, tail: Any, shapes: Sequence[Shape]) -> list[int]:
        """Put another model behind the outputs, each as float32 in these shapes; the tensors that it gives."""
        inputs = [
            self._reshaped(self._as_float(tensor), shape)
            for tensor, shape in zip(self.graph.outputs, shapes, strict=True)
        ]
        graph, first_buffer = tail.subgraphs[0], len(self.model.buffers) - 1
        self.model.buffers += tail.buffers[1:]  # the first is nobody's in every file
        codes = [self._code(code) for code in tail.operatorCodes]
        known = dict(zip(map(int, graph.inputs), inputs, strict=True))
        for index, tensor in enumerate(graph.tensors):
            if index in known:
                continue
            tensor.buffer += first_buffer if tensor.buffer else 0
            tensor.name = b"suppression/" + tensor.name
            known[index] = len(self.graph.tensors)
            self.graph.tensors.append(tensor)
        for op in graph.operators:
            op.opcodeIndex = codes[op.opcodeIndex]
            op.inputs, op.outputs = (
                [known.get(int(index), -1) for index in indices] for indices in (op.inputs, op.outputs)
            )
            self.graph.operators.append(op)
        return [known[int(index)] for index in graph.outputs]

    def suppress(self, encodings: int, scores: int, decoding: Decoding) -> None:
        """Put the operator behind boxes and scores, and make its outputs the model's."""
        boxes = int(self.graph.tensors[encodings].shape[1])
        anchors = np.tile(np.array([0, 0, 1, 1], np.float32), (boxes, 1))  # boxes are where they say
        shapes = decoding.after_suppression().shapes
        outputs = [self._tensor(name, shape) for name, shape in zip(FINISHED, shapes, strict=True)]
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = self._schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = SUPPRESSION.encode(), 1
        place = self._constant("suppression/anchors", anchors)
        op = self._operator(code, [encodings, scores, place], outputs)
        op.customOptions = np.frombuffer(_options(decoding), np.uint8)
        self.graph.outputs = outputs
        for signature in self.model.signatureDefs or []:
            signature.outputs = []
            for name, tensor in zip(FINISHED, outputs, strict=True):
                entry = self._schema.TensorMapT()
                entry.name, entry.tensorIndex = name.encode(), tensor
                signature.outputs.append(entry)

    def _as_float(self, tensor: int) -> int:
        found = self.graph.tensors[tensor]
        if found.type == self._schema.TensorType.FLOAT32:
            return tensor
        made = self._tensor(f"suppression/float{tensor}", found.shape)
        self._builtin(self._schema.BuiltinOperator.DEQUANTIZE, [tensor], [made])
        return made

    def _reshaped(self, tensor: int, shape: Shape) -> int:
        if tuple(self.graph.tensors[tensor].shape) == shape:
            return tensor
        made = self._tensor(f"suppression/flat{tensor}", shape)
        sizes = self._constant(f"suppression/shape{tensor}", np.array(shape, np.int32))
        self._builtin(self._schema.BuiltinOperator.RESHAPE, [tensor, sizes], [made])
        return made

    def _builtin(self, kind: int, inputs: list[int], outputs: list[int]) -> None:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 2 if kind == self._schema.BuiltinOperator.DEQUANTIZE else 1  # of int8
        self._operator(code, inputs, outputs)

    def _operator(self, code: Any, inputs: list[int], outputs: list[int]) -> Any:
        op = self._schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self._code(code), inputs, outputs
        self.graph.operators.append(op)
        return op

    def _code(self, code: Any) -> int:
        """The place of an operator's code among the model's, where it may be already."""

        def key(each: Any) -> tuple[int, Any, int]:
            return max(each.builtinCode, each.deprecatedBuiltinCode), each.customCode, each.version

        codes = self.model.operatorCodes
        found = next((place for place, each in enumerate(codes) if key(each) == key(code)), None)
        if found is None:
            codes.append(code)
        return len(codes) - 1 if found is None else found

    def _constant(self, name: str, values: NDArray[Any]) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = self._tensor(name, values.shape)
        made = self.graph.tensors[tensor]
        made.buffer = len(self.model.buffers) - 1
        made.type = getattr(self._schema.TensorType, values.dtype.name.upper())
        return tensor

    def _tensor(self, name: str, shape: Sequence[int]) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(map(int, shape))
        tensor.type, tensor.buffer = self._schema.TensorType.FLOAT32, 0
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1


def _options(decoding: Decoding) -> bytes:
    """What the operator is told, as it reads it."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("max_detections", decoding.most)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("detections_per_class", decoding.most)
        builder.Bool("use_regular_nms", True)  # each class by itself
        builder.Float("nms_score_threshold", decoding.least_score)
        builder.Float("nms_iou_threshold", 1.0 if decoding.iou is None else decoding.iou)
        builder.Int("num_classes", decoding.classes)
        for name in ("y_scale", "x_scale", "h_scale", "w_scale"):
            builder.Float(name, 1.0)
    return bytes(builder.Finish())
