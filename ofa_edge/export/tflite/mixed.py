"""TFLite files of an int8 file and its fp32 twin: some operators from the one, the others from the other.

Where an int8 operator meets a float one stands a QUANTIZE or a DEQUANTIZE. XNNPACK runs both, and operators of either
kind, so such a file is delegated whole. (16-bit activations are not: LiteRT's own kernels for them are many times
slower; see docs/benchmarks/int8.md.)
"""

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.flatbuffer import pack
from ofa_edge.export.tflite.pair import Pair, constant, dequantised

INPUT = -1
"""In place of an operator: the graph's input."""


def mixed(pair: Pair, floats: Collection[int]) -> bytes:
    """The int8 file with the operators at `floats` in fp32. Input and output stay int8.

    The weights of those operators are float32. What is int8 is as it was in the int8 file, to the bit.
    """
    making = _Making(pair)
    for place in range(len(pair.names)):
        if place in floats:
            making.add_plain(place)
        else:
            making.add_quantised(place)
    making.model.subgraphs[0].outputs = [making.quantised(int(each)) for each in pair.graph.outputs]
    making.model.subgraphs[0].inputs = [making.stored(("q", int(pair.graph.inputs[0])))]
    return making.packed()


def probe(pair: Pair, places: Collection[int]) -> bytes:
    """The fp32 twin in which the operators at `places` alone are rounded as the int8 file rounds them.

    Their weights and biases are those of the int8 file, and what they give is rounded to the int8 file's steps and
    cut off at its range. Input and output are float32. `INPUT` among the places rounds the graph's input.
    """
    making = _Making(pair, float_input=True)
    if INPUT in places:
        making.round(int(pair.graph.inputs[0]))
    for place in range(len(pair.names)):
        making.add_plain(place, rounded=place in places)
        if place in places and pair.rounds(place):
            making.round(int(pair.graph.operators[place].outputs[0]))
    making.model.subgraphs[0].outputs = [making.plain(int(each)) for each in pair.graph.outputs]
    making.model.subgraphs[0].inputs = [making.stored(("f", int(pair.graph.inputs[0])))]
    return making.packed()


_Key = tuple[str, int]


