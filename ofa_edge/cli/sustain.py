"""`ofa-edge sustain`."""

from pathlib import Path

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.console import Finite
from ofa_edge.cli.options import data_option, device_option


@command("sustain")
@click.argument("folder", type=click.Path(path_type=Path))
@device_option()
@click.option(
    "--minutes", type=Finite(0, 24 * 60, min_open=True), default=10.0, show_default=True, help="Minutes of load."
)
@click.option(
    "--cooling", required=True, metavar="TEXT", help='What cools it, and the room: "bare board, 22 C". For the source.'
)
@data_option
def sustain_command(folder: Path, device: str, minutes: float, cooling: str, data: Path | None) -> Answer:
    """Measure how much slower a device gets under minutes of load, for --sustained."""
    import datetime

    from ofa_edge.workflows.sustain import sustain

    def told(seconds: float, ms: float) -> None:
        click.echo(f"{seconds:6.0f} s  {ms:.4f} ms", err=True)

    found = sustain(folder, device, minutes, data, told)
    lines = [f"cold {found.cold_ms:.4f} ms; in the last third of the load {found.hot_ms:.4f} ms"]
    if found.reason:
        lines.append(f"the load ended early: {found.reason}")
    if not found.steady:
        lines.append("not steady yet: the last third differs from the one before it; give more --minutes")
    lines += [
        f"\n{found.table(cooling, datetime.datetime.now(datetime.UTC).date().isoformat())}",
        "next: put these lines into the target's file, then: ofa-edge build --target FILE --sustained --latency-ms X",
    ]
    return Answer(found.to_json(), "\n".join(lines))
