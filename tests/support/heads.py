"""Raw outputs of detectors in every form that can be suppressed, and their boxes by plain loops, one cell at a time."""

import itertools
import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.priors import Priors
from ofa_edge.data.raw_boxes import packed_priors

SIZE, CLASSES = (64, 96), 5
STRIDES = (8, 16, 32)
ANCHORS = tuple(float(side) for side in range(5, 41, 2))  # three pairs for each of three scales
HEADS = (
    "yolov5",
    "yolov5 in pieces",
    "yolov8",
    "yolov8 in pieces",
    "boxes-scores",
    "boxes-scores-01",
    "yolov5-raw",
    "yolov5-raw joined",
    "yolov8-raw",
    "yolov8-raw apart",
    "ssd",
    "ssd-sigmoid",
)


def head(kind: str, seed: int = 0) -> tuple[list[np.ndarray], list[tuple[float, ...]], np.ndarray]:
    """Raw outputs of a kind, batch 1, and what they hold: boxes (x1, y1, x2, y2) in pixels and scores [N, C]."""
    rng = np.random.default_rng(seed)
    if kind.startswith("yolov5-raw"):
        return _yolov5_raw(rng, joined="joined" in kind)
    if kind.startswith("ssd"):
        return _ssd(rng, sigmoid=kind == "ssd-sigmoid")
    if kind.startswith("yolov8-raw"):
        return _yolov8_raw(rng, apart="apart" in kind)
    low = rng.uniform(0, 50, (150, 2))
    boxes = np.concatenate([low, low + rng.uniform(4, 30, (150, 2))], axis=1)
    scores = rng.random((150, CLASSES)) ** 4
    centres = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    if kind.startswith("yolov5"):
        parts = [np.concatenate([centres, np.full((150, 1), 0.5), scores], axis=1)[None]]
        scores = scores / 2
        if "pieces" in kind:
            rows = (parts[0][:, :70], parts[0][:, 70:])
            parts = [row[..., start:end] for row in rows for start, end in ((0, 2), (2, 4), (4, 10))]
    elif kind.startswith("yolov8"):
        parts = [np.concatenate([centres, scores], axis=1).T[None]]
        parts = [parts[0][:, :4], parts[0][:, 4:]] if "pieces" in kind else parts
    elif kind == "boxes-scores":
        parts = [scores[None], boxes[None]]
    else:
        parts = [boxes[None] / [96, 64, 96, 64], scores[None]]
    return parts, [tuple(box) for box in boxes.tolist()], scores


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _yolov5_raw(rng, *, joined):
    parts, boxes, scores = [], [], []
    for scale, stride in enumerate(STRIDES):
        shape = (3, SIZE[0] // stride, SIZE[1] // stride)
        part = rng.normal(-1, 1.5, (1, *shape, 5 + CLASSES))
        for anchor, y, x in itertools.product(*map(range, shape)):
            values = [_sigmoid(value) for value in part[0, anchor, y, x]]
            middle = (2 * values[0] - 0.5 + x) * stride, (2 * values[1] - 0.5 + y) * stride
            place = 6 * scale + 2 * anchor
            half = [(2 * value) ** 2 * side / 2 for value, side in zip(values[2:4], ANCHORS[place:], strict=False)]
            boxes.append((middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1]))
            scores.append([values[4] * value for value in values[5:]])
        parts.append(part.transpose(0, 1, 4, 2, 3).reshape(1, -1, *shape[1:]) if joined else part)
    return parts, boxes, np.array(scores)


def _yolov8_raw(rng, *, apart):
    parts, boxes, scores = [], [], []
    for stride in STRIDES:
        rows, columns = SIZE[0] // stride, SIZE[1] // stride
        part = rng.normal(0, 2, (1, 64 + CLASSES, rows, columns))
        for y, x in itertools.product(range(rows), range(columns)):
            reach = []
            for side in range(4):
                powers = [math.exp(value) for value in part[0, 16 * side : 16 * side + 16, y, x]]
                reach.append(sum(place * power for place, power in enumerate(powers)) / sum(powers) * stride)
            middle = (x + 0.5) * stride, (y + 0.5) * stride
            boxes.append((middle[0] - reach[0], middle[1] - reach[1], middle[0] + reach[2], middle[1] + reach[3]))
            scores.append([_sigmoid(value) for value in part[0, 64:, y, x]])
        parts += [part[:, 64:], part[:, :64]] if apart else [part]
    return parts, boxes, np.array(scores)


