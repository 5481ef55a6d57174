"""What every command prints with: progress on stderr, results on stdout, plain where there is no terminal."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

COLOURS = {"pass": "green", "fail": "red", "unverified": "yellow", "inconclusive": "yellow"}


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows as aligned columns, two spaces between; columns numbered in `right` are set to the right."""
    widths = [max(len(click.unstyle(row[column])) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for column, cell in enumerate(row):
            space = " " * (widths[column] - len(click.unstyle(cell)))
            cells.append(space + cell if column in right else cell + space)
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def outcome(value: str) -> str:
    """An outcome in its colour."""
    return click.style(value, fg=COLOURS.get(value))


def print_json(value: Any) -> None:
    """The result as JSON on stdout."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


def file_size(size: int) -> str:
    """Bytes in words: 1.9 MB, 430 kB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


class StageLines:
    """One line on stderr for each stage as it ends; on a terminal, a spinner while it runs."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._status: Any = None

    def __call__(self, name: str, cached: bool, seconds: float | None) -> None:
        """A stage starts (`seconds` is None) or ends."""
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

        self._status = Console(stderr=True).status(name)
        self._status.start()

    def close(self) -> None:
        """Stop the spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None
