"""`ofa-edge sustain`."""

from pathlib import Path

import click

from ofa_edge.cli.console import Finite, print_json
from ofa_edge.cli.options import data_option, device_option, json_option


@click.command("sustain")
@click.argument("folder", type=click.Path(path_type=Path))
@device_option()
@click.option(
    "--minutes", type=Finite(0, 24 * 60, min_open=True), default=10.0, show_default=True, help="Minutes of load."
)
@click.option(
    "--cooling", required=True, metavar="TEXT", help='What cools it, and the room: "bare board, 22 C". For the source.'
)
@data_option
@json_option()
def sustain_command(folder: Path, device: str, minutes: float, cooling: str, data: Path | None, as_json: bool) -> None:
    """Measure how much slower a device gets under minutes of load, for --sustained."""
    import datetime

    from ofa_edge.workflows.sustain import sustain

    def told(seconds: float, ms: float) -> None:
        click.echo(f"{seconds:6.0f} s  {ms:.4f} ms", err=True)

    found = sustain(folder, device, minutes, data, told)
    if as_json:
        print_json(found.to_json())
        return
    click.echo(f"cold {found.cold_ms:.4f} ms; in the last third of the load {found.hot_ms:.4f} ms")
    if found.reason:
        click.echo(f"the load ended early: {found.reason}")
    if not found.steady:
        click.echo("not steady yet: the last third differs from the one before it; give more --minutes")
    click.echo(f"\n{found.table(cooling, datetime.datetime.now(datetime.UTC).date().isoformat())}")
    click.echo(
        "next: put these lines into the target's file, then: ofa-edge build --target FILE --sustained --latency-ms X"
    )
