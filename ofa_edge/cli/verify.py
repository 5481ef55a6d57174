"""`ofa-edge verify` and `ofa-edge report`."""

from pathlib import Path

import click

from ofa_edge.cli.build import summary
from ofa_edge.cli.console import outcome, print_json, table


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--device", required=True, metavar="NAME", help="local, emulated, or one of: devices list.")
@click.option("--data", type=click.Path(path_type=Path), help="The image folder the build was made with, if any.")
@click.option("--release", is_flag=True, help="Five sessions of 1,024 runs and 60 s, as for a release.")
@click.option("--max-size", type=click.FloatRange(min=0, min_open=True), metavar="MIB", help="Limit of the artifact.")
@click.option(
    "--max-memory", type=click.FloatRange(min=0, min_open=True), metavar="MIB", help="Limit of the process's peak."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def verify_command(
    folder: Path,
    device: str,
    data: Path | None,
    release: bool,
    max_size: float | None,
    max_memory: float | None,
    as_json: bool,
) -> int:
    """Run a built artifact on a device again and judge it. The build's own folder is not changed."""
    from ofa_edge.pipeline.verifying import Limits, verify

    size, memory = (None if limit is None else int(limit * 2**20) for limit in (max_size, max_memory))
    result = verify(folder, device, data, Limits(size, memory), release)
    if as_json:
        print_json(result.to_json())
    else:
        rows = [[item.gate, outcome(item.outcome), item.reason] for item in result.verdicts]
        click.echo(table(rows))
        latency = result.device.latency_ms if result.device else None
        if latency is not None and result.device is not None:
            click.echo(
                f"  measured on {result.device.name}: p50 {latency.p50:.3g} ms ({latency.low95:.3g} .. "
                f"{latency.high95:.3g} over {latency.sessions} sessions), p90 {latency.p90:.3g} ms"
            )
    return {"fail": 1, "inconclusive": 3}.get(result.outcome, 0)


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report_command(folder: Path) -> None:
    """Print a build's summary again, from its manifest."""
    from ofa_edge.manifest import read_manifest

    click.echo(summary(read_manifest(folder), folder))
