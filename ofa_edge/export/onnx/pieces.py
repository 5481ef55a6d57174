"""A detector's one output as the pieces that it is joined from at the very end.

YOLOv8 and its like join boxes, 0 to 640, and scores, 0 to 1, into one tensor. In int8 that tensor has one step, of some
two and a half, and every score is 0. Its pieces have steps of their own, and one behind the other are the same numbers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ofa_edge.errors import ModelFileError
from ofa_edge.export.onnx.given import Given
from ofa_edge.export.onnx.given_inputs import Shape
from ofa_edge.export.onnx.load import load_model

if TYPE_CHECKING:
    import onnx


def pieces_of(given: Given) -> tuple[tuple[str, Shape], ...]:
    """Names and shapes of the pieces of a file's one output [1, A, B], joined along A; none where it is not so."""
    import onnx
    import onnxruntime

    if len(given.outputs) != 1 or len(given.output_shapes[0]) != 3 or given.output_shapes[0][0] != 1:
        return ()
    model = load_model(given.path, weights=True, strict=False).model
    node = _join(model.graph, given.outputs[0])
    if node is None:
        return ()
    for name in node.input:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        shapes = [tuple(each.shape) for each in session.run(list(node.input), given.zeros())]
    except Exception:  # ONNX Runtime's classes have no common base; the whole output is as good an answer
        return ()
    if any(len(shape) != 3 or shape[0] != 1 for shape in shapes):
        return ()
    return tuple((f"{given.outputs[0]}_{place}", shape) for place, shape in enumerate(shapes))


def expose_pieces(graph: "onnx.GraphProto", whole: str, names: Sequence[str], shapes: Sequence[Shape]) -> None:
    """Make the pieces of an output the outputs, under these names. Raises ModelFileError where it has none."""
    import onnx

    node = _join(graph, whole)
    if node is None or len(node.input) != len(names):
        raise ModelFileError(f"'{whole}' is not joined from {len(names)} pieces", "it was another file", "build again")
    sources = list(node.input)
    graph.node.remove(node)
    del graph.output[:]
    for source, name, shape in zip(sources, names, shapes, strict=True):
        graph.node.append(onnx.helper.make_node("Identity", [source], [name]))
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


def _join(graph: "onnx.GraphProto", output: str) -> "onnx.NodeProto | None":
    """The node that joins an output along its second axis, if one does; nobody else reads what it gives."""
    node = next((each for each in graph.node if output in each.output), None)
    if node is None or node.op_type != "Concat" or len(set(node.input)) < max(len(node.input), 2):
        return None
    axis = next((each.i for each in node.attribute if each.name == "axis"), None)
    read = any(output in each.input for each in graph.node)
    return node if axis in (1, -2) and not read else None
