"""Operators of a TFLite file replaced by others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack

FLOAT32, INT32, INT8 = 0, 2, 9
"""Types of tensors, as the schema counts them."""
_TYPES = {"float32": FLOAT32, "int32": INT32, "int8": INT8}
_KINDS: Mapping[str, tuple[str, int]] = {  # by operator: the schema's table of its options, its version of int8
    "CONCATENATION": ("ConcatenationOptions", 2),
    "MUL": ("MulOptions", 2),
    "RESHAPE": ("ReshapeOptions", 1),
    "SLICE": ("SliceOptions", 2),
}


@dataclass
class Editor:
    """A file of one graph that is being changed: what is made by `make` takes the place of what was there.

    Attributes:
        model: the schema's `ModelT`.
        names: the operators that it had, in order ("CONV_2D").
        made: new operators, by the place in whose stead they run.
    """

    model: Any
    names: tuple[str, ...] = ()
    made: dict[int, list[Any]] = field(default_factory=dict)
    _shapes: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, content: bytes) -> "Editor":
        """Open a file."""
        model = unpack(content)
        codes = operator_names(model)
        return cls(model, tuple(codes[op.opcodeIndex] for op in model.subgraphs[0].operators))

    @property
    def graph(self) -> Any:
        """Its first subgraph."""
        return self.model.subgraphs[0]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of a tensor."""
        found = self.graph.tensors[tensor].shape
        return () if found is None else tuple(int(size) for size in found)

    def constant(self, tensor: int) -> NDArray[np.int32] | None:
        """A constant tensor's whole numbers; None of what is computed, or of another type."""
        found = self.graph.tensors[tensor]
        data = self.model.buffers[found.buffer].data
        if data is None or not len(data) or found.type != INT32:
            return None
        return np.frombuffer(bytes(data), np.int32)

    def make(
        self, place: int, kind: str, inputs: Sequence[int], out: "int | tuple[Sequence[int], int]", **options: Any
    ) -> int:
        """Let an operator run at a place; its result is `out`, or a new tensor of a shape that is else like another."""
        from ai_edge_litert import schema_py_generated as schema

        result = out if isinstance(out, int) else self._like(*out)
        table, version = _KINDS[kind]
        made = schema.OperatorT()
        made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        made.builtinOptions = getattr(schema, f"{table}T")()
        for name, value in options.items():
            setattr(made.builtinOptions, name, value)
        if self.graph.tensors[result].type != INT8:
            version = 1
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, kind), version)
        made.inputs, made.outputs = list(inputs), [result]
        self.made.setdefault(place, []).append(made)
        return result

    def reshape(self, place: int, tensor: int, out: "int | tuple[Sequence[int], int]") -> int:
        """Let a tensor's values be seen in another shape."""
        shape = self.shape(out) if isinstance(out, int) else tuple(out[0])
        return self.make(place, "RESHAPE", [tensor, self.numbers(shape)], out, newShape=list(shape))

    def numbers(self, values: Sequence[int]) -> int:
        """A constant of whole numbers [N]."""
        array = np.asarray(values, np.int32)
        if array.tobytes() not in self._shapes:
            self._shapes[array.tobytes()] = self.store(array, b"numbers")
        return self._shapes[array.tobytes()]

    def store(self, values: NDArray[Any], name: bytes, scale: float | None = None) -> int:
        """A constant; with a scale, and the zero point 0, where it is given."""
        from ai_edge_litert import schema_py_generated as schema

        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        tensor.buffer, tensor.name, tensor.type = len(self.model.buffers), name, _TYPES[values.dtype.name]
        tensor.shape = np.asarray(values.shape, np.int32)
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.asarray([scale], np.float32)
            tensor.quantization.zeroPoint = np.asarray([0], np.int64)
        self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def packed(self) -> bytes:
        """The file, as it is now."""
        self.graph.operators = [
            each for place, op in enumerate(self.graph.operators) for each in self.made.get(place, [op])
        ]
        self.made = {}
        return pack(self.model)

    def _like(self, shape: Sequence[int], tensor: int) -> int:
        """A new computed tensor with the type, the steps and the name of another."""
        from ai_edge_litert import schema_py_generated as schema

        source, made = self.graph.tensors[tensor], schema.TensorT()
        made.type, made.quantization, made.buffer = source.type, source.quantization, 0
        made.name = (source.name or b"") + f"/part{len(self.graph.tensors)}".encode()
        made.shape, made.hasRank = np.asarray(shape, np.int32), source.hasRank
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def _code(self, kind: int, version: int) -> int:
        """The place of an operator's code among the model's."""
        from ai_edge_litert import schema_py_generated as schema

        codes = self.model.operatorCodes
        for place, each in enumerate(codes):
            if max(each.builtinCode, each.deprecatedBuiltinCode) == kind and each.version >= version:
                return place
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = version
        codes.append(code)
        return len(codes) - 1