def priors():
    """One of each of two shapes in each cell of two scales, in shares of the input's sides, some over its border."""
    return np.array(
        [
            ((x + 0.5) / columns, (y + 0.5) / rows, wide, high)
            for rows, columns in ((8, 12), (4, 6))
            for y, x in itertools.product(range(rows), range(columns))
            for wide, high in ((1.5 / columns, 1.5 / rows), (2.0 / columns, 0.7 / rows))
        ]
    )


def _ssd(rng, *, sigmoid):
    """By the formulas of SSD's paper, one prior at a time; a side grows to 62.5 of its prior's at most."""
    given = priors().astype(np.float32).astype(float)
    offsets = rng.normal(0, 1.5, (1, len(given), 4))
    offsets[0, 7, 2] = 40  # beyond it
    logits = rng.normal(-1, 1.5, (1, len(given), CLASSES + (not sigmoid)))
    boxes, scores = [], []
    for (x, y, wide, high), (dx, dy, dw, dh), row in zip(given, offsets[0], logits[0], strict=True):
        middle = x + 0.1 * dx * wide, y + 0.1 * dy * high
        half = wide * min(math.exp(0.2 * dw), 62.5) / 2, high * min(math.exp(0.2 * dh), 62.5) / 2
        corners = (middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
        boxes.append(tuple(share * side for share, side in zip(corners, (96, 64, 96, 64), strict=True)))
        powers = [math.exp(value) for value in row]
        scores.append([_sigmoid(value) for value in row] if sigmoid else [each / sum(powers) for each in powers[1:]])
    return [logits, offsets], boxes, np.array(scores)


def decoding_of(kind: str, parts: list[np.ndarray]) -> Decoding:
    """How the outputs of a kind are read."""
    form = kind.split(maxsplit=1)[0]
    anchors = ANCHORS if form == "yolov5-raw" else ()
    given = Priors(packed_priors(priors())) if form.startswith("ssd") else None
    return Decoding.of(form, [part.shape for part in parts], CLASSES, SIZE, anchors=anchors, priors=given)


def iou(one, other):
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def suppressed(boxes, scores, most, limit, least):
    """What is left, the most certain first: (score, class, box)."""
    found = [
        (float(scores[place, number]), number, boxes[place])
        for place, number in itertools.product(range(len(boxes)), range(scores.shape[1]))
        if scores[place, number] >= least
    ]
    kept = []
    for each in sorted(found, key=lambda one: -one[0]):
        if all(other[1] != each[1] or iou(other[2], each[2]) <= limit for other in kept):
            kept.append(each)
    return kept[:most]


def save_passing(path: Path, parts: list[np.ndarray]) -> tuple[Path, np.ndarray]:
    """A network that gives what goes in, as these outputs; what goes in for them, as `run_onnx` takes it."""
    shapes = [part.shape for part in parts]
    flat = [(1, 1, shape[1], math.prod(shape[2:])) for shape in shapes]
    graph = helper.make_graph(
        [helper.make_node("Reshape", [f"in{at}", f"s{at}"], [f"out{at}"], f"as{at}") for at in range(len(parts))],
        "anybody's",
        [helper.make_tensor_value_info(f"in{at}", TensorProto.FLOAT, shape) for at, shape in enumerate(flat)],
        [helper.make_tensor_value_info(f"out{at}", TensorProto.FLOAT, shape) for at, shape in enumerate(shapes)],
        [numpy_helper.from_array(np.array(shape), f"s{at}") for at, shape in enumerate(shapes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    rows = [part.astype(np.float32).reshape(shape) for part, shape in zip(parts, flat, strict=True)]
    return path, rows[0] if len(rows) == 1 else np.concatenate([row.reshape(1, -1) for row in rows], axis=1)
