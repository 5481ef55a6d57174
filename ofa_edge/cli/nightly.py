"""`ofa-edge nightly` and `ofa-edge baseline show|accept`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.answer import Answer, command, group, wants_json
from ofa_edge.cli.console import file_size, table
from ofa_edge.cli.options import renamed

if TYPE_CHECKING:
    from ofa_edge.records.night import NightRecord

REGRESSED, NOTHING_PROVED = 1, 3
_COLOURS = {"RED": "red", "YELLOW": "yellow", "GREEN": "green", "INCONCLUSIVE": "bright_black"}
_OLD = renamed("--fleet", "--config")
_FLEET = click.option(
    "--config",
    "fleet_path",
    type=click.Path(path_type=Path),
    default=Path("fleet.toml"),
    show_default=True,
    help="Artifacts and devices; docs/nightly.md has the format.",
)


@command("nightly")
@_FLEET
@_OLD
@click.option("--github/--no-github", default=None, help="Print annotations. Default: when GitHub Actions runs this.")
def nightly_command(fleet_path: Path, github: bool | None) -> Answer:
    """Measure the golden artifact against the candidate on every device of a fleet, and judge.

    Exit code 1 only on RED; 3 where nothing was proved on any device; else 0.
    """
    from ofa_edge.report.annotations import annotations
    from ofa_edge.report.junit import write_junit
    from ofa_edge.report.nightly import write_nightly
    from ofa_edge.workflows.nightly.fleet import load_fleet
    from ofa_edge.workflows.nightly.history import read_history
    from ofa_edge.workflows.nightly.run import run_fleet

    fleet = load_fleet(fleet_path)
    night = run_fleet(fleet, say=lambda text: click.echo(f"  {text}", err=True))
    history = read_history(fleet.history)
    write_nightly(fleet.folder / "nightly.html", history.nights, len(history.torn), history.damaged)
    write_junit(fleet.folder / "junit.xml", night)
    lines = [night_table(night), f"\nwrote {fleet.folder}/ (history.jsonl, nightly.html, junit.xml)"]
    if os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github:
        lines += annotations(night)
        if wants_json():  # GitHub reads them on stderr too
            click.echo("\n".join(annotations(night)), err=True)
    code = {"RED": REGRESSED, "INCONCLUSIVE": NOTHING_PROVED}.get(night.colour, 0)
    return Answer(night.model_dump(mode="json"), "\n".join(lines), code)


def night_table(night: "NightRecord") -> str:
    """The verdicts as a table, the night's own last."""
    from ofa_edge.report.nightly import figures

    rows = [["device", "artifact", "gate", "verdict", "golden -> candidate", "why"]]
    for item in night.series:
        colour = click.style(item.colour, fg=_COLOURS[item.colour])
        rows.append([item.device, item.artifact, item.gate, colour, figures(item), item.reason])
    end = click.style(night.colour, fg=_COLOURS[night.colour], bold=True)
    seconds = sum(device.seconds for device in night.devices)
    return f"{table(rows)}\n\n  {end}  {len(night.series)} gates on {len(night.devices)} devices in {seconds:.0f} s"


@group("baseline")
def baseline_group() -> None:
    """The golden artifacts that nightly runs are judged against."""


@baseline_group.command("show")
@_FLEET
@_OLD
def show_command(fleet_path: Path) -> Answer:
    """Which artifact is golden, since when, and why."""
    from ofa_edge.workflows.nightly.fleet import load_fleet
    from ofa_edge.workflows.nightly.history import read_history

    fleet = load_fleet(fleet_path)
    history = read_history(fleet.history)
    found = {name: history.golden(name) for name in fleet.file.artifacts}
    rows = [["artifact", "golden", "accepted", "size", "note"]]
    for name, item in found.items():
        facts = [item.sha256[:12], f"{item.at:%Y-%m-%d %H:%M}", file_size(item.size), item.note] if item else ["-"] * 4
        rows.append([name, *facts])
    return Answer({name: item and item.model_dump(mode="json") for name, item in found.items()}, table(rows))


@baseline_group.command("accept")
@click.argument("artifacts", nargs=-1)
@_FLEET
@_OLD
@click.option("--all", "every", is_flag=True, help="All artifacts of the fleet.")
@click.option("--note", default="", help="The reason; kept in the history.")
def accept_command(artifacts: tuple[str, ...], fleet_path: Path, every: bool, note: str) -> Answer:
    """Make the artifacts now in the build folders the golden ones."""
    from ofa_edge.errors import UsageError
    from ofa_edge.workflows.nightly.fleet import load_fleet
    from ofa_edge.workflows.nightly.run import accept

    fleet = load_fleet(fleet_path)
    if every == bool(artifacts):
        raise UsageError("nothing to accept", "give artifacts or --all", f"one of: {', '.join(fleet.file.artifacts)}")
    records = {name: accept(fleet, name, note) for name in (fleet.file.artifacts if every else artifacts)}
    lines = [f"  {name}: {each.sha256[:12]} is golden now ({file_size(each.size)})" for name, each in records.items()]
    return Answer({name: each.model_dump(mode="json") for name, each in records.items()}, "\n".join(lines))
