"""Classes on the console: one line where all is even, a table where top-1 hides something."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ofa_edge.cli.console import table
from ofa_edge.device.connections.plain_text import one_line

if TYPE_CHECKING:
    from ofa_edge.records.classes import ClassesRecord, ClassRecord, Split
    from ofa_edge.records.manifest import Rung
    from ofa_edge.records.scores import ScoresByClass

FEW = 10  # classes that are all shown
_NAMED = 5
_LETTERS = 24


def class_lines(found: "ClassesRecord", reviewed: bool = False) -> str:
    """What there is to say of a network's classes.

    Args:
        found: of a build or a verification.
        reviewed: whether the calibration set was reviewed, and what it lacks is said elsewhere.
    """
    lines = [_table(found), ""] if _tabled(found) else []
    lines.append(_headline(found))
    for item in found.worse[:_NAMED]:
        lines.append(
            f"  conversion costs {label(item.name)} {item.lost} of {item.test} images ({item.won} won): more than "
            "chance (McNemar, Holm)"
        )
    if len(found.worse) > _NAMED:
        lines.append(f"  and {len(found.worse) - _NAMED} classes more than chance too")
    if found.no_answer:
        lines.append(
            f"  warning: {found.no_answer} of {found.images} test images have no answer: their logits hold a NaN"
        )
    return "\n".join([*lines, *_missing(found, reviewed)])


def score_lines(found: "ScoresByClass", first: "Rung") -> str:
    """A detector's or a segmenter's classes: all of a few, else the worst.

    Args:
        found: class by class.
        first: the rung before conversion, for what it says besides.
    """
    shown = sorted((item for item in found.classes if item.truth), key=lambda item: item.after or 0.0)
    few = len(shown) <= FEW
    items = [item for item in found.classes if item.truth] if few else shown[:FEW]
    rows = [["class", found.unit, f"{found.metric} before", "after"]]
    rows += [[label(item.name), f"{item.truth:,}", _percent(item.before), _percent(item.after)] for item in items]
    lines = [table(rows, right=(1, 2, 3))]
    if not few:
        lines.append(f"  the worst {FEW} of {len(shown)} classes")
    others = {} if first.score is None else first.score.others
    lines += [f"  {first.name}: " + ", ".join(f"{name} {_percent(value)}" for name, value in others.items())]
    return "\n".join(lines)


def label(name: str) -> str:
    """A label for the terminal: without anything that could steer it, and short."""
    words = one_line(name)
    return words if len(words) <= _LETTERS else words[: _LETTERS - 3] + "..."


def _headline(found: "ClassesRecord") -> str:
    images = [item.test for item in found.classes]
    each = f"{min(images)}" if min(images) == max(images) else f"{min(images)} to {max(images)}"
    balanced = f"; balanced accuracy {100 * found.balanced:.2f} %" if found.uneven else ""
    worst = ", ".join(f"{label(item.name)} {_percent(item.recall)}" for item in found.worst[:3])
    lowest = "" if _tabled(found) and len(found.classes) <= FEW else f"; lowest recall: {worst}"
    return f"  {len(found.classes)} classes, {each} test image{'s' * (max(images) > 1)} each{balanced}{lowest}"


def _tabled(found: "ClassesRecord") -> bool:
    """Whether top-1 hides something."""
    return found.uneven or bool(found.worse)


def _table(found: "ClassesRecord") -> str:
    items: Sequence[ClassRecord] = found.classes
    if len(items) > FEW:
        rare = sorted(items, key=lambda item: (item.test, item.calibration))[:_NAMED]
        items = list({id(item): item for item in [*found.worst[:_NAMED], *rare]}.values())
    rows = [["class", "calibration", "test", found.start, found.artifact, "lost", "won"]]
    for item in items:
        counts = [str(item.calibration), str(item.test), _percent(item.recall_before), _percent(item.recall)]
        rows.append([label(item.name), *counts, str(item.lost), str(item.won)])
    words = (
        "recall of the classes that do worst, and of those with the fewest images:\n" if items != found.classes else ""
    )
    return f"{'  ' * bool(words)}{words}{table(rows, right=range(1, 7))}"


def _missing(found: "ClassesRecord", reviewed: bool) -> list[str]:
    consequences: dict[Split, str] = {"test": "nothing is known of their recall"}
    if not reviewed:
        consequences["calibration"] = "batch norm was calibrated without them"
    lines = []
    for split, consequence in consequences.items():
        if names := found.without(split):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"  warning: no {split} image of {', '.join(map(label, names[:_NAMED]))}{more}: {consequence}")
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
