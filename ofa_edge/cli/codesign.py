"""`ofa-edge codesign`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.console import Finite, table
from ofa_edge.cli.options import supernet_option

if TYPE_CHECKING:
    from ofa_edge.records.codesign import CodesignRecord, NetworkRecord

RECORD = "codesign.json"


@command("codesign")
@click.option(
    "--accelerators",
    metavar="FILE",
    help="A TOML file with [accelerators.NAME] tables, as a target's [npu], or [arrays.NAME], as its [array]; "
    "or a runtime that knows some: ethos-u, zigzag. Default: ethos-u.",
)
@click.option("--latency-ms", type=Finite(min=0, min_open=True), required=True, help="Of the compiler's cycles.")
@click.option("--macs", type=click.IntRange(min=1), help="Most MACs a cycle.")
@click.option("--sram", type=click.IntRange(min=1), metavar="BYTES", help="Most SRAM.")
@click.option("--area", type=Finite(min=0, min_open=True), metavar="MM2", help="Most area, where a file gives it.")
@click.option("--reference", metavar="NAME", help="The accelerator to hold the best pair against. Default: the first.")
@supernet_option(text="Whose subnets.")
@click.option(
    "--evaluations", type=click.IntRange(min=1), default=24_000, show_default=True, help="Predictor calls, at most."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out/codesign"),
    show_default=True,
    help="Folder for the page.",
)
def codesign_command(
    accelerators: str | None, macs: int | None, sram: int | None, area: float | None, out: Path, **options: Any
) -> Answer:
    """Search networks and accelerators together: pairs on one front of accuracy, latency and hardware.

    Accuracy is predicted, cycles are those of the accelerator's compiler; the pairs of the report are compiled in full.
    """
    from ofa_edge import extras
    from ofa_edge.cache import StageCache, default_root
    from ofa_edge.files import write_json
    from ofa_edge.output import claim_output_folder, output_folder, reserved
    from ofa_edge.report.codesign import write_codesign
    from ofa_edge.workflows.codesign.accelerators import Limits, read_accelerators
    from ofa_edge.workflows.codesign.codesign import CodesignOptions, codesign

    extras.require("train", "co-design")
    claim_output_folder(out, RECORD)
    given = read_accelerators(accelerators, Limits(macs, sram, area))

    def say(words: str) -> None:
        click.echo(f"  {words}", err=True)

    with reserved(out):
        found = codesign(CodesignOptions(**options), given, StageCache(default_root()), say)
        with output_folder(out, RECORD) as folder:
            write_codesign(folder / "codesign.html", found)
            write_json(folder / RECORD, found.model_dump(mode="json"))
    return Answer(found.model_dump(mode="json"), f"{summary(found)}\nwrote {out / 'codesign.html'}")


def _row(each: "NetworkRecord", subnet: str, accuracy: str) -> list[str]:
    return [
        each.role,
        each.accelerator,
        subnet,
        accuracy,
        f"{each.macs / 1e6:.2f}",
        f"{each.ms:.3g}",
        "-" if each.energy_uj is None else f"{each.energy_uj:.3g}",
        f"{each.gops:.3g}",
        f"{each.intensity:.3g}",
        f"{100 * each.utilisation:.1f} %",
    ]


def summary(found: "CodesignRecord") -> str:
    """The best pair, and what it is held against."""
    rows = [["", "accelerator", "subnet", found.metric, "M MACs", "ms", "uJ", "GOPS/s", "ops/byte", "utilisation"]]
    for each in found.finalists:
        accuracy = each.pair.accuracy
        rows.append(_row(each, each.pair.subnet, "-" if accuracy is None else f"{100 * accuracy:.2f}"))
    rows += [_row(each, "-", "-") for each in found.published]
    worst = max(found.mape.values())
    return "\n".join(
        [
            f"within {found.latency_ms:g} ms of {found.compiler}'s cycles, {found.kind}; accuracy is predicted",
            table(rows, right=range(3, 10)),
            *found.notes,
            f"{len(found.front)} pairs on the front of accuracy, latency and hardware, of {found.evaluated:,}; "
            f"latency models within {100 * worst:.1f} % on average of networks held out",
        ]
    )
