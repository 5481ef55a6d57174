"""Names that a shell can complete: targets, devices, supernets, recipes and runtimes."""

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem


class Name(click.ParamType[str]):
    """A name of a list that is only read where a shell asks for it, or a file or folder where one may stand.

    Args:
        name: of the kind of thing.
        listed: its names.
        path: "file" or "dir" where a path will do as well.
    """

    def __init__(self, name: str, listed: Callable[[], Iterable[str]], path: str = "") -> None:
        self.name, self.listed, self.path = name, listed, path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it is: what uses it knows best which name is wrong."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so."""
        from ofa_edge.errors import OfaEdgeError

        try:
            names = sorted(name for name in self.listed() if name.startswith(incomplete))
        except OfaEdgeError:  # a file of the user's that is damaged: the command will say so
            names = []
        found = [CompletionItem(name) for name in names]
        return found if found or not self.path else [CompletionItem(incomplete, type=self.path)]


def targets() -> list[str]:
    """Names of all targets."""
    from ofa_edge.targets import list_targets

    return [target.name for target in list_targets()]


def devices() -> list[str]:
    """Devices that are built in, and the user's own."""
    from ofa_edge.device.registry.devices_file import BUILTIN, load_devices

    return [*BUILTIN, *load_devices()]


def supernets() -> list[str]:
    """Supernets of the package, by name, and those that `zoo import` and `train` wrote here."""
    from pathlib import Path

    from ofa_edge.supernet.zoo import NETWORK, UNTRAINED, WEIGHTS, shipped

    files = [file for folder in ("imported", "runs") for file in Path(folder).glob("*/*.safetensors")]
    return [*shipped(), *UNTRAINED, *(str(file.parent) for file in files if file.name in (WEIGHTS, NETWORK))]


def recipes() -> list[str]:
    """Recipes of the package."""
    from ofa_edge.training.recipe_files import list_recipes

    return list_recipes()


def presets() -> list[str]:
    """Presets of the package."""
    from ofa_edge.training.recipe_files import list_presets

    return list_presets()


def runtimes() -> list[str]:
    """Runtimes, those of other packages too."""
    from ofa_edge.runtimes.registry import runtimes as known

    return list(known())


TARGET = Name("target", targets, "file")
DEVICE = Name("device", devices)
SUPERNET = Name("supernet", supernets, "dir")
RECIPE = Name("recipe", recipes, "file")
PRESET = Name("preset", presets, "file")
RUNTIME = Name("runtime", runtimes)
