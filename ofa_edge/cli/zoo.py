"""`ofa-edge zoo list`."""

import json

import click

from ofa_edge.cli.console import table


@click.group("zoo")
def zoo_group() -> None:
    """Supernets that networks can be taken from."""


@zoo_group.command("list")
def list_command() -> None:
    """List supernets; the last column is the flag to paste."""
    from ofa_edge.supernet.zoo import DEFAULT, UNTRAINED, open_supernet

    package = open_supernet(DEFAULT)
    rows = [["supernet", "subnets", "trained on", "top-1 smallest .. largest", ""]]
    figures = package.file("figures.json")
    span = "not measured"
    if figures is not None:
        top1 = json.loads(figures.read_bytes())["test"]["top1"]
        size = package.space.resolutions[-1]
        span = f"{100 * top1[f'smallest {size}']:.2f} .. {100 * top1[f'largest {size}']:.2f} at {size} px"
    rows.append([package.name, f"{package.space.count:.3g}", str(package.dataset), span, f"--supernet {package.name}"])
    for name, space in UNTRAINED.items():
        rows.append([name, f"{space.count:.3g}", "untrained", "-", f"--untrained --supernet {name}"])
    click.echo(table(rows))
