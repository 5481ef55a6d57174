"""`ofa-edge verify`, `ofa-edge profile` and `ofa-edge report`."""

from pathlib import Path

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.build import summary
from ofa_edge.cli.classes import class_lines
from ofa_edge.cli.console import hanging, next_step, outcome, table
from ofa_edge.cli.options import data_option, device_option


@command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@device_option("local, emulated, or one of: devices list.")
@data_option
@click.option("--release", is_flag=True, help="Five sessions of 1,024 runs and 60 s, as for a release.")
@click.option("--max-size", metavar="BYTES", help="Limit of the artifact: 900kB, 1.5MiB.")
@click.option("--max-memory", metavar="BYTES", help="Limit of the process's peak: 60MiB.")
def verify_command(
    folder: Path,
    device: str,
    data: Path | None,
    release: bool,
    max_size: str | None,
    max_memory: str | None,
) -> Answer:
    """Run a built artifact on a device again and judge it. The build's own folder is not changed."""
    from ofa_edge.workflows.verify import Limits, verify

    result = verify(
        folder, device, data, Limits(_bytes(max_size, "--max-size"), _bytes(max_memory, "--max-memory")), release
    )
    lines = [] if result.classes is None else [class_lines(result.classes) + "\n"]
    lines.append(hanging([[item.gate, outcome(item.outcome), item.reason] for item in result.verdicts]))
    latency = result.device.latency_ms if result.device else None
    if latency is not None and result.device is not None:
        lines.append(
            f"  measured on {result.device.name}: p50 {latency.p50:.3g} ms ({latency.low95:.3g} .. "
            f"{latency.high95:.3g} over {latency.sessions} sessions), p90 {latency.p90:.3g} ms"
        )
    lines.append(next_step("profile", folder, "--device", device))
    return Answer(result.to_json(), "\n".join(lines), {"fail": 1, "inconclusive": 3}.get(result.outcome, 0))


def _bytes(text: str | None, option: str) -> int | None:
    from ofa_edge.workflows.build.constraints import parse_quantity

    return None if text is None else int(parse_quantity(text, option))


@command("profile")
@click.argument("folder", type=click.Path(path_type=Path))
@device_option()
@data_option
def profile_command(folder: Path, device: str, data: Path | None) -> Answer:
    """Where a built artifact's memory and time go on a device, function by function."""
    from ofa_edge.device.measuring.passes import Unavailable
    from ofa_edge.workflows.profile import profile

    found = profile(folder, device, data)
    memory, functions = found.memory, found.functions
    if isinstance(memory, Unavailable):
        lines = [f"memory: not available: {memory.reason}"]
    else:
        before = f"{memory.before / 2**20:.1f} MiB before it loaded the network"
        lines = [f"memory: {memory.peak / 2**20:.1f} MiB at the peak, {before}"]
    if isinstance(functions, Unavailable):
        lines.append(f"operators: not available: {functions.reason}")
        return Answer(found.to_json(), "\n".join(lines))
    total = sum(item.ms for item in functions.items) or 1.0
    kinds = [["type", "operators", "calls", "ms", "%"]]
    for kind in found.by_type():
        share = f"{100 * kind.ms / total:.1f}"
        kinds.append([kind.type, str(kind.operators), str(kind.calls), f"{kind.ms:.4f}", share])
    rows = [["operator" if functions.alone else "function", "calls", "ms", "%"]]
    for item in sorted(functions.items, key=lambda item: -item.ms):
        rows.append([item.name, str(item.calls), f"{item.ms:.4f}", f"{100 * item.ms / total:.1f}"])
    end = (
        f"{total:.3f} ms in all, each operator run alone; the whole network takes {functions.whole_ms:.3f} ms"
        if functions.alone
        else f"{total:.3f} ms in all; the watching is in it, so that an inference alone takes less"
    )
    return Answer(
        found.to_json(), "\n".join([*lines, table(kinds, right=(1, 2, 3, 4)), "", table(rows, right=(1, 2, 3)), end])
    )


@command("report")
@click.argument("folder", type=click.Path(path_type=Path))
def report_command(folder: Path) -> Answer:
    """Print a build's summary again, from its manifest."""
    from ofa_edge.builds import Build

    manifest = Build.open(folder).manifest
    return Answer(manifest.model_dump(mode="json"), summary(manifest, folder))