@dataclass
class _Making:
    """A file that is being put together. Tensors that are computed go by their number in the int8 file."""

    pair: Pair
    float_input: bool = False
    model: Any = field(init=False)
    places: dict[_Key, int] = field(default_factory=dict)  # of tensors of either file in the new one
    twins: dict[int, int] = field(init=False)  # number in the int8 file -> in the twin
    current: dict[_Key, int] = field(default_factory=dict)  # "q" or "f", number -> the new file's tensor with its value
    codes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        pair, self.model, graph = self.pair, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = pair.quantised.version, pair.quantised.description
        self.model.buffers, self.model.operatorCodes, self.model.subgraphs = [schema.BufferT()], [], [graph]
        graph.tensors, graph.operators = [], []
        self.twins = pair.twins()
        start = int(pair.graph.inputs[0])
        kind = "f" if self.float_input else "q"
        self.current[kind, start] = self.stored((kind, start))

    def add_quantised(self, place: int) -> None:
        """An operator as the int8 file has it."""
        pair, op = self.pair, copy.copy(self.pair.graph.operators[place])
        op.inputs = [self._quantised_input(each) for each in map(int, op.inputs)]
        made = int(op.outputs[0])
        self.current["q", made] = self.stored(("q", made))
        op.outputs = [self.current["q", made]]
        op.opcodeIndex = self._code(pair.quantised.operatorCodes[op.opcodeIndex])
        self.model.subgraphs[0].operators.append(op)

    def add_plain(self, place: int, rounded: bool = False) -> None:
        """An operator as the twin has it; `rounded`: with the int8 file's constants."""
        pair, op = self.pair, copy.copy(self.pair.twin.operators[place])
        left = self.pair.graph.operators[place]
        inputs = []
        for own, other in zip(map(int, left.inputs), map(int, op.inputs), strict=True):
            if own < 0 or self._is_constant(own):
                inputs.append(self._constant(own, other, rounded))
            else:
                inputs.append(self.plain(own))
        op.inputs = inputs
        made = int(left.outputs[0])
        self.current["f", made] = self.stored(("f", made))
        op.outputs = [self.current["f", made]]
        op.opcodeIndex = self._code(pair.plain.operatorCodes[op.opcodeIndex])
        self.model.subgraphs[0].operators.append(op)

    def quantised(self, number: int) -> int:
        """A computed tensor in int8, wherever it comes from."""
        if ("q", number) not in self.current:
            self._convert("QUANTIZE", self.current["f", number], self.stored(("q", number)))
            self.current["q", number] = self.stored(("q", number))
        return self.current["q", number]

    def plain(self, number: int) -> int:
        """A computed tensor in float32, wherever it comes from."""
        if ("f", number) not in self.current:
            self._convert("DEQUANTIZE", self.current["q", number], self.stored(("f", number)))
            self.current["f", number] = self.stored(("f", number))
        return self.current["f", number]

    def round(self, number: int) -> None:
        """Pass a float tensor through int8; who reads it from now on reads what is left."""
        graph = self.model.subgraphs[0]
        self._convert("QUANTIZE", self.current["f", number], self.stored(("q", number)))
        after = copy.copy(graph.tensors[self.current["f", number]])
        graph.tensors.append(after)
        self._convert("DEQUANTIZE", self.stored(("q", number)), len(graph.tensors) - 1)
        self.current["f", number] = len(graph.tensors) - 1

    def stored(self, key: _Key) -> int:
        """The new file's tensor for one of the int8 file ("q") or of the twin ("f"), by the int8 file's number."""
        if key not in self.places:
            kind, number = key
            model, at = (self.pair.quantised, number) if kind == "q" else (self.pair.plain, self.twins[number])
            self.places[key] = self._taken(model, model.subgraphs[0].tensors[at])
        return self.places[key]

    def packed(self) -> bytes:
        """The file."""
        return pack(self.model)

    def _quantised_input(self, number: int) -> int:
        if number < 0:
            return number
        return self.stored(("q", number)) if self._is_constant(number) else self.quantised(number)

    def _constant(self, own: int, other: int, rounded: bool) -> int:
        """A constant input of a twin's operator; the int8 file's values of it where they are asked for."""
        if own < 0:
            return -1
        values = dequantised(self.pair.quantised, self.pair.graph.tensors[own]) if rounded else None
        key = ("rounded" if values is not None else "plain", own if values is not None else other)
        if key not in self.places:
            self.places[key] = self._taken(self.pair.plain, self.pair.twin.tensors[other], values)
        return self.places[key]

    def _taken(self, model: Any, tensor: Any, values: NDArray[np.float32] | None = None) -> int:
        """Copy a tensor, with its constant or with other values."""
        tensor = copy.copy(tensor)
        data = model.buffers[tensor.buffer].data if values is None else np.frombuffer(values.tobytes(), np.uint8)
        tensor.buffer = 0
        if data is not None and len(data):
            buffer = self.schema.BufferT()
            buffer.data = data
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.model.subgraphs[0].tensors.append(tensor)
        return len(self.model.subgraphs[0].tensors) - 1

    def _is_constant(self, number: int) -> bool:
        return number < 0 or constant(self.pair.quantised, self.pair.graph.tensors[number]) is not None

    def _convert(self, kind: str, source: int, target: int) -> None:
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, kind)
        code.version = 1
        op = self.schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = self._code(code), [source], [target]
        self.model.subgraphs[0].operators.append(op)

    def _code(self, code: Any) -> int:
        """The place of an operator code in the new file."""
        key = f"{max(code.builtinCode, code.deprecatedBuiltinCode)} {code.version} {code.customCode!r}"
        if key not in self.codes:
            self.codes[key] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        return self.codes[key]
