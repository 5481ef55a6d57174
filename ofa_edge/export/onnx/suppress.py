"""Non-maximum suppression inside an ONNX file: its raw outputs become boxes, classes, scores and how many count.

The outputs are those of TFLite's detection operator, so that artifacts of all runtimes are read alike: `suppressed`
among the forms of `data.forms`.
"""

from pathlib import Path

import numpy as np

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.forms import FINISHED
from ofa_edge.export.onnx.boxes import Tail, centres_and_scores
from ofa_edge.export.onnx.strip import strip
from ofa_edge.files import write_bytes


def write_suppressed(source: Path, out: Path, decoding: Decoding) -> None:
    """Write a file's suppressed form.

    Args:
        source: an ONNX file that gives what the decoding reads, in float32.
        out: the file to write.
        decoding: how its outputs become boxes; of a form in `boxes.SUPPRESSIBLE`.
    """
    import onnx

    model = onnx.load(source)
    names = [each.name for each in model.graph.output]
    tail = Tail()
    centres, scores = centres_and_scores(tail, names, decoding)
    ends = _suppressed(tail, centres, scores, decoding)
    model.graph.node.extend(tail.nodes)
    model.graph.initializer.extend(tail.constants)
    for node in model.graph.node:  # raw outputs may have these names
        for names in (node.input, node.output):
            names[:] = [f"{name}/raw" if name in FINISHED else name for name in names]
    del model.graph.output[:]
    for end, name, shape in zip(ends, FINISHED, decoding.after_suppression().shapes, strict=True):
        model.graph.node.append(onnx.helper.make_node("Identity", [end], [name], f"suppression/{name}"))
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    onnx.checker.check_model(model, full_check=True)
    write_bytes(out, strip(model).SerializeToString(deterministic=True))


def _suppressed(tail: Tail, centres: str, scores: str, decoding: Decoding) -> tuple[str, ...]:
    """Nodes that give corners (top, left, bottom, right), classes, scores and their number, padded with zeros."""
    most = decoding.most
    by_class = tail.turned(scores)
    least = float(np.nextafter(np.float32(decoding.least_score), np.float32(0)))  # the operator keeps what is above it
    limits = (tail.constant([most]), tail.constant([float(decoding.iou or 1.0)]), tail.constant([least]))
    chosen = tail.op("NonMaxSuppression", centres, by_class, *limits, center_point_box=1)  # [K, 3]: batch, class, box
    kinds, boxes = (tail.reshape(tail.slice(chosen, 1, place, place + 1), -1) for place in (1, 2))
    length = tail.op("Div", tail.op("Size", scores), tail.constant(decoding.classes))
    place = tail.op("Add", tail.op("Mul", kinds, length), boxes)
    found = tail.op("Gather", tail.reshape(by_class, -1), place, axis=0)
    zeros = tail.constant(np.zeros(most, np.int64))
    found = tail.concat([found, tail.constant(np.full(most, -1.0))], 0)
    best = tail.op("TopK", found, tail.constant([most]), results=2, axis=0, largest=1, sorted=1)
    order = best.replace(":1", ":0"), best
    real = tail.op("Cast", tail.op("Greater", order[0], tail.constant(-0.5)), to=1)
    kind = tail.op("Gather", tail.concat([kinds, zeros], 0), order[1], axis=0)
    box = tail.op("Gather", tail.concat([boxes, zeros], 0), order[1], axis=0)
    four = tail.op("Gather", tail.reshape(centres, -1, 4), box, axis=0)
    middle = tail.op("Gather", four, tail.constant([1, 0]), axis=1)
    half = tail.op("Mul", tail.op("Gather", four, tail.constant([3, 2]), axis=1), tail.constant(0.5))
    corners = tail.concat([tail.op("Sub", middle, half), tail.op("Add", middle, half)], 1)
    corners = tail.op("Mul", corners, tail.reshape(real, most, 1))
    kind = tail.op("Mul", tail.op("Cast", kind, to=1), real)
    count = tail.reshape(tail.op("ReduceSum", real, keepdims=1), 1)
    return (
        tail.reshape(corners, 1, most, 4),
        tail.reshape(kind, 1, most),
        tail.reshape(tail.op("Mul", order[0], real), 1, most),
        count,
    )
