"""`ofa-edge cache list|prune`."""

import click

from ofa_edge.cli.answer import Answer, group
from ofa_edge.cli.console import Finite, file_size, table


@group("cache")
def cache_group() -> None:
    """Results of build stages, kept for later builds."""


@cache_group.command("list")
def list_command() -> Answer:
    """What is in the cache, by stage."""
    from ofa_edge.cache import StageCache, default_root

    root = default_root()
    stages: dict[str, list[int]] = {}
    for entry in StageCache(root).entries():
        stages.setdefault(entry.stage, []).append(entry.size)
    found = {name: {"entries": len(sizes), "bytes": sum(sizes)} for name, sizes in sorted(stages.items())}
    total = sum(each["bytes"] for each in found.values())
    rows = [[name, str(each["entries"]), file_size(each["bytes"])] for name, each in found.items()]
    text = f"{table([['stage', 'entries', 'size'], *rows], right=(1, 2))}\n\n{root}: {file_size(total)}"
    return Answer({"folder": str(root), "bytes": total, "stages": found}, text)


@cache_group.command("prune")
@click.option("--keep-mb", type=Finite(min=0), default=0.0, show_default=True, help="Size to shrink to, in MB.")
def prune_command(keep_mb: float) -> Answer:
    """Remove the least recently used results."""
    from ofa_edge.cache import StageCache, default_root

    removed = StageCache(default_root()).prune(int(keep_mb * 1e6))
    size = sum(entry.size for entry in removed)
    return Answer({"entries": len(removed), "bytes": size}, f"removed {len(removed)} entries, {file_size(size)}")
