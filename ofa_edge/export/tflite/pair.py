"""An int8 TFLite file and its fp32 twin, operator by operator.

The twin is the same rewritten graph in fp32 (`convert.convert_twin`): the same operators in the same order, so any of
them can be taken from either file. That is all that `mixed` and `blame` need.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ModelFileError
from ofa_edge.export.onnx.graph import original
from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack

# What they give are values of their input, in the same steps: they round nothing.
MOVES = frozenset({"PAD", "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "SLICE", "GATHER"})

WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_NEAR = 0.5  # of a constant's size: int8 with a scale per channel comes within a few hundredths


@dataclass(frozen=True)
class Pair:
    """Both files, unpacked. Positions of operators hold for both; tensors have numbers of their own in each.

    Attributes:
        quantised, plain: the schema's `ModelT` of each.
        names: the operators, in order ("CONV_2D").
        sources: for each operator, the ONNX nodes that it holds; the first is the one it is called by.
    """

    quantised: Any
    plain: Any
    names: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]

    @property
    def graph(self) -> Any:
        """Of the int8 file."""
        return self.quantised.subgraphs[0]

    @property
    def twin(self) -> Any:
        """The graph of the fp32 file."""
        return self.plain.subgraphs[0]

    def packed(self) -> bytes:
        """The int8 file."""
        return pack(self.quantised)

    def packed_twin(self) -> bytes:
        """The fp32 file, its operators in the order of the int8 file."""
        return pack(self.plain)

    @property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """Positions of the operators of each ONNX node that weights or numbers were made of, in order."""
        found: dict[str, list[int]] = {}
        for place, nodes in enumerate(self.sources):
            found.setdefault(nodes[0], []).append(place)
        return {name: tuple(places) for name, places in found.items()}

    def readers(self) -> dict[int, tuple[int, ...]]:
        """For each tensor of the int8 file, the operators that read it."""
        found: dict[int, list[int]] = {}
        for place, op in enumerate(self.graph.operators):
            for tensor in op.inputs:
                found.setdefault(int(tensor), []).append(place)
        return {tensor: tuple(places) for tensor, places in found.items()}

    def twins(self) -> dict[int, int]:
        """For each computed tensor of the int8 file, and its input, the number of the twin's."""
        pairs = zip(self.graph.operators, self.twin.operators, strict=True)
        start = _inputs(self.graph, self.twin)
        return start | {int(left.outputs[0]): int(right.outputs[0]) for left, right in pairs}

    def rounds(self, place: int) -> bool:
        """Whether an operator rounds its result: not where it only moves values that are in its steps already."""
        op, tensors = self.graph.operators[place], self.graph.tensors
        if self.names[place] not in MOVES | {"CONCATENATION"}:
            return True
        moved = op.inputs if self.names[place] == "CONCATENATION" else op.inputs[:1]
        return any(scale_of(tensors[each]) != scale_of(tensors[op.outputs[0]]) for each in moved)


def open_pair(quantised: Path, plain: Path, nodes: Sequence[str], originals: Sequence[str]) -> Pair:
    """Read an int8 file and its twin.

    Args:
        quantised: the int8 file.
        plain: of `convert.convert_twin`, whose tensors are named after the places of `nodes`.
        nodes: names of the rewritten graph's nodes, in order.
        originals: names of the nodes in the ONNX file: those that a rewrite made are counted to the one it replaced.

    Raises:
        ModelFileError: the two are not of one graph.
    """
    pair = pair_up(quantised.read_bytes(), plain.read_bytes(), nodes, originals)
    if pair is None:
        raise ModelFileError(
            f"{quantised.name} is not the int8 form of this network",
            "not each of its operators has a partner among those that the network gives, or some are not int8",
            "give the ONNX file that it was converted from, by this version of ofa-edge",
        )
    return pair


def pair_up(quantised: bytes, plain: bytes, nodes: Sequence[str] = (), originals: Sequence[str] = ()) -> Pair | None:
    """As `open_pair`, of files in memory; None where they are not of one graph. Without `nodes` it knows no sources."""
    left, right = unpack(quantised), unpack(plain)
    partners = _partners(left, right) if _is_int8(left.subgraphs[0]) else None
    if partners is None:
        return None
    operators = right.subgraphs[0].operators
    right.subgraphs[0].operators = ordered = [operators[place] for place in partners]
    names = tuple(original(name, originals) for name in nodes)
    sources = tuple(_sources(right.subgraphs[0], op, names) if names else () for op in ordered)
    return Pair(left, right, _kinds(left), sources)


def scale_of(tensor: Any) -> tuple[float, int] | None:
    """(scale, zero point) of a tensor with one of each; None of others."""
    found = tensor.quantization
    if found is None or found.scale is None or len(found.scale) != 1:
        return None
    return float(found.scale[0]), int(found.zeroPoint[0])


