"""A detector's decoding as ONNX nodes: what `data.raw_boxes` does in NumPy, for those who want it inside the graph."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.raw_boxes import BINS, MOST_GROWN, SHARES, SIDES, cells, in_order, priors_of, scales
from ofa_edge.vocabulary import Form

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
_PREFIX = "suppression"


class Tail:
    """Nodes that are put behind a graph, and their constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, results: int = 0, **attributes: Any) -> str:
        """A node, and the name of its result: the last of them, where it has more than one."""
        import onnx

        name = f"{_PREFIX}/{len(self.nodes)}"
        outputs = [f"{name}:{place}" for place in range(results)] if results else [name]
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), outputs, f"{name}/{kind}", **attributes))
        return outputs[-1]

    def constant(self, values: Any) -> str:
        """A constant of float32, or of whole numbers where it is given in them."""
        import onnx

        array = np.asarray(values)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        name = f"{_PREFIX}/constant{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def reshape(self, name: str, *shape: int) -> str:
        """In another shape."""
        return self.op("Reshape", name, self.constant(list(shape)))

    def slice(self, name: str, axis: int, start: int, end: int) -> str:
        """A part of it along an axis."""
        return self.op("Slice", name, *(self.constant([value]) for value in (start, end, axis)))

    def concat(self, names: Sequence[str], axis: int) -> str:
        """Joined."""
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=axis)

    def turned(self, name: str) -> str:
        """The last two of three axes in the other order."""
        return self.op("Transpose", name, perm=[0, 2, 1])


