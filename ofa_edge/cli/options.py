"""Options that several commands have, each written once: one name, one meaning, one help text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ofa_edge.cli.completion import DEVICE, RUNTIME, SUPERNET, TARGET
from ofa_edge.vocabulary import PRECISIONS

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

runtime_option = click.option(
    "--runtime", type=RUNTIME, metavar="NAME", help="Default: the target's; see: ofa-edge targets list."
)
precision_option = click.option("--precision", type=click.Choice(PRECISIONS), help="Default: the target's.")
data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="The image folder that the build was made with, if any."
)
on_option = click.option("--on", default="cpu", show_default=True, metavar="cpu|cuda", help="What torch computes on.")
outside_key_option = click.option(
    "--outside-key", is_flag=True, help="Where no latency model holds, take the nearest and widen the interval."
)


def target_option(
    *, required: bool = True, text: str = "Target name or TOML file; see: ofa-edge targets list."
) -> Decorator:
    """What networks are built for, or predicted on."""
    return click.option("--target", type=TARGET, required=required, metavar="NAME", help=text)


def supernet_option(*, required: bool = False, text: str = "A supernet; see: ofa-edge zoo list.") -> Decorator:
    """Whose subnets; by default those of the supernet in the package."""
    own: dict[str, Any] = {} if required else {"default": "fashion-mnist", "show_default": True}
    return click.option("--supernet", type=SUPERNET, required=required, metavar="NAME|DIR", help=text, **own)


def device_option(text: str = "local, or one of: ofa-edge devices list.") -> Decorator:
    """Where something is run or measured; always to be named."""
    return click.option("--device", type=DEVICE, required=True, metavar="NAME", help=text)


def renamed(old: str, new: str) -> Decorator:
    """An option that had another name once; who gives the old one is told the new one."""

    def tell(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(f"{old} is called {new} here: give {new} {value}", context)

    return click.option(old, hidden=True, expose_value=False, callback=tell)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parse; a tuple is passed through."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(item) for item in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: wanted numbers with commas between them", param, ctx)
