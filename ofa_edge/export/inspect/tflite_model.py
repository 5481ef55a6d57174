"""A TFLite file as the rules see it: its operators in order, each with its tensors. Reads any file, or says why not."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.errors import ModelFileError
from ofa_edge.export.model_file import content_of
from ofa_edge.export.tflite.flatbuffer import DAMAGE, operator_names, unpack

QUANTISED = frozenset({"INT8", "UINT8", "INT4"})
_INT8 = 9  # in the schema
# Which input a layer computes on beside its weights (input 1), their dimensions, and the schema's class of its options.
LAYERS = {
    "CONV_2D": (0, 4, "Conv2DOptionsT"),
    "DEPTHWISE_CONV_2D": (0, 4, "DepthwiseConv2DOptionsT"),
    "TRANSPOSE_CONV": (2, 4, "TransposeConvOptionsT"),
    "FULLY_CONNECTED": (0, 2, "FullyConnectedOptionsT"),
}
_STEPS = ("strideH", "strideW", "dilationHFactor", "dilationWFactor")
_MOST_WEIGHTS = 1 << 40


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name, kind: "FLOAT32", "INT8", ... as in the schema.
        shape: as the file has it; -1 where its signature says that a size is only known while running.
        scale, zero: of its quantisation, one or one a channel; empty where it has none.
        constant: whether the file holds its values.
        uniform: whether these are all the same, as those of a mean that is written as a convolution.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero: tuple[int, ...]
    constant: bool
    uniform: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator. Optional inputs that are left out are missing from `inputs`; a layer's weights are always there."""

    index: int
    graph: int
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    @property
    def label(self) -> str:
        """How a finding names it: its place (with the subgraph's before it, past the first), what it is, its result."""
        place = f"{self.graph}:{self.index}" if self.graph else str(self.index)
        return f"{place} {self.name} {self.outputs[0].name if self.outputs else ''}".rstrip()


@dataclass(frozen=True)
class Subgraph:
    """One graph of the file; the first is what `invoke` runs."""

    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Model:
    """A TFLite file, read.

    Attributes:
        subgraphs, metadata, description: what it holds.
        weights: bytes of all constants.
        weights_behind: bytes of those that lie behind the flatbuffer, as in files that are too large for one.
        raw: the schema's own object.
    """

    subgraphs: tuple[Subgraph, ...]
    metadata: tuple[str, ...]
    description: str
    weights: int
    weights_behind: int
    raw: Any

    @property
    def operators(self) -> Iterator[Operator]:
        """Those of all subgraphs."""
        return (op for graph in self.subgraphs for op in graph.operators)


def read_model(path: Path) -> Model:
    """Read a TFLite file of any origin.

    Raises:
        ModelFileError: it is damaged, or cut short.
    """
    try:
        raw = unpack(content_of(path))
        names = operator_names(raw)
        kinds = _tensor_kinds()
        subgraphs = tuple(_subgraph(raw, at, names, kinds) for at in range(len(raw.subgraphs)))
        metadata = tuple((entry.name or b"").decode(errors="replace") for entry in raw.metadata or ())
        description = (raw.description or b"").decode(errors="replace")
        weights, behind = _weights(raw)
    except DAMAGE as error:
        raise ModelFileError(
            f"{path.name} is a damaged TFLite file",
            f"{path}: {type(error).__name__} while reading its tables: {error}",
            "copy or build the file again",
        ) from error
    if not subgraphs:
        raise ModelFileError(f"{path.name} holds no graph", f"{path}: no subgraph in it", "build the file again")
    return Model(subgraphs, metadata, description, weights, behind, raw)


def _weights(raw: Any) -> tuple[int, int]:
    """Bytes of all constants, and of those behind the flatbuffer."""
    used = {tensor.buffer for graph in raw.subgraphs for tensor in ([] if graph.tensors is None else graph.tensors)}
    buffers = [raw.buffers[at] for at in used]
    behind = sum(int(each.size) for each in buffers if each.offset > 1)
    return behind + sum(len(each.data) for each in buffers if each.offset <= 1 and each.data is not None), behind


def _tensor_kinds() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    return {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}


def _subgraph(raw: Any, at: int, names: tuple[str, ...], kinds: dict[int, str]) -> Subgraph:
    graph = raw.subgraphs[at]
    tensors = [_tensor(raw, each, kinds) for each in ([] if graph.tensors is None else graph.tensors)]

    def pick(indices: Any) -> tuple[Tensor, ...]:
        return tuple(tensors[index] for index in ([] if indices is None else indices) if index >= 0)

    operators = tuple(
        Operator(number, at, names[op.opcodeIndex], pick(op.inputs), pick(op.outputs), op.builtinOptions)
        for number, op in enumerate([] if graph.operators is None else graph.operators)
    )
    for op in operators:
        _check_layer(op)
    return Subgraph(operators, pick(graph.inputs), pick(graph.outputs))


def _check_layer(op: Operator) -> None:
    """Raise ValueError for a layer without what it computes with: LiteRT would not load the file either."""
    if op.name not in LAYERS:
        return
    source, dimensions, kind = LAYERS[op.name]
    if len(op.inputs) <= max(source, 1) or not op.outputs or type(op.options).__name__ != kind:
        raise ValueError(f"{op.label} lacks an input, an output or its options")
    if any(getattr(op.options, name, 1) < 1 for name in _STEPS):
        raise ValueError(f"{op.label} has a stride or a dilation below 1")
    weights, given = op.inputs[1].shape, len(op.inputs[source].shape)
    if len(weights) != dimensions or min(weights) < 1 or math.prod(weights) > _MOST_WEIGHTS:
        raise ValueError(f"the weights of {op.label} have the shape {list(weights)}")
    if dimensions == 4 and given not in (0, 4):  # 0: known while running
        raise ValueError(f"the input of {op.label} has {given} dimensions, not 4")


def _tensor(raw: Any, tensor: Any, kinds: dict[int, str]) -> Tensor:
    shape = tensor.shape if tensor.shapeSignature is None or not len(tensor.shapeSignature) else tensor.shapeSignature
    scale, zero = (
        () if tensor.quantization is None or said is None else said
        for said in (getattr(tensor.quantization, name, None) for name in ("scale", "zeroPoint"))
    )
    buffer = raw.buffers[tensor.buffer]
    inside = buffer.data is not None and len(buffer.data) > 0
    return Tensor(
        (tensor.name or b"").decode(errors="replace"),
        kinds.get(tensor.type, f"type {tensor.type}"),
        () if shape is None else tuple(int(size) for size in shape),
        tuple(float(each) for each in scale),
        tuple(int(each) for each in zero),
        inside or buffer.offset > 1,  # behind the flatbuffer, if too large
        inside and tensor.type == _INT8 and bool((buffer.data == buffer.data[0]).all()),
    )
