"""The forms of detectors' outputs: in words, told by their shapes, and how many classes they hold."""

from collections.abc import Mapping, Sequence

from ofa_edge.data.raw_boxes import SIDES, Shapes
from ofa_edge.errors import ConfigError
from ofa_edge.vocabulary import Form

FORM_WORDS: Mapping[Form, str] = {
    "yolov5": "[1, N, 5 + C]: centre, size, objectness and C classes, in pixels",
    "yolov8": "[1, 4 + C, N]: centre, size and C classes, in pixels",
    "end-to-end": "[1, N, 6]: corners, score and class, in pixels; nothing is suppressed any more",
    "detr": "[1, N, C + 1] logits, the last of no object, and [1, N, 4] centre and size, 0..1",
    "rt-detr": "[1, N, C] logits and [1, N, 4] centre and size, 0..1",
    "boxes-scores": "[1, N, 4] corners in pixels and [1, N, C] scores",
    "boxes-scores-01": "[1, N, 4] corners, 0..1, and [1, N, C] scores",
    "yolov5-raw": "of each scale [1, A, h, w, 5 + C] or [1, A * (5 + C), h, w], before sigmoid; with --anchors",
    "yolov8-raw": "of each scale [1, 64 + C, h, w], or [1, 64, h, w] and [1, C, h, w]: distributions and logits",
    "ssd": "[1, N, 4] offsets from priors and [1, N, 1 + C] logits, the first of background; with --priors",
    "ssd-sigmoid": "[1, N, 4] offsets from priors and [1, N, C] logits, each by itself; with --priors",
    "suppressed": "[1, M, 4] top, left, bottom and right, 0..1; [1, M] classes; [1, M] scores; [1] how many count",
}
FINISHED = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")  # as TensorFlow calls them
_ENDS = 1000  # rows of 6 up to which they are finished boxes
_USUAL_ANCHORS = 3  # of a cell
_OF_YOLOV5 = "10,13,16,30,33,23,30,61,62,45,59,119,116,90,156,198,373,326"  # its anchors for COCO


def form_of(shapes: Shapes, classes: int | None) -> Form | None:
    """The form that outputs of these shapes have, of so many classes if that is known; None where none fits."""
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][0] == 1:
        _, rows, columns = shapes[0]
        if columns == 6 and rows <= _ENDS and classes != 1:
            return "end-to-end"
        forms: tuple[tuple[Form, int, int], ...] = (("yolov5", columns, 5), ("yolov8", rows, 4))
        if classes is not None:
            return next((form for form, values, others in forms if values == others + classes), None)
        return "yolov5" if columns < rows else "yolov8"
    if len(shapes) == 2 and all(len(each) == 3 for each in shapes) and any(each[-1] == 4 for each in shapes):
        columns = next((each[-1] for each in shapes if each[-1] != 4), 4)
        return "boxes-scores" if classes in (None, columns) else "detr" if columns == (classes or 0) + 1 else None
    return _form_of_heads(shapes, classes)


def _form_of_heads(shapes: Shapes, classes: int | None) -> Form | None:
    """That of heads, a few outputs for each scale."""
    grids = {tuple(each[2:4]) for each in shapes}
    ranks = {len(each) for each in shapes}
    if len(grids) < 2 or len(ranks) > 1 or any(each[0] != 1 for each in shapes):
        return None
    if ranks == {5}:
        return "yolov5-raw" if classes in (None, shapes[0][-1] - 5) else None
    channels = {sum(each[1] for each in shapes if tuple(each[2:4]) == grid) for grid in grids}
    if ranks != {4} or len(channels) > 1:
        return None
    values, apart = channels.pop(), len(shapes) == 2 * len(grids)
    # 64 + C and A * (5 + C) may be the same number: without the classes that is not told.
    distributed = values == SIDES + classes if classes is not None else values > SIDES and values % _USUAL_ANCHORS > 0
    if distributed or (apart and classes is None):
        return "yolov8-raw"
    return "yolov5-raw" if classes is not None and not apart and values % (5 + classes) == 0 else None


def classes_of(form: Form, shapes: Shapes, anchors: int = 0) -> int | None:
    """How many classes outputs of a form tell apart; None where their shape does not say.

    Args:
        form: of the outputs.
        shapes: of each.
        anchors: numbers that were given for all scales: two for each anchor; 0 where none were.
    """
    if form in ("end-to-end", "suppressed"):
        return None
    if form == "yolov8":
        return sum(each[1] for each in shapes) - 4
    if form == "yolov8-raw":
        return sum(each[1] for each in shapes if each[2:4] == shapes[0][2:4]) - SIDES
    columns = [each[-1] for each in shapes]
    if form == "yolov5-raw" and len(shapes[0]) == 4:
        return shapes[0][1] // (anchors // (2 * len(shapes)) or _USUAL_ANCHORS) - 5
    if form.startswith("yolov5"):
        return columns[0] - 5
    count = next((each for each in columns if each != 4), 4)
    return count - 1 if form in ("detr", "ssd") else count


def by_scale(form: Form, shapes: Shapes, anchors: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """The anchors of each output. Raises ConfigError where they do not fit, or the form has none."""
    if form != "yolov5-raw":
        if anchors:
            why = "its anchors are applied already, or it has none"
            raise ConfigError(f"--anchors with outputs of {form}", why, "leave them out")
        return ()
    of_each, rest = divmod(len(anchors), len(shapes))
    if not of_each or rest or of_each % 2 or min(anchors) <= 0:
        found = f"{len(anchors)} numbers" if anchors else "nothing"
        raise ConfigError(
            f"{form} needs the anchors of its {len(shapes)} outputs",
            f"{found} given; wanted are width and height of each in pixels, the finest scale's first, as many for each",
            f"--anchors as the network was trained with; YOLOv5's of COCO are {_OF_YOLOV5}",
        )
    return tuple(tuple(map(float, anchors[start : start + of_each])) for start in range(0, len(anchors), of_each))
