"""`ofa-edge zoo list`, `zoo import` and `zoo net-config`."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, group
from ofa_edge.cli.console import next_step, table
from ofa_edge.cli.options import Numbers, supernet_option
from ofa_edge.cli.streams import for_bars
from ofa_edge.shown import pasteable

if TYPE_CHECKING:
    from ofa_edge.supernet.published import PublishedFile
    from ofa_edge.supernet.zoo import SupernetPackage


@group("zoo")
def zoo_group() -> None:
    """Supernets to take networks from."""


@zoo_group.command("list")
@click.option("--published", "everything", is_flag=True, help="Every published file, with its address and command.")
def list_command(everything: bool) -> Answer:
    """List supernets, with the flag to paste, and where the files are that others published."""
    from dataclasses import asdict

    from ofa_edge.supernet.published import FILES, LICENCE

    head, *rows = _supernets()
    facts = {
        "supernets": [dict(zip((*head[:-1], "flag"), row, strict=True)) for row in rows],
        "licence": LICENCE,
        "files": [asdict(each) for each in FILES],
    }
    if everything:
        return Answer(facts, "\n\n".join([*map(_published, FILES), f"licence: {LICENCE}"]))
    return Answer(facts, f"{table([head, *rows])}\n{_elsewhere()}")


def _supernets() -> list[list[str]]:
    from ofa_edge.supernet.zoo import UNTRAINED, open_supernet, shipped

    rows = [["supernet", "subnets", "trained on", "top-1 smallest .. largest", ""]]
    for name in shipped():
        package = open_supernet(name)
        named = pasteable("--supernet", name)
        rows.append([name, f"{package.space.count:.3g}", str(package.dataset), _span(package), named])
    for name, space in UNTRAINED.items():
        rows.append([name, f"{space.count:.3g}", "untrained", "-", f"--untrained --supernet {name}"])
    return rows + _imports(Path("imported"))


def _span(package: "SupernetPackage") -> str:
    """Top-1 of both ends at the largest resolution."""
    figures = package.file("figures.json")
    if figures is None:
        return "not measured"
    top1, size = json.loads(figures.read_bytes())["test"]["top1"], package.space.resolutions[-1]
    return f"{100 * top1[f'smallest {size}']:.2f} .. {100 * top1[f'largest {size}']:.2f} at {size} px"


def _published(each: "PublishedFile") -> str:
    return f"{each.name} ({each.kind})\n  {each.address}\n  {each.known}\n  once it is here: {each.command}"


def _elsewhere() -> str:
    """The published files in short."""
    from ofa_edge.supernet.published import FILES, LICENCE

    lines = ["", "published weights, which do not come with ofa-edge:"]
    for each in FILES:
        if each.kind == "supernet":
            lines += [f"  {each.name}", f"    {each.address}", f"    {each.known}"]
    others = Counter(each.kind for each in FILES if each.kind != "supernet")
    counted = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in others.items())
    lines += [f"  and {counted}: ofa-edge zoo list --published", f"  licence: {LICENCE}"]
    return "\n".join([*lines, "  bring a file here, then: ofa-edge zoo import FILE"])


def _imports(parent: Path) -> list[list[str]]:
    """What `zoo import` wrote by default; a folder that cannot be read is left for `build` to explain."""
    from ofa_edge.errors import OfaEdgeError
    from ofa_edge.supernet.zoo import open_supernet

    rows = []
    for facts in sorted(parent.glob("*/import.json")):
        try:
            package = open_supernet(str(facts.parent))
        except OfaEdgeError:
            continue
        count = "1" if package.subnet else f"{package.space.count:.3g}"
        rows.append(
            [package.space.name, count, "imported weights", "not measured", pasteable("--supernet", facts.parent)]
        )
    return rows


@zoo_group.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder. Default: imported/NAME.")
@click.option("--as", "wanted", type=click.Choice(["auto", "supernet", "network"]), default="auto", show_default=True)
@click.option("--space", metavar="NAME|DIR|JSON", help="The space that it belongs to. Default: found from its shapes.")
@click.option("--sha256", metavar="HEX", help="The SHA-256 that the weights file must have; an https address needs it.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one per line. Default: class 0, ...")
@click.option("--mean", type=Numbers(), metavar="M,M,M", help="Of pixels 0..255. Default for 3 channels: ImageNet's.")
@click.option("--std", type=Numbers(), metavar="S,S,S", help="Of pixels 0..255. Default for 3 channels: ImageNet's.")
@click.option("--predictor", type=click.Path(path_type=Path), help="A published accuracy predictor, .pth.")
@click.option(
    "--predictor-sizes",
    type=Numbers(),
    metavar="R,R,...",
    help="The predictor's resolutions, if they differ from the supernet's.",
)
@click.option("--resolution", type=click.IntRange(min=8), help="Input size of a network without a run.config.")
@click.option("--subnet", is_flag=True, help="Only print which subnet a net.config describes; --out names a JSON file.")
def import_command(subnet: bool, **options: Any) -> Answer:
    """Import published weights: a supernet, a full network, or a specialised one with its net.config.

    SOURCE is a file, the folder of a specialised network, or one https address with --sha256.
    """
    from ofa_edge.workflows.zoo_import.run import import_package, import_subnet
    from ofa_edge.workflows.zoo_import.sources import ImportOptions

    sizes = options.pop("predictor_sizes")
    plan = ImportOptions(**options, predictor_sizes=tuple(int(size) for size in sizes) if sizes else None)
    if subnet:
        return _subnet_answer(import_subnet(plan), plan.out)
    folder, facts = import_package(plan, _Bytes() if sys.stderr.isatty() else lambda done, total: None)
    return Answer({**facts, "folder": str(folder)}, _imported(folder, facts))


@zoo_group.command("net-config")
@click.argument("subnet")
@supernet_option()
@click.option("--out", type=click.Path(path_type=Path), help="A file for it, in place of stdout.")
def net_config_command(subnet: str, supernet: str, out: Path | None) -> Answer:
    """Write a subnet as a net.config, from which the reference builds a network.

    SUBNET is `largest`, `smallest`, a configuration (JSON, or a file of it), or the folder of a build. Its input size
    is not part of a net.config.
    """
    from ofa_edge.files import write_json
    from ofa_edge.supernet.importing.written import net_config
    from ofa_edge.workflows.named_subnet import named_subnet

    chosen, space = named_subnet(subnet, supernet)
    config = net_config(space, chosen)
    if out is not None:
        write_json(out, config)
    return Answer(config, "" if out else json.dumps(config, indent=2, sort_keys=True))


def _subnet_answer(found: dict[str, Any], out: Path | None) -> Answer:
    from ofa_edge.files import write_json

    if out is not None:
        write_json(out, found["subnet"])
    for note in found["notes"]:
        click.echo(f"note: {note}", err=True)
    return Answer(found, json.dumps(found["subnet"]))


def _imported(folder: Path, facts: dict[str, Any]) -> str:
    """What was imported, and the next command."""
    dialect = ", ".join(f"{count} with {name}" for name, count in facts["dialect"].items()) or "all as written today"
    lines = [
        f"imported {facts['kind']} '{facts['source']}': space {facts['space']['name']} ({facts['space_hash'][:12]})",
        f"  {facts['parameters']:,} parameters, {facts['keys']} keys ({dialect}), {facts['container']}",
        f"  SHA-256 {facts['sha256']}",
    ]
    if facts["predictor"]:
        predictor = facts["predictor"]
        lines.append(f"  accuracy predictor: {predictor['form']} form, sizes {predictor['sizes']}")
    lines += [f"  note: {note}" for note in facts["notes"]]
    lines.append(f"wrote {folder}/")
    lines.append(next_step("build", "--target", "raspberry-pi-4", "--supernet", folder) + " --data IMAGES")
    return "\n".join(lines)


class _Bytes:
    """Progress of a download on a terminal."""

    def __init__(self) -> None:
        self.shown = -1

    def __call__(self, done: int, total: int | None) -> None:
        """After each piece."""
        megabytes = done // 1_000_000
        if megabytes != self.shown:
            self.shown = megabytes
            words = f"\r  {megabytes} MB" + (f" of {total // 1_000_000}" if total else "")
            click.echo(words, file=for_bars(), nl=False)
        if done == total:
            click.echo("", err=True)
