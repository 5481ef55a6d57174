"""`ofa-edge inspect`."""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.console import file_size, table
from ofa_edge.cli.quantisation import blame_lines

if TYPE_CHECKING:
    from ofa_edge.export.inspect import Finding, Inspection

COLOURS = {"fault": "red", "warning": "yellow", "note": "cyan"}
WIDTH, NAME_WIDTH, NAMED, PROFILED = 100, 78, 4, 10
FAULTY = 1


@command("inspect")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    is_flag=True,
    help="Time each operator on this machine: of a TFLite file alone, of an ONNX file in the whole.",
)
@click.option(
    "--shape",
    metavar="1x3x224x224",
    multiple=True,
    callback=lambda _, __, given: ",".join(given) or None,
    help="Of an ONNX file's input, where it leaves sizes free. Of several, for each: NAME=1x3x224x224.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="ONNX",
    help="The network that an int8 TFLite file was made from: what each layer costs in dB and top-1.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Images for --against, in folders by class. Default: those in the package, if the classes are the same.",
)
@click.option(
    "--images", type=click.IntRange(min=1), default=200, show_default=True, help="Images for --against, at most."
)
def inspect_command(
    model: Path, profile: bool, shape: str | None, against: Path | None, data: Path | None, images: int
) -> Answer:
    """Show what a .tflite, .onnx or .so file holds, what in it is slow or inexact, and how to fix it.

    Works on any such file, whoever made it. Exit code 0: no fault (warnings and notes do not count); 1: at least one
    finding of severity "fault"; 2: the file cannot be read.
    """
    from ofa_edge.export.inspect import inspect_model

    found = inspect_model(model, profile, shape)
    if against is not None:
        from ofa_edge.workflows.blame import blame_file

        found = replace(found, blame=blame_file(model, against, data, images))
    return Answer(found.to_json(), describe(found), FAULTY if found.faults else 0)


def describe(found: "Inspection") -> str:
    """An inspection for people."""
    operators = ", ".join(f"{name} {count}" for name, count in found.operators.items())
    total = sum(found.operators.values())
    facts = [[name, value] for name, value in found.facts.items()]
    facts += [["operators", f"{total}: {operators}"]] if operators else []
    parts = [f"{found.file}: {found.kind}, {file_size(found.size)}", _wrapped(facts)]
    parts += [_finding(each) for each in found.findings]
    if found.profile:
        parts.append(_profile(found))
    blamed = [] if found.blame is None else ["", blame_lines(found.blame)]
    return "\n".join([*parts, _conclusion(found), *blamed])


def _wrapped(rows: list[list[str]]) -> str:
    """Two columns, the second broken into lines."""
    return table(
        [
            [name if number == 0 else "", line]
            for name, value in rows
            for number, line in enumerate(textwrap.wrap(value, WIDTH - 20) or [""])
        ]
    )


def _finding(finding: "Finding") -> str:
    head = click.style(f"{finding.severity:<7}", fg=COLOURS[finding.severity], bold=True)
    first, *rest = textwrap.wrap(finding.what, WIDTH - 10)
    lines = [f"\n{head} {first}", *(f"        {line}" for line in rest)]
    if finding.nodes:
        more = f"and {len(finding.nodes) - NAMED} more (all with --json)" if len(finding.nodes) > NAMED else ""
        short = [_clipped(node) for node in finding.nodes[:NAMED]] + ([more] if more else [])
        lines += [f"        {'where' if at == 0 else '':<6} {node}" for at, node in enumerate(short)]
    if finding.cost:
        lines += _indented("cost", finding.cost)
    return "\n".join([*lines, *_indented("fix", finding.fix)])


def _clipped(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 4] + " ..."


def _indented(name: str, text: str) -> list[str]:
    first, *rest = [text] if text.startswith("ofa-edge ") else textwrap.wrap(text, WIDTH - 15)  # a command is pasted
    return [f"        {name:<6} {first}", *(f"{'':15}{line}" for line in rest)]


def _profile(found: "Inspection") -> str:
    """The dearest operators."""
    total = sum(found.profile.values())
    dearest = sorted(found.profile.items(), key=lambda item: -item[1])[:PROFILED]
    rows = [["operator" if found.kind == "onnx" else "operator, run alone", "ms", "share"]]
    rows += [[_clipped(name), f"{ms:.3f}", f"{100 * ms / (total or 1):.1f} %"] for name, ms in dearest]
    return f"\nthe {len(dearest)} dearest of {len(found.profile)} operators:\n" + table(rows, right=(1, 2))


def _conclusion(found: "Inspection") -> str:
    counts = {severity: sum(each.severity == severity for each in found.findings) for severity in COLOURS}
    words = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count)
    return f"\n{words or 'nothing to mend'}" + ("" if found.faults or not words else "; no fault")
