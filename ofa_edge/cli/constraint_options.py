"""The options that limit what a search may choose, shared by `search` and `build`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.console import Finite

if TYPE_CHECKING:
    from ofa_edge.workflows.build.constraints import Constraints

_OPTIONS = (
    click.option("--max-macs", metavar="N", help="At most this many multiply-accumulates: 8M."),
    click.option("--max-size", metavar="BYTES", help="Largest artifact, as a size model predicts it: 900kB, 1.5MiB."),
    click.option("--max-memory", metavar="BYTES", help="Largest memory for activations: 200kB."),
    click.option(
        "--min-accuracy",
        type=Finite(0, 1, min_open=True),
        help="Lowest predicted top-1 to accept, 0..1; latency is then minimised, within --latency-ms if given.",
    ),
    click.option("--kernels", metavar="K,K", help="Kernel sizes to choose from: 3 or 3,5."),
    click.option(
        "--predictor",
        type=click.Choice(["auto", "use", "macs"]),
        default="auto",
        show_default=True,
        help="What ranks subnets. auto: the accuracy predictor if it ranks them better than MACs do.",
    ),
    click.option("--also", multiple=True, metavar="TARGET=MS", help="Also meet another target's budget. Repeatable."),
)


def constraint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_constraints(options: dict[str, Any]) -> "Constraints":
    """Take them out of a command's options. Raises ConfigError."""
    from ofa_edge.workflows.build.constraints import Constraints, parse_kernels, parse_quantity, parse_target_budget

    given = {name: options.pop(name) for name in ("max_macs", "max_size", "max_memory")}
    quantities = {
        name: None if text is None else parse_quantity(text, "--" + name.replace("_", "-"))
        for name, text in given.items()
    }
    kernels = options.pop("kernels")
    return Constraints(
        **quantities,
        min_accuracy=options.pop("min_accuracy"),
        kernels=None if kernels is None else parse_kernels(kernels),
        also=tuple(parse_target_budget(text) for text in options.pop("also")),
    )
