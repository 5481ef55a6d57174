"""`ofa-edge targets list|show|validate`."""

import click

from ofa_edge.cli.console import print_json, table
from ofa_edge.cli.options import json_option
from ofa_edge.shown import pasteable


@click.group("targets")
def targets_group() -> None:
    """The targets that networks can be built for."""


@targets_group.command("list")
@json_option()
def list_command(as_json: bool) -> None:
    """List all targets, a line for each runtime, the usual one first; the last column is to be pasted."""
    from ofa_edge.runtimes import precisions_for, runtimes_for
    from ofa_edge.targets import list_targets

    targets = list_targets()
    if as_json:
        print_json([target.facts() for target in targets])
        return
    rows = [["target", "hardware", "runtime", "precisions", ""]]
    for target in targets:
        hardware = target.description.split(",")[0]
        for place, runtime in enumerate(runtimes_for(target)):
            flags = f"--target {target.name}" + (f" --runtime {runtime.name}" if place else "")
            named = ["", ""] if place else [target.name, hardware]
            rows.append([*named, runtime.name, ", ".join(precisions_for(target, runtime)), flags])
    click.echo(table(rows))


@targets_group.command("show")
@click.argument("name")
@json_option()
def show_command(name: str, as_json: bool) -> None:
    """Show one target: its file, and where its latency model comes from."""
    from ofa_edge.latency.load import read_latency_file
    from ofa_edge.targets import load_target

    target = load_target(name)
    models = read_latency_file(target.latency_path).models
    if as_json:
        print_json({**target.facts(), "latency_models": [model.model_dump(mode="json") for model in models]})
        return
    click.echo(target.path.read_text().rstrip())
    click.echo(f"\n# {target.path}\n# latency models in {target.latency_path.name}:")
    for model in models:
        key = model.key
        click.echo(f"#   {key.runtime} {key.precision}, {key.threads} threads: {model.provenance.kind}")
        click.echo(f"#     {model.provenance.fitted_to}")


@targets_group.command("validate")
@click.argument("path")
def validate_command(path: str) -> None:
    """Check a target file and its latency file."""
    from ofa_edge.latency.load import read_latency_file
    from ofa_edge.runtimes import runtimes_for
    from ofa_edge.targets import load_target

    target = load_target(path)
    for runtime in runtimes_for(target):
        runtime.check_target(target)
    read_latency_file(target.latency_path)
    click.echo(f"{target.path}: ok\nnext: {pasteable('ofa-edge', 'build', '--target', path)}")
