"""Nearest neighbours of whole factors, by operators that XNNPACK has.

XNNPACK has no RESIZE_NEAREST_NEIGHBOR: in a neck (FPN, U-Net, YOLO) each cuts the graph in two, and LiteRT's own kernel
runs it, on one thread.

Given::

    y = RESIZE_NEAREST_NEIGHBOR(x)                      x: [N, H, W, C], y: [N, 2H, 2W, C]

Result::

    columns = CONCATENATION(x, x) along C               as it lies in memory: [N, H, 2W, C]
    rows = RESHAPE(columns, [NH, 2WC])
    y = RESHAPE(CONCATENATION(rows, rows) along 2WC)    as it lies in memory: [N, 2H, 2W, C]

Factors of 4 and more are joined by up to five at once, then what was joined. One with a prime above 5 becomes a product
with ones, [NH, 1, W, 1, C] * [1, 7, 1, 7, 1]: slower in int8, and exact but for denormals, which LiteRT takes for 0.

Otherwise values are copied: exact to the bit in float and in int8. Left as they are: what becomes smaller
(`open_strides`), and factors that are not whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ofa_edge.export.tflite.editing import FLOAT32, INT8, Editor

_PARTS = (5, 4, 3, 2)  # as many as XNNPACK joins at once


def repeat_pixels(converted: bytes, plain: Callable[[], bytes]) -> bytes:
    """Write the same model with nearest neighbours as copies; without any, the same bytes.

    Args:
        converted: any TFLite file of one graph.
        plain: not looked at.
    """
    del plain
    editor = Editor.of(converted)
    found = [each for place in range(len(editor.names)) if (each := _repeated(editor, place)) is not None]
    for each in found:
        steps = _steps(each.rows), _steps(each.columns)
        if None in steps:
            _multiply(editor, each)
        else:
            _join(editor, each, *(each or [] for each in steps))
    return editor.packed() if found else converted


@dataclass(frozen=True)
class _Repeated:
    """An upsampling: where it stands, what it reads and gives, and how often each row and each column is there."""

    place: int
    x: int
    y: int
    rows: int
    columns: int


def _repeated(editor: Editor, place: int) -> _Repeated | None:
    """An operator that does nothing but repeat rows and columns."""
    if editor.names[place] != "RESIZE_NEAREST_NEIGHBOR":
        return None
    op = editor.graph.operators[place]
    x, y = int(op.inputs[0]), int(op.outputs[0])
    before, after = editor.shape(x)[1:3], editor.shape(y)[1:3]
    whole = all(size > 0 and want % size == 0 for size, want in zip(before, after, strict=True))
    other = op.builtinOptions.alignCorners or op.builtinOptions.halfPixelCenters
    if not whole or other or editor.graph.tensors[x].type not in (FLOAT32, INT8):
        return None
    return _Repeated(place, x, y, after[0] // before[0], after[1] // before[1])


def _steps(factor: int) -> list[int] | None:
    """How many are joined, one concatenation after the other; None of a factor with a prime above them all."""
    steps = []
    while factor > 1:
        step = next((each for each in _PARTS if factor % each == 0), None)
        if step is None:
            return None
        steps.append(step)
        factor //= step
    return steps


def _join(editor: Editor, found: _Repeated, rows: list[int], columns: list[int]) -> None:
    n, h, w, c = editor.shape(found.x)
    y = _joined(editor, found, found.x, (n, h, w, c), columns)
    if rows:
        flat = (n * h, w * found.columns * c)
        y = _joined(editor, found, editor.reshape(found.place, y, (flat, found.y)), flat, rows)
    editor.reshape(found.place, y, found.y)


def _joined(editor: Editor, found: _Repeated, x: int, shape: tuple[int, ...], steps: list[int]) -> int:
    """What lies along the last axis, as often as the product of the steps."""
    for step in steps:
        shape = (*shape[:-1], shape[-1] * step)
        x = editor.make(found.place, "CONCATENATION", [x] * step, (shape, found.y), axis=len(shape) - 1)
    return x


def _multiply(editor: Editor, found: _Repeated) -> None:
    n, h, w, c = editor.shape(found.x)
    factors = [1, found.rows, 1, found.columns, 1]
    eight = editor.graph.tensors[found.x].type == INT8
    ones = editor.store(np.ones(factors, np.int8 if eight else np.float32), b"ones", 1.0 if eight else None)
    before = editor.reshape(found.place, found.x, ((n * h, 1, w, 1, c), found.y))
    big = (n * h, found.rows, w, found.columns, c)
    after = editor.make(found.place, "MUL", [before, ones], (big, found.y))
    editor.reshape(found.place, after, found.y)
