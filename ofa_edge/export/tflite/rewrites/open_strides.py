"""Slices in steps, by operators that XNNPACK has.

XNNPACK takes a STRIDED_SLICE in steps of 1 only: the four quarters that a YOLO's first layer puts side by side, and
nearest neighbours on the way down, are left to LiteRT's own kernel, which moves one element at a time.

Given::

    y = STRIDED_SLICE(x, begin [0, 1, 0, 0], strides [1, 2, 2, 1])          x: [1, H, W, C]

Result::

    y = RESHAPE(SLICE(RESHAPE(x, [H/2, 2, W/2, 2, C]), begin [0, 1, 0, 0, 0], size [H/2, 1, W/2, 1, C]))

And likewise a RESIZE_NEAREST_NEIGHBOR that becomes smaller by whole factors. Values are copied: exact to the bit in
float and in int8. Left as they are: axes whose size the step does not divide, steps backwards, and what would have more
than five axes.
"""

import math
from collections.abc import Callable

from ofa_edge.export.tflite.editing import FLOAT32, INT8, Editor

_MOST_AXES = 5  # of LiteRT's own SLICE; XNNPACK takes six


def open_strides(converted: bytes, plain: Callable[[], bytes]) -> bytes:
    """Write the same model with slices in steps of 1; without any other, the same bytes.

    Args:
        converted: any TFLite file of one graph.
        plain: not looked at.
    """
    del plain
    editor = Editor.of(converted)
    opened = 0
    seen: dict[tuple[int, tuple[int, ...]], int] = {}  # reshaped already: the quarters are all of one map
    for place, op in enumerate(editor.graph.operators):
        cut = _cut(editor, place)
        if cut is None:
            continue
        shape, begin, size = cut
        x, y = int(op.inputs[0]), int(op.outputs[0])
        if (x, shape) not in seen:
            seen[x, shape] = editor.reshape(place, x, (shape, y))
        inputs = [seen[x, shape], editor.numbers(begin), editor.numbers(size)]
        editor.reshape(place, editor.make(place, "SLICE", inputs, (size, y)), y)
        opened += 1
    return editor.packed() if opened else converted


_Numbers = tuple[int, ...]


def _cut(editor: Editor, place: int) -> tuple[_Numbers, _Numbers, _Numbers] | None:
    """As what a slice's input is to be seen, and what is taken of it: from where, how much."""
    op = editor.graph.operators[place]
    steps = _steps(editor, place)
    if steps is None or editor.graph.tensors[op.inputs[0]].type not in (FLOAT32, INT8):
        return None
    before, after = (editor.shape(int(each)) for each in (op.inputs[0], op.outputs[0]))
    if max(steps[1]) == 1 or min(steps[1]) < 1 or any(size % step for size, step in zip(before, steps[1], strict=True)):
        return None
    shape, first, taken = list[int](), list[int](), list[int]()
    for size, want, start, step in zip(before, after, *steps, strict=True):
        if size > 1:
            shape += [size // step, step] if step > 1 else [size]
            first += [start // step, start % step] if step > 1 else [start]
            taken += [want, 1] if step > 1 else [want]
    if len(shape) > _MOST_AXES or not math.prod(taken):
        return None
    return tuple(shape), tuple(first), tuple(taken)


def _steps(editor: Editor, place: int) -> tuple[list[int], list[int]] | None:
    """Where each axis begins, and its step; None of other operators, and of slices that also change the axes."""
    op, kind = editor.graph.operators[place], editor.names[place]
    options = op.builtinOptions
    before = editor.shape(int(op.inputs[0]))
    if kind == "RESIZE_NEAREST_NEIGHBOR" and not options.alignCorners and not options.halfPixelCenters:
        pairs = list(zip(before, editor.shape(int(op.outputs[0])), strict=True))
        return None if any(size % want for size, want in pairs) else ([0] * 4, [size // want for size, want in pairs])
    if kind != "STRIDED_SLICE" or options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask:
        return None
    begin, strides = editor.constant(int(op.inputs[1])), editor.constant(int(op.inputs[3]))
    if begin is None or strides is None or options.offset:
        return None
    starts = [0 if options.beginMask >> axis & 1 else int(each) for axis, each in enumerate(begin)]
    starts = [each + size if each < 0 else each for each, size in zip(starts, before, strict=True)]
    return [max(each, 0) for each in starts], [int(each) for each in strides]
