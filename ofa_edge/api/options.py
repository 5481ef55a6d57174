"""From a caller's values to the options of a build."""

from pathlib import Path
from typing import Any

from ofa_edge.errors import UnknownNameError
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.targets import Target, load_target
from ofa_edge.workflows.build.base import BuildOptions


def build_options(
    target: str | Path | Target, supernet: str | Path | SupernetPackage, *, untrained: bool, **values: Any
) -> BuildOptions:
    """Options as the command line makes them; a target and a supernet by the names that lead to them."""
    if isinstance(supernet, SupernetPackage):
        untrained = untrained or not supernet.trained
        supernet = supernet.name
    return BuildOptions(target=_named(target), supernet=str(supernet), untrained=untrained, **values)


def _named(target: str | Path | Target) -> str:
    if not isinstance(target, Target):
        return str(target)
    try:
        known = load_target(target.name).path == target.path
    except UnknownNameError:
        known = False
    return target.name if known else str(target.path)
