"""`ofa-edge runner-kit`."""

from pathlib import Path

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.shown import pasteable


@command("runner-kit")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--arch", default="aarch64", show_default=True, help="As uname -m says on the board.")
def runner_kit_command(out: Path, arch: str) -> Answer:
    """Write the TVM runner's sources into folder OUT, to be compiled on a board (a Jetson) with `make`."""
    from ofa_edge.device.runners.kit import write_kit

    write_kit(out, arch)
    there = pasteable("make", "-C", out.name)
    text = f"wrote {out}/\nnext: {pasteable('scp', '-r', out, 'BOARD:')}   and there: {there}"
    return Answer({"folder": str(out), "arch": arch}, text)
