"""The confusion matrix as a heat map: what each class was taken for, right answers and wrong ones in two colours."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ofa_edge.records.classes import ClassesRecord
from ofa_edge.report.svg import drawing, element, label, line

LETTERS = 60  # of a class's name where there is room; the manifest has all of it
NUMBERED = 30  # classes up to which cells hold their counts, and both sides the classes' names
RIGHT_STEPS = (0.5, 0.7, 0.85, 0.95)  # shares of a class where the colour of right answers steps
WRONG_STEPS = (0.01, 0.03, 0.1, 0.25)
_LETTER = 6.7  # pixels, about
_LETTERS = 18  # of a name beside the matrix
_TICKS = 10  # classes between two numbers beside a matrix without names
_TOLD = 5
_WIDTH = 920.0  # of the page's column: with it the names and cells of 30 classes are seen whole
_LEAST_MARGIN = 94.0  # room for the words in the corner, and for "no answer"


@dataclass(frozen=True)
class _Layout:
    """Where cells stand: the top left corner, and how large each is, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of(cls, names: Sequence[str]) -> "_Layout":
        if len(names) > NUMBERED:
            side = 8.0 if len(names) > 60 else 12.0
            return cls(54.0, 44.0, side, side)
        margin = max(_LEAST_MARGIN, 14 + _LETTER * max(map(_columns, names)))
        return cls(margin, margin, min(44.0, (_WIDTH - margin) / (len(names) + 1)), 30.0 if len(names) <= 12 else 24.0)

    def x(self, column: int) -> float:
        """Left edge of a column."""
        return self.left + column * self.width

    def y(self, row: int) -> float:
        """Upper edge of a row."""
        return self.top + row * self.height


def confusion_chart(found: ClassesRecord | None) -> Markup:
    """The matrix in its own size, for a box that scrolls: shrunk to a phone's width nobody could read it.

    Rows are the true classes, columns what the artifact took their images for; a column of its own for images without
    an answer, where there are any. Nothing where the matrix was not kept.
    """
    if found is None or found.matrix is None:
        return Markup("")
    names = [shortened(item.name) for item in found.classes]
    size, numbered = len(names), len(names) <= NUMBERED
    layout = _Layout.of(names)
    silent = found.no_answer > 0
    shown = size + silent
    parts = [element("desc", _description(found)), *_frame(layout, size, shown, numbered)]
    for row, (item, counts) in enumerate(zip(found.classes, found.matrix, strict=True)):
        for column, count in enumerate([*counts, item.no_answer]):
            if count:
                into = shortened(found.classes[column].name, LETTERS) if column < size else "no answer"
                words = f"{shortened(item.name, LETTERS)}: {count} of {item.test} taken for {into}" if numbered else ""
                parts.append(_cell(layout, row, column, count, item.test, words))
    parts += _names(layout, [*names, *["no answer"] * silent], size) if numbered else _ticks(layout, size)
    width, height = layout.x(shown) + 8, layout.y(size) + 8
    return element(
        "div", drawing(width, height, "Confusion matrix of the artifact", *parts), style=f"width:{width:.0f}px"
    )


def shortened(name: str, letters: int = _LETTERS) -> str:
    """A label that fits beside a matrix."""
    if _columns(name) <= letters:
        return name
    kept = ""
    for letter in name:
        if _columns(kept + letter) > letters - 1:
            break
        kept += letter
    return kept.rstrip() + "…"


def _columns(text: str) -> int:
    """Widths of a Latin letter; those of Chinese, Japanese, Korean and of emoji are twice as wide."""
    return sum(2 if ord(letter) >= 0x1100 else 1 for letter in text)


def _description(found: ClassesRecord) -> str:
    right = sum(item.right for item in found.classes)
    pairs = "; ".join(
        f"{shortened(found.classes[pair.true].name, LETTERS)} taken for "
        f"{shortened(found.classes[pair.answered].name, LETTERS)}: {pair.images}"
        for pair in found.confused[:_TOLD]
    )
    most = f" Most often confused: {pairs}." if pairs else ""
    return f"Rows: true classes. Columns: what their images were taken for. {right} of {found.images} are right.{most}"


def _frame(layout: _Layout, size: int, shown: int, numbered: bool) -> list[Markup]:
    right, bottom = layout.x(shown), layout.y(size)
    ground = element("rect", x=layout.left, y=layout.top, width=right - layout.left, height=bottom - layout.top)
    parts = [element("g", ground, class_="ground")]
    step = 1 if numbered else _TICKS
    parts += [line(layout.left, layout.y(row), right, layout.y(row), class_="grid") for row in range(0, size + 1, step)]
    columns = range(0, shown + 1, step)
    return parts + [line(layout.x(at), layout.top, layout.x(at), bottom, class_="grid") for at in columns]


def _cell(layout: _Layout, row: int, column: int, count: int, images: int, words: str) -> Markup:
    right = row == column
    step = bisect_right(RIGHT_STEPS if right else WRONG_STEPS, count / images) + 1
    gap = 1.0 if words else 0.5
    box = element(
        "rect",
        *([element("title", words)] if words else []),
        x=layout.x(column) + gap / 2,
        y=layout.y(row) + gap / 2,
        width=layout.width - gap,
        height=layout.height - gap,
        class_=f"{'right' if right else 'wrong'} s{step}",
    )
    if not words:
        return box
    text = str(count) if count < 10_000 else f"{count / 1000:.0f}k"
    middle = (layout.x(column) + layout.width / 2, layout.y(row) + layout.height / 2 + 4)
    return box + label(
        *middle, text, class_=f"cell on{step}{' narrow' if layout.width < 30 else ''}", text_anchor="middle"
    )


def _names(layout: _Layout, names: Sequence[str], rows: int) -> list[Markup]:
    parts = []
    for index, name in enumerate(names):
        across = layout.x(index) + layout.width / 2 + 4
        turn = f"translate({across:.2f} {layout.top - 7:.2f}) rotate(-90)"
        parts.append(element("text", name, transform=turn, class_="tick"))
        if index < rows:
            height = layout.y(index) + layout.height / 2 + 4
            parts.append(label(layout.left - 7, height, name, class_="tick", text_anchor="end"))
    corner = layout.left - 10
    parts.append(label(corner, 16, "taken for →", class_="name", text_anchor="end"))
    return [*parts, label(corner, layout.top - 8, "true ↓", class_="name", text_anchor="end")]


def _ticks(layout: _Layout, size: int) -> list[Markup]:
    parts = [label(layout.left, 14, "taken for (number of the class) →", class_="name")]
    parts.append(label(layout.left - 8, 14, "true ↓", class_="name", text_anchor="end"))
    for index in range(0, size, _TICKS):
        middle = layout.width / 2
        parts.append(label(layout.x(index) + middle, layout.top - 7, str(index), class_="tick", text_anchor="middle"))
        parts.append(label(layout.left - 6, layout.y(index) + middle + 4, str(index), class_="tick", text_anchor="end"))
    return parts
