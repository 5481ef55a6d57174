"""A detector's one output as the pieces that it is joined from at the very end.

YOLO's family joins boxes, 0 to 640, and scores, 0 to 1, into one tensor [1, A, B]: along A as YOLOv8 does, or along B
and then, scale after scale, along A as YOLOv5 does. In int8 that tensor has one step, of some two and a half, and every
score is 0. Its pieces have steps of their own, and put together are the same numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ModelFileError
from ofa_edge.export.onnx.given import Given
from ofa_edge.export.onnx.load import load_model
from ofa_edge.shapes import Shape

if TYPE_CHECKING:
    import onnx

Span = tuple[int, int]
_MOST = 64  # a piece is an output, and the answers to an image are read output by output


@dataclass(frozen=True)
class Piece:
    """A rectangle of an output [1, A, B].

    Attributes:
        name: what it is called as an output of its own.
        source: the value of the graph that it is.
        rows, columns: where it begins and ends along A and B.
    """

    name: str
    source: str
    rows: Span
    columns: Span

    @property
    def shape(self) -> Shape:
        """As an output of its own."""
        return 1, self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def to_json(self) -> dict[str, Any]:
        """As JSON, with the shape."""
        return {**asdict(self), "shape": self.shape}


def pieces_of(given: Given) -> tuple[Piece, ...]:
    """The pieces of a file's one output [1, A, B]; none where it is not joined from any."""
    import onnxruntime

    if len(given.outputs) != 1 or len(given.output_shapes[0]) != 3 or given.output_shapes[0][0] != 1:
        return ()
    model = load_model(given.path, weights=True, strict=False).model
    joints = _Joints(model.graph, given.outputs[0])
    names = list(joints.values())
    if not names:
        return ()
    _add_outputs(model.graph, names)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        shapes = {name: tuple(each.shape) for name, each in zip(names, session.run(names, given.zeros()), strict=True)}
    except Exception:  # ONNX Runtime's classes have no common base; the whole output is as good an answer
        return ()
    _, rows, columns = given.output_shapes[0]
    found = list(joints.split(given.outputs[0], (0, rows), (0, columns), shapes))
    if not 1 < len(found) <= _MOST:
        return ()
    return tuple(Piece(f"{given.outputs[0]}_{place}", *each) for place, each in enumerate(found))


def in_pieces(answers: NDArray[np.float32], pieces: Sequence[Piece]) -> NDArray[np.float32]:
    """Answers [N, A * B] of the whole output as those of its pieces, one behind the other; as they are without any."""
    if not pieces:
        return answers
    shape = max(each.rows[1] for each in pieces), max(each.columns[1] for each in pieces)
    whole = answers.reshape(len(answers), *shape)
    parts = [whole[:, slice(*each.rows), slice(*each.columns)].reshape(len(answers), -1) for each in pieces]
    return np.concatenate(parts, axis=1)


def expose_pieces(graph: "onnx.GraphProto", pieces: Sequence[Mapping[str, Any]]) -> None:
    """Make the pieces of an output, as JSON has them, the outputs. Raises ModelFileError where one is not there."""
    import onnx

    made = {name for node in graph.node for name in node.output}
    del graph.output[:]
    for piece in pieces:
        name, source, shape = piece["name"], piece["source"], piece["shape"]
        if source not in made:
            raise ModelFileError(f"there is no value '{source}'", "it was another file", "build again")
        sizes = onnx.numpy_helper.from_array(np.array(shape, np.int64), f"{name}/shape")
        graph.initializer.append(sizes)
        graph.node.append(onnx.helper.make_node("Reshape", [source, sizes.name], [name], f"{name}/as_it_stood"))
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


class _Joints:
    """What an output is joined from, as the graph has it."""

    def __init__(self, graph: "onnx.GraphProto", output: str) -> None:
        self._output = output
        self._makers = {name: node for node in graph.node for name in node.output}

    def values(self) -> Iterator[str]:
        """All values that `split` may ask the shape of."""
        waiting = [self._output]
        while waiting:
            node = self._makers.get(waiting.pop())
            if node is not None and node.op_type in ("Concat", "Reshape"):
                sources = [name for name in node.input if name in self._makers]
                sources = sources[: 1 if node.op_type == "Reshape" else None]
                yield from sources
                waiting += sources

    def split(
        self, value: str, rows: Span, columns: Span, shapes: Mapping[str, Shape]
    ) -> Iterator[tuple[str, Span, Span]]:
        """The pieces of a value that is these rows and columns, and where each stands."""
        parts, axis = self._join(value, columns[1] - columns[0], shapes)
        if not parts:
            yield value, rows, columns
            return
        start = (rows if axis == -2 else columns)[0]
        for name in parts:
            end = start + shapes[name][axis]
            spans = ((start, end), columns) if axis == -2 else (rows, (start, end))
            yield from self.split(name, *spans, shapes)
            start = end

    def _join(self, value: str, width: int, shapes: Mapping[str, Shape]) -> tuple[list[str], int]:
        """What a value is joined from, and along what: -2, its rows, or -1, its columns; nothing if it is not."""
        node, rank = self._makers.get(value), 3
        if node is not None and node.op_type == "Reshape":  # a grid [1, ..., columns], written as rows
            grid = shapes.get(node.input[0], ())
            if len(grid) < 3 or grid[0] != 1 or grid[-1] != width:
                return [], 0
            node, rank = self._makers.get(node.input[0]), len(grid)
        if node is None or node.op_type != "Concat":
            return [], 0
        parts = list(node.input)
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        axis = axis - rank if axis >= 0 else axis
        apart = len(set(parts)) == len(parts) > 1 and all(name in self._makers for name in parts)
        return (parts, axis) if apart and (axis == -1 or (axis == -2 and rank == 3)) else ([], 0)


def _add_outputs(graph: "onnx.GraphProto", names: Sequence[str]) -> None:
    import onnx

    known = {each.name for each in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known)
