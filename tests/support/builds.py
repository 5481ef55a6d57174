"""Builds for tests: from the tiny package, for a Raspberry Pi 4, on no device.

As a program it builds once: `python builds.py PACKAGE CACHE OUT`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from shortened import shorten_search
from tiny_package import shared_folder

from ofa_edge.cache import StageCache
from ofa_edge.records.manifest import Manifest
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.build import build
from ofa_edge.workflows.build.plan import make_plan


class Stages:
    """Listens to a build; interrupts it, as Ctrl-C does, when a stage of some name starts."""

    def __init__(self, interrupt_at: str | None = None) -> None:
        self.interrupt_at = interrupt_at
        self.hits: dict[str, bool] = {}

    def __call__(self, name: str, cached: bool, seconds: float | None) -> None:
        if seconds is not None:
            self.hits[name] = cached
        elif name == self.interrupt_at:
            raise KeyboardInterrupt

    @property
    def made(self) -> set[str]:
        """Stages that did not come from the cache."""
        return {name for name, hit in self.hits.items() if not hit}


@dataclass(frozen=True)
class Workshop:
    """Where builds take their supernet from, and where they keep what they made."""

    package: Path
    cache: Path

    def options(self, out: Path, **changes: Any) -> BuildOptions:
        """Options of a build."""
        common = {"target": "raspberry-pi-4", "supernet": str(self.package), "device": "none", "out": out}
        return BuildOptions(**{**common, **changes})

    def build(self, out: Path, stages: Stages | None = None, **changes: Any) -> tuple[Manifest, Stages]:
        """Plan and build; the manifest and what the stages said."""
        stages = stages or Stages()
        plan = make_plan(self.options(out, **changes))
        return build(plan, StageCache(self.cache), ["ofa-edge", "build"], stages), stages


def shared_build(package: Path, factory: pytest.TempPathFactory) -> Path:
    """The first build, from an empty cache, once for all of a run's processes: `out`, and the `cache` that it filled.

    Copy what you change.
    """
    folder = shared_folder(factory) / "first"
    with FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        shorten_search(patch)
        if not (folder / "out" / "manifest.json").is_file():
            Workshop(package, folder / "cache").build(folder / "out")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def cached_file(cache: Path, stage: str, name: str) -> Path:
    """A file of the one entry that a cache holds of a stage."""
    (found,) = cache.glob(f"{stage}/*/{name}")
    return found


if __name__ == "__main__":
    shorten_search(pytest.MonkeyPatch())
    package, cache, out = map(Path, sys.argv[1:])
    Workshop(package, cache).build(out)
