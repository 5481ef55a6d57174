"""`ofa-edge diff`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.console import table

if TYPE_CHECKING:
    from ofa_edge.report.aligned import Operator
    from ofa_edge.report.difference import Difference, OperatorTime, Row

SHOWN = 30  # operators in the text; --json and --html have all
_PATH = click.Path(path_type=Path)


@command("diff")
@click.argument("before", type=_PATH, metavar="A")
@click.argument("after", type=_PATH, metavar="B")
@click.option(
    "--profiles",
    nargs=2,
    type=_PATH,
    metavar="A.json B.json",
    help="What profile --json said of each build: time operator by operator.",
)
@click.option("--html", "page", type=_PATH, metavar="FILE", help="Write a page as well.")
def diff_command(before: Path, after: Path, profiles: tuple[Path, Path] | None, page: Path | None) -> Answer:
    """Show what moved between two builds: figures, network, operators, gates, environment.

    A and B are folders of builds. Predicted and measured latencies are never held against each other.
    """
    from ofa_edge.report.diff import write_diff
    from ofa_edge.workflows.diff import diff

    found = diff(before, after, profiles or ())
    if page is not None:
        write_diff(page, found)
    text = describe(found) + (f"\n\nwrote {page}" if page else "")
    return Answer(found.to_json(), text)


def describe(found: "Difference") -> str:
    """A difference for people."""
    from ofa_edge.report.diff import shown

    rows = [["", "A", "B", "change", ""]]
    for item in map(shown, found.figures):
        rows.append([item.name, item.before, item.after, item.change, item.label])
    parts = [f"A {found.before}\nB {found.after}", table(rows, right=(1, 2))]
    parts += [_rows("network", found.network), _operators(found)]
    if found.times:
        parts.append(_times("operators' times, as profile measured them", found.times))
    if found.parts:
        parts.append(_times("predicted latency of each part, not measured", found.parts))
    return "\n\n".join([*parts, _rows("gates", found.gates), _rows("environment", found.environment)])


def _rows(title: str, rows: "Sequence[Row]") -> str:
    if not rows:
        return f"{title}: the same in both"
    lines = []
    for row in rows:
        lines += [[row.name, "A", row.before], ["", "B", row.after]]
    return f"{title}\n{table(lines)}"


def _operators(found: "Difference") -> str:
    counts = Counter(item.kind for item in found.operators)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in ("same", "changed", "added", "removed"))
    moved = [item for item in found.operators if item.kind != "same"]
    lines = [[item.kind, _operator(item.before), _operator(item.after)] for item in moved[:SHOWN]]
    more = [f"  and {len(moved) - SHOWN} more (all with --json or --html)"] if len(moved) > SHOWN else []
    return "\n".join([f"operators of the fp32 networks: {words}", *([table(lines)] if lines else []), *more])


def _operator(operator: "Operator | None") -> str:
    return "-" if operator is None else f"{operator.what} [{operator.shapes}]"


def _times(title: str, items: "Sequence[OperatorTime]") -> str:
    items = [item for item in items if item.before_ms != item.after_ms]
    if not items:
        return f"{title}: the same in both"
    moved = sorted(items, key=lambda item: -abs((item.after_ms or 0.0) - (item.before_ms or 0.0)))
    rows = [["", "A ms", "B ms", "change"]]
    for item in moved[:SHOWN]:
        values = [item.before_ms, item.after_ms]
        cells = ["-" if value is None else f"{value:.4f}" for value in values]
        rows.append([item.name, *cells, f"{(item.after_ms or 0.0) - (item.before_ms or 0.0):+.4f}"])
    more = f"\n  and {len(items) - SHOWN} more, that moved less" if len(items) > SHOWN else ""
    return f"{title}\n{table(rows, right=(1, 2, 3))}{more}"
