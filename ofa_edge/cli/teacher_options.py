"""Options of a teacher that is given as a file."""

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.options import Numbers

if TYPE_CHECKING:
    from ofa_edge.workflows.build.base import ModelOptions

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option(
        "--teacher", type=_PATH, metavar="FILE.onnx", help="Learn from this classifier of the same classes as well."
    ),
    click.option(
        "--teacher-labels", type=_PATH, metavar="FILE", help="A class a line, in the order of the teacher's outputs."
    ),
    click.option("--teacher-shape", metavar="1x3x224x224", help="Of its input, where the file leaves sizes free."),
    click.option("--teacher-mean", type=Numbers(), metavar="M,M,M", help="Of its pixels 0..255."),
    click.option("--teacher-std", type=Numbers(), metavar="S,S,S", help="Likewise. Default: as the file says."),
)


def teacher_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_teacher(options: MutableMapping[str, Any]) -> "ModelOptions | None":
    """Take the values out of a command's options; None without `--teacher`. Raises ConfigError for half of them."""
    from ofa_edge.workflows.teacher import given_teacher

    names = ("labels", "shape", "mean", "std")
    return given_teacher(options.pop("teacher"), **{name: options.pop(f"teacher_{name}") for name in names})
