"""`ofa-edge latency import|export`: latency tables of the reference, in and out."""

from pathlib import Path

import click

from ofa_edge.cli.answer import Answer, group
from ofa_edge.cli.completion import TARGET
from ofa_edge.cli.console import Finite, next_step
from ofa_edge.cli.options import precision_option, renamed, runtime_option, supernet_option, target_option


@group("latency")
def latency_group() -> None:
    """Import and export latency tables of the reference."""


@latency_group.command("import")
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path))
@supernet_option(required=True, text="The supernet that the tables were made for.")
@click.option("--name", required=True, help="Name of the new target.")
@click.option("--like", type=TARGET, required=True, metavar="NAME", help="The target whose hardware the new one has.")
@click.option("--measured-on", required=True, metavar="TEXT", help="Device model that was measured, in words.")
@renamed("--device", "--measured-on")
@click.option("--version", "version_text", required=True, metavar="TEXT", help="Runtime and version, in words.")
@click.option("--source", required=True, metavar="TEXT", help="Where the tables were published, or who measured them.")
@runtime_option
@precision_option
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--scatter",
    type=Finite(min=0.01, max=2),
    default=0.1,
    show_default=True,
    help="Assumed deviation of ln(measured / sum of blocks) over whole networks.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("targets"),
    show_default=True,
    help="Folder for NAME.toml and NAME.latency.json.",
)
def import_command(
    tables: tuple[Path, ...],
    supernet: str,
    name: str,
    like: str,
    measured_on: str,
    version_text: str,
    source: str,
    runtime: str | None,
    precision: str | None,
    threads: int,
    scatter: float,
    out: Path,
) -> Answer:
    """Make a target of the reference's YAML tables, one file for each resolution.

    Keys of OFA-MobileNetV3 and of ProxylessNAS are read. A table for another supernet is refused; a missing entry is
    named, with the nearest one.
    """
    from ofa_edge.latency.import_table import ImportedTable, write_table_target
    from ofa_edge.latency.protocol import Key
    from ofa_edge.runtimes import require
    from ofa_edge.supernet.zoo import open_space
    from ofa_edge.targets import load_target

    base = load_target(like)
    chosen = precision or base.defaults.precision
    key = Key(measured_on, require(base, runtime or base.runtime.kind, chosen).name, version_text, chosen, threads)
    space = open_space(supernet)
    target = write_table_target(ImportedTable(name, tables, space, key, source, scatter), like, out)
    following = next_step("explain", "--target", target, "--supernet", supernet)
    latency = target.with_suffix(".latency.json")
    return Answer({"target": str(target), "latency": str(latency)}, f"wrote {target} and {latency.name}\n{following}")


@latency_group.command("export")
@target_option()
@supernet_option(required=True, text="OFA-MobileNetV3 or ProxylessNAS.")
@runtime_option
@precision_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for RESOLUTION_lookup_table.yaml.")
def export_command(target: str, supernet: str, runtime: str | None, precision: str | None, out: Path) -> Answer:
    """Write a target's latency model as the reference's YAML tables, one for each resolution.

    What a call costs whatever the network stands in the classifier's entry, so that sums are the model's medians.
    """
    from ofa_edge.latency.load import load_latency_model
    from ofa_edge.latency.lookup_yaml import tables_of, write_tables
    from ofa_edge.runtimes import require
    from ofa_edge.supernet.zoo import open_space
    from ofa_edge.targets import load_target

    known = load_target(target)
    space = open_space(supernet)
    chosen = precision or known.defaults.precision
    model = load_latency_model(known, space, require(known, runtime or known.runtime.kind, chosen).name, chosen)
    written = write_tables(out, tables_of(model, space))
    text = f"wrote {len(written)} tables to {out}: {written[0].name} .. {written[-1].name}"
    return Answer({"tables": [str(path) for path in written]}, text)
