"""What every command prints with: progress on stderr, results on stdout, plain where there is no terminal."""

import math
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource

from ofa_edge.cli.streams import for_bars
from ofa_edge.shown import pasteable

COLOURS = {"pass": "green", "fail": "red", "unverified": "yellow", "inconclusive": "yellow"}


ACCEPT_CODE = click.option(
    "--accept-changed-code",
    "accept_code",
    is_flag=True,
    help="Continue a run that an older version of ofa-edge began.",
)


class Finite(click.FloatRange):
    """A range of numbers. `click.FloatRange` lets `nan` through, which compares with nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no number to work with.", param, ctx)
        return found


def same_options(context: click.Context, other: click.Command, leave: Collection[str] = ()) -> str:
    """What was given on a command line and another command takes too: the line to paste next.

    Args:
        context: of the command that ran.
        other: the command of that line.
        leave: names of parameters that are left out.
    """
    shared = {parameter.name for parameter in other.params}.difference(leave)
    parts = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if (
            name not in shared
            or not parameter.expose_value
            or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE
        ):
            continue
        value = context.params[name]
        for item in value if parameter.multiple else (value,):
            words = f"{item:.12g}" if isinstance(item, float) else str(item)
            parts += [parameter.opts[0]] if value is True else [parameter.opts[0], words]
    return pasteable(*parts)


def next_step(*words: object) -> str:
    """The line that says how to go on: a command of ours that can be pasted."""
    return f"next: {pasteable('ofa-edge', *words)}"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows as aligned columns, two spaces between; columns numbered in `right` are set to the right."""
    widths = [max(_cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            space = " " * (widths[column] - _cells(cell))
            cells.append(space + cell if column in right else cell + space)
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese letters take two, colours none."""
    from rich.cells import cell_len

    return cell_len(click.unstyle(text))


def hanging(rows: Sequence[Sequence[str]]) -> str:
    """Like `table`; on a terminal, the last column is broken between words so that it stays a column."""
    if not sys.stdout.isatty():
        return table(rows)
    found = []
    for row, line in zip(rows, table(rows).splitlines(), strict=True):
        last = row[-1].rstrip()
        indent = _cells(line) - _cells(last)
        room = max(shutil.get_terminal_size().columns - indent, 24)
        words = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False)
        found += [line.removesuffix(last) + "".join(words[:1]), *(" " * indent + part for part in words[1:])]
    return "\n".join(found)


def outcome(value: str) -> str:
    """An outcome in its colour."""
    return click.style(value, fg=COLOURS.get(value))


def duration(seconds: float) -> str:
    """A time in words: 40 s, 12 minutes, 3.4 hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def file_size(size: int) -> str:
    """Bytes in words: 1.9 MB, 430 kB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


class StageLines:
    """One line on stderr for each stage as it ends; on a terminal, a spinner while it runs.

    Args:
        quiet: say nothing.
        usual: seconds that the stages of such a build took before, on this machine.
    """

    def __init__(self, quiet: bool = False, usual: Mapping[str, float] | None = None) -> None:
        self.quiet, self.usual, self._waiting = quiet, usual or {}, dict(usual or {})
        self._status: Any = None

    def __call__(self, name: str, cached: bool, seconds: float | None) -> None:
        """A stage starts (`seconds` is None) or ends."""
        if seconds is not None:
            self._waiting.pop(name, None)
        if self.quiet:
            return
        if seconds is None:
            if sys.stderr.isatty():
                self._start(name)
            return
        self.close()
        click.echo(f"  {name:<14} {seconds:6.1f} s{'  from cache' if cached else ''}", err=True)

    def _start(self, name: str) -> None:
        from rich.console import Console

        self._status = Console(file=for_bars()).status(self.expected(name))
        self._status.start()

    def expected(self, name: str) -> str:
        """A stage that begins, with its usual time and that of all that is left, as far as earlier builds tell."""
        if name not in self.usual:
            return name
        own, left = self.usual[name], sum(self._waiting.values())
        more = f", about {duration(left)} to the end" if left > own else ""
        return f"{name}  usually {duration(own)}{more}"

    def close(self) -> None:
        """Stop the spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None