def constant(model: Any, tensor: Any) -> NDArray[Any] | None:
    """A constant tensor's values as they are stored, or None where the tensor is computed."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    kind = {0: np.float32, 2: np.int32, 4: np.int64, 9: np.int8}[tensor.type]
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    return np.frombuffer(bytes(data), kind).reshape(shape)


def set_constant(model: Any, tensor: Any, values: NDArray[Any]) -> None:
    """Store other values of the same type and shape. A buffer that others share is left to them."""
    data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    shared = sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors) > 1
    if shared:
        buffer = copy.copy(model.buffers[tensor.buffer])
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    model.buffers[tensor.buffer].data = data


def dequantised(model: Any, tensor: Any) -> NDArray[np.float32] | None:
    """A quantised constant's real values; None of tensors that are computed or not quantised."""
    values = constant(model, tensor)
    found = tensor.quantization
    if values is None or found is None or found.scale is None:
        return None
    shape = [1] * values.ndim
    if len(found.scale) > 1:
        shape[found.quantizedDimension] = len(found.scale)
    scale = np.asarray(found.scale, np.float64).reshape(shape)
    zero = np.asarray(found.zeroPoint, np.float64).reshape(shape)
    return np.asarray((values.astype(np.float64) - zero) * scale, np.float32)


def _kinds(model: Any) -> tuple[str, ...]:
    names = operator_names(model)
    return tuple(names[op.opcodeIndex] for op in model.subgraphs[0].operators)


def _partners(left: Any, right: Any) -> tuple[int, ...] | None:
    """For each operator of `left` its place in `right`; None where the two are not one graph.

    The converter may order what does not depend on each other differently, so partners are found by what they read:
    the same operator on partners' results, of the same shape; of several, the one whose constants lie nearest.
    """
    graph, twin = left.subgraphs[0], right.subgraphs[0]
    kinds, free = _kinds(right), dict.fromkeys(range(len(twin.operators)))  # before copies are added
    found, twins = [], _inputs(graph, twin)
    for kind, op in zip(_kinds(left), graph.operators, strict=True):
        if kind == "QUANTIZE":  # from int8 to int8: in real numbers it does nothing
            source = twins[int(op.inputs[0])]
            twins[int(op.outputs[0])] = source
            found.append(_add_copy(right, source))
            continue
        inputs = [_input(left, twins, int(each)) for each in op.inputs]
        fits = {}
        for place in free:
            other = twin.operators[place]
            if kinds[place] == kind and _shape(twin, other) == _shape(graph, op) and len(other.inputs) == len(inputs):
                apart = [_apart(mine, right, int(own)) for mine, own in zip(inputs, other.inputs, strict=True)]
                fits[place] = max(apart, default=0.0)
        best = min(fits, key=fits.__getitem__, default=None)
        if best is None or not fits[best] < _NEAR:
            return None
        del free[best]
        twins[int(op.outputs[0])] = int(twin.operators[best].outputs[0])
        found.append(best)
    return tuple(found) if not free else None


def _add_copy(model: Any, source: int) -> int:
    """Let a file copy a tensor as its last operator, into one of the same name; that operator's place."""
    from ai_edge_litert import schema_py_generated as schema

    graph, code, op = model.subgraphs[0], schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    options, made = schema.ReshapeOptionsT(), copy.copy(graph.tensors[source])
    options.newShape = [int(each) for each in made.shape]
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.ReshapeOptions, options
    op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes), [source], [len(graph.tensors)]
    model.operatorCodes.append(code)
    graph.tensors.append(made)
    graph.operators.append(op)
    return len(graph.operators) - 1


def _inputs(graph: Any, twin: Any) -> dict[int, int]:
    """The twin's input for each of the int8 file."""
    return {int(left): int(right) for left, right in zip(graph.inputs, twin.inputs, strict=True)}


def _input(left: Any, twins: dict[int, int], number: int) -> "int | NDArray[Any] | None":
    """What an operator of the int8 file reads: the twin's tensor, a constant's real values, or nothing."""
    if number < 0 or number in twins:
        return twins.get(number)
    tensor = left.subgraphs[0].tensors[number]
    values = dequantised(left, tensor)
    return constant(left, tensor) if values is None else values


def _apart(mine: "int | NDArray[Any] | None", right: Any, number: int) -> float:
    """How far two inputs lie apart: 0 for one and the same, infinity for what cannot be the same."""
    if mine is None or isinstance(mine, int):
        return 0.0 if number == (-1 if mine is None else mine) else np.inf
    other = constant(right, right.subgraphs[0].tensors[number]) if number >= 0 else None
    if other is None or other.size != mine.size:
        return np.inf
    if mine.ndim == 1 and other.dtype == np.float32:
        return 0.0  # a bias, which may be all rounding
    gap, size = np.abs(mine.ravel().astype(np.float64) - other.ravel()), np.abs(other).astype(np.float64)
    return float(gap.sum() / max(size.sum(), 1e-30)) if gap.any() else 0.0


def _shape(graph: Any, op: Any) -> list[int]:
    return [int(size) for size in graph.tensors[op.outputs[0]].shape]


def _is_int8(graph: Any) -> bool:
    return all(graph.tensors[each].type == 9 for each in (*graph.inputs, *graph.outputs))


def _sources(graph: Any, op: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The nodes whose places stand in the name of a twin's result: "n5/Relu;n4/BiasAdd"."""
    said = (graph.tensors[op.outputs[0]].name or b"").decode(errors="replace")
    places = sorted({int(each[1:].split("/")[0]) for each in said.split(";") if each[1:].split("/")[0].isdigit()})
    return tuple(dict.fromkeys(names[place] for place in places)) or tuple(names[-1:])  # the output's own name
