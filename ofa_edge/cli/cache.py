"""`ofa-edge cache list|prune`."""

import click

from ofa_edge.cli.console import Finite, file_size, table


@click.group("cache")
def cache_group() -> None:
    """Results of build stages, kept for later builds."""


@cache_group.command("list")
def list_command() -> None:
    """What is in the cache, by stage."""
    from ofa_edge.cache import StageCache, default_root

    entries = StageCache(default_root()).entries()
    stages = sorted({entry.stage for entry in entries})
    rows = [["stage", "entries", "size"]]
    for stage in stages:
        sizes = [entry.size for entry in entries if entry.stage == stage]
        rows.append([stage, str(len(sizes)), file_size(sum(sizes))])
    click.echo(table(rows, right=(1, 2)))
    click.echo(f"\n{default_root()}: {file_size(sum(entry.size for entry in entries))}")


@cache_group.command("prune")
@click.option("--keep-mb", type=Finite(min=0), default=0.0, show_default=True, help="Size to shrink to, in MB.")
def prune_command(keep_mb: float) -> None:
    """Remove the least recently used results."""
    from ofa_edge.cache import StageCache, default_root

    removed = StageCache(default_root()).prune(int(keep_mb * 1e6))
    click.echo(f"removed {len(removed)} entries, {file_size(sum(entry.size for entry in removed))}")
