"""The time of each operator of a TFLite file, cut out as a model of its own and run alone."""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.export.tflite.flatbuffer import operator_names, pack, unpack_whole

RUNS, WARM_UP = 15, 3


def times(path: Path) -> dict[str, float]:
    """Least milliseconds of one thread for each operator of the first subgraph, by its index.

    Operators that do not run alone (custom ones, control flow, shapes known only while running) are left out. The sum
    is more than the whole takes: alone, nothing is fused and each pays a call.
    """
    return {str(each.index): _least_ms(interpreter) for each, interpreter in _running(path)}


def whole_ms(path: Path) -> float:
    """Least milliseconds of one thread for one inference of the file as it is."""
    return _least_ms(_started(path.read_bytes()))


@dataclass(frozen=True)
class SingleOperator:
    """An operator as a model of its own.

    Attributes:
        index: in the first subgraph.
        name: "3 DEPTHWISE_CONV_2D 5x5 to 14x14x64": index, operator, kernel where it has one, shape of its output.
        content: the TFLite file.
    """

    index: int
    name: str
    content: bytes


def single_operators(path: Path) -> tuple[SingleOperator, ...]:
    """The operators of the first subgraph that run alone, in the file's order.

    Each was run once here. Custom operators, control flow and shapes known only while running are left out.
    """
    return tuple(each for each, _ in _running(path))


def _running(path: Path) -> Iterator[tuple[SingleOperator, Any]]:
    """Each operator that runs alone, and an interpreter that ran it once."""
    model = unpack_whole(path.read_bytes())
    folded, names = _unpack_halves(model), operator_names(model)
    for index in range(len(model.subgraphs[0].operators)):
        if index in folded:
            continue
        try:
            content = cut_out(model, index)
            interpreter = _started(content)
        except (RuntimeError, ValueError):
            continue
        yield SingleOperator(index, f"{index} {_described(model.subgraphs[0], index, names)}", content), interpreter


def _described(graph: Any, index: int, names: Sequence[str]) -> str:
    """What the operator is, how large its kernel, and what shape it makes, without the batch."""
    op = graph.operators[index]
    name = names[op.opcodeIndex]
    weights = graph.tensors[op.inputs[1]].shape if name in {"CONV_2D", "DEPTHWISE_CONV_2D"} else None
    kernel = "" if weights is None else f" {weights[1]}x{weights[2]}"  # OHWI, and 1HWC of a depthwise one
    made = "x".join(str(size) for size in graph.tensors[op.outputs[0]].shape[1:])
    return f"{name}{kernel} to {made}"


def _unpack_halves(model: Any) -> set[int]:
    """Make fp16 weights constants in fp32, as XNNPACK does when it loads a file; the operators that this replaces."""
    from ai_edge_litert import schema_py_generated as schema

    graph, names, folded = model.subgraphs[0], operator_names(model), set()
    for index, op in enumerate(graph.operators):
        source = graph.tensors[op.inputs[0]] if names[op.opcodeIndex] == "DEQUANTIZE" else None
        if (
            source is not None
            and source.type == schema.TensorType.FLOAT16
            and model.buffers[source.buffer].data is not None
        ):
            halves = np.frombuffer(bytes(model.buffers[source.buffer].data), np.float16)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(halves.astype(np.float32).tobytes(), np.uint8)
            graph.tensors[op.outputs[0]].buffer = len(model.buffers)
            model.buffers.append(buffer)
            folded.add(index)
    return folded


def cut_out(model: Any, index: int) -> bytes:
    """The TFLite file of one operator: its constants stay constants, what it reads becomes the inputs."""
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    op = copy.copy(graph.operators[index])
    single, part = schema.ModelT(), schema.SubGraphT()
    single.version, single.operatorCodes = model.version, [model.operatorCodes[op.opcodeIndex]]
    single.buffers, single.subgraphs = [schema.BufferT()], [part]
    part.tensors, part.inputs = [], []
    places: dict[int, int] = {}

    def place(old: int) -> int:
        if old < 0 or old in places:
            return places.get(old, -1)
        tensor = copy.copy(graph.tensors[old])
        buffer = model.buffers[tensor.buffer]
        constant = buffer.data is not None and len(buffer.data) > 0
        tensor.buffer = len(single.buffers) if constant else 0
        if constant:
            single.buffers.append(buffer)
        places[old] = len(part.tensors)
        part.tensors.append(tensor)
        if not constant and old not in op.outputs:
            part.inputs.append(places[old])
        return places[old]

    op.inputs, op.outputs = [place(int(each)) for each in op.inputs], [place(int(each)) for each in op.outputs]
    op.opcodeIndex, part.operators, part.outputs = 0, [op], list(op.outputs)
    return pack(single)


def _started(content: bytes) -> Any:
    """An interpreter that ran the model once, on random numbers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for each in interpreter.get_input_details():
        values = random.normal(size=each["shape"]) * (40 if np.issubdtype(each["dtype"], np.integer) else 1)
        interpreter.set_tensor(each["index"], values.astype(each["dtype"]))
    interpreter.invoke()
    return interpreter


def _least_ms(interpreter: Any) -> float:
    least = float("inf")
    for number in range(WARM_UP + RUNS):
        start = time.thread_time_ns()
        interpreter.invoke()
        if number >= WARM_UP:
            least = min(least, (time.thread_time_ns() - start) / 1e6)
    return least