def centres_and_scores(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    """Boxes [1, N, 4] as centre and size in shares of the input's sides, and scores [1, N, C].

    Args:
        tail: gets the nodes.
        names: of the outputs, in the decoding's shapes.
        decoding: how they become boxes; of a form in `SUPPRESSIBLE`.
    """
    centres, scores = _READERS[decoding.form](tail, names, decoding)
    if decoding.form in SHARES:
        return centres, scores
    height, width = decoding.size
    return tail.op("Mul", centres, tail.constant([1 / width, 1 / height, 1 / width, 1 / height])), scores


def cut(tail: Tail, names: Sequence[str], shapes: Sequence[Shape], axis: int, ends: Sequence[int]) -> list[str]:
    """What is joined of these along an axis, parted at these places: without joining where parts end there anyway."""
    sides = list(itertools.accumulate((shape[axis] for shape in shapes), initial=0))
    found = []
    for start, end in itertools.pairwise((0, *ends)):
        if start in sides and end in sides:
            found.append(tail.concat(names[sides.index(start) : sides.index(end)], axis))
        else:
            found.append(tail.slice(tail.concat(names, axis), axis, start, end))
    return found


def _blocks(
    tail: Tail, names: Sequence[str], shapes: Sequence[Shape], axis: int, ends: Sequence[int]
) -> list[list[str]]:
    """Pieces of which those of one block of boxes stand one behind the other, parted at these places of an axis."""
    start, found = 0, list[list[str]]()
    while start < len(names):
        end = start + 1
        while sum(shape[axis] for shape in shapes[start:end]) < ends[-1]:
            end += 1
        found.append(cut(tail, names[start:end], shapes[start:end], axis, ends))
        start = end
    return found


def _yolov8(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    blocks = _blocks(tail, names, decoding.shapes, 1, (4, 4 + decoding.classes))
    boxes, scores = (tail.concat(each, 2) for each in zip(*blocks, strict=True))
    return tail.turned(boxes), tail.turned(scores)


def _yolov5(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    blocks = _blocks(tail, names, decoding.shapes, 2, (4, 5, 5 + decoding.classes))
    boxes, objects, scores = (tail.concat(each, 1) for each in zip(*blocks, strict=True))
    return boxes, tail.op("Mul", scores, objects)


def _pair(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    boxes, scores = names[:: -1 if decoding.boxes else 1]
    low, high = tail.slice(boxes, 2, 0, 2), tail.slice(boxes, 2, 2, 4)
    middle = tail.op("Mul", tail.op("Add", low, high), tail.constant(0.5))
    return tail.concat([middle, tail.op("Sub", high, low)], 2), scores


def _ssd(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    (boxes, scores), priors = names[:: -1 if decoding.boxes else 1], priors_of(decoding)
    place, side = decoding.variances
    middle = tail.op("Mul", tail.slice(boxes, 2, 0, 2), tail.constant(place * priors[None, :, 2:]))
    middle = tail.op("Add", middle, tail.constant(priors[None, :, :2]))
    grown = tail.op("Mul", tail.slice(boxes, 2, 2, 4), tail.constant(side))
    grown = tail.op("Exp", tail.op("Min", grown, tail.constant(MOST_GROWN)))
    centres = tail.concat([middle, tail.op("Mul", grown, tail.constant(priors[None, :, 2:]))], 2)
    if decoding.form == "ssd-sigmoid":
        return centres, tail.op("Sigmoid", scores)
    return centres, tail.slice(tail.op("Softmax", scores, axis=-1), 2, 1, 1 + decoding.classes)


def _yolov5_raw(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    values, rows = 5 + decoding.classes, list[str]()
    middles, strides, sides = list[NDArray[np.float64]](), list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for (stride, (place,)), anchors in zip(scales(decoding.shapes, decoding.size), decoding.anchors, strict=True):
        shape, pairs = decoding.shapes[place], np.array(anchors).reshape(-1, 2)
        each, area = names[place], math.prod(shape[2:4])
        if len(shape) == 4:
            each = tail.op("Transpose", tail.reshape(each, 1, len(pairs), values, area), perm=[0, 1, 3, 2])
        rows.append(tail.reshape(each, 1, len(pairs) * area, values))
        middles.append(np.tile(stride * (cells(shape[2:4]) - 0.5), (len(pairs), 1)))
        strides.append(np.full((len(pairs) * area, 1), 2.0 * stride))
        sides.append(np.repeat(4 * pairs, area, axis=0))
    joint = tail.op("Sigmoid", tail.concat(rows, 1))
    middle = tail.op("Mul", tail.slice(joint, 2, 0, 2), tail.constant(np.concatenate(strides)[None]))
    middle = tail.op("Add", middle, tail.constant(np.concatenate(middles)[None]))
    size = tail.slice(joint, 2, 2, 4)
    size = tail.op("Mul", tail.op("Mul", size, size), tail.constant(np.concatenate(sides)[None]))
    scores = tail.op("Mul", tail.slice(joint, 2, 5, values), tail.slice(joint, 2, 4, 5))
    return tail.concat([middle, size], 2), scores


def _yolov8_raw(tail: Tail, names: Sequence[str], decoding: Decoding) -> tuple[str, str]:
    bins, logits = list[str](), list[str]()
    middles, strides = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for stride, places in scales(decoding.shapes, decoding.size):
        order = in_order(places, decoding.shapes)
        area = math.prod(decoding.shapes[order[0]][2:4])
        flat = [tail.reshape(names[place], 1, decoding.shapes[place][1], area) for place in order]
        shapes = [(1, decoding.shapes[place][1], area) for place in order]
        sides, scores = cut(tail, flat, shapes, 1, (SIDES, SIDES + decoding.classes))
        bins.append(tail.op("Transpose", tail.reshape(sides, 1, 4, BINS, area), perm=[0, 3, 1, 2]))
        logits.append(tail.turned(scores))
        middles.append(cells(decoding.shapes[order[0]][2:4]) + 0.5)
        strides.append(np.full((area, 1), float(stride)))
    count = sum(len(each) for each in middles)
    shares = tail.op("Softmax", tail.concat(bins, 1), axis=-1)
    reach = tail.op("MatMul", tail.reshape(shares, 1, 4 * count, BINS), tail.constant(np.arange(float(BINS))[:, None]))
    reach = tail.reshape(reach, 1, count, 4)
    low, high = tail.slice(reach, 2, 0, 2), tail.slice(reach, 2, 2, 4)
    middle = tail.op("Mul", tail.op("Sub", high, low), tail.constant(0.5))
    middle = tail.op("Add", middle, tail.constant(np.concatenate(middles)[None]))
    boxes = tail.concat([middle, tail.op("Add", low, high)], 2)
    boxes = tail.op("Mul", boxes, tail.constant(np.concatenate(strides)[None]))
    return boxes, tail.op("Sigmoid", tail.concat(logits, 1))


_READERS: Mapping[Form, Callable[[Tail, Sequence[str], Decoding], tuple[str, str]]] = {
    "yolov5": _yolov5,
    "yolov8": _yolov8,
    "yolov5-raw": _yolov5_raw,
    "yolov8-raw": _yolov8_raw,
    "ssd": _ssd,
    "ssd-sigmoid": _ssd,
    "boxes-scores": _pair,
    "boxes-scores-01": _pair,
}
SUPPRESSIBLE = tuple(_READERS)  # forms of which there is something to suppress
