"""Options of a network that is given as a file."""

import typing
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.options import Numbers
from ofa_edge.vocabulary import FITS, FORMS, Suppression, Task

if TYPE_CHECKING:
    from ofa_edge.workflows.build.base import ModelOptions

_PATH = click.Path(path_type=Path)


_OPTIONS = (
    click.option("--model", type=_PATH, metavar="FILE.onnx", help="A network of your own, in place of a supernet."),
    click.option(
        "--labels", type=_PATH, metavar="FILE", help="Of --model: a class a line, in the order of its output."
    ),
    click.option("--task", type=click.Choice(typing.get_args(Task)), help="What the output of --model says."),
    click.option(
        "--shape",
        metavar="1x3x224x224",
        multiple=True,
        callback=lambda _, __, given: ",".join(given) or None,
        help="Of --model's input, where the file leaves sizes free. Of several, for each: NAME=1x3x224x224.",
    ),
    click.option("--output", metavar="NAME", help="The one output of --model that counts. Default: all."),
    click.option("--mean", type=Numbers(), metavar="M,M,M", help="Of --model's pixels 0..255: (pixel - mean) / std."),
    click.option("--fit", type=click.Choice(FITS), help="How a picture of another shape becomes --model's input."),
    click.option("--decode", type=click.Choice(FORMS), help="What the outputs of --task detect are."),
    click.option(
        "--anchors",
        type=Numbers(),
        metavar="W,H,W,H,...",
        help="Of --decode yolov5-raw: in pixels, finest scale first.",
    ),
    click.option(
        "--priors", type=_PATH, metavar="FILE.npz", help="Of --decode ssd: `priors` [N, 4], centre and size, 0..1."
    ),
    click.option(
        "--suppress",
        type=click.Choice(typing.get_args(Suppression)),
        help="Where boxes of --task detect are decoded and suppressed. Default: outside the artifact.",
    ),
    click.option("--std", type=Numbers(), metavar="S,S,S", help="Likewise. Default for 3 channels: ImageNet's."),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_model(options: MutableMapping[str, Any]) -> "ModelOptions | None":
    """Take the values out of a command's options; None without `--model`. Raises ConfigError for others without it."""
    from ofa_edge.workflows.build.base import given_model

    names = ("labels", "task", "shape", "output", "mean", "std", "fit", "decode", "anchors", "priors", "suppress")
    return given_model(options.pop("model"), **{name: options.pop(name) for name in names})
