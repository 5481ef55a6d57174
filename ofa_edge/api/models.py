"""A network as callers have it, as an ONNX file: a file already, a torch module, or an exported program."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ofa_edge.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    import torch

Model = Union[str, Path, "torch.nn.Module", "torch.export.ExportedProgram"]
Example = Union["torch.Tensor", Sequence[int]]


def as_onnx(model: Model, example: Example | None, folder: Path) -> Path:
    """The network's ONNX file.

    Args:
        model: an ONNX file, which is given back; or what is exported to a file in `folder`.
        example: an input of a torch module, or its shape, batch 1; a program brings its own.
        folder: where to export to.

    Raises:
        ConfigError: a module without an example.
        UnsupportedError: a program of several inputs, or something else altogether.
        ConversionError: torch cannot export it.
    """
    if isinstance(model, str | Path):
        return Path(model)
    import torch

    from ofa_edge.export.onnx.export import export_module

    net: torch.nn.Module
    if isinstance(model, torch.export.ExportedProgram):
        given: list[Any] = [] if model.example_inputs is None else [*model.example_inputs[0], *model.example_inputs[1]]
        if len(given) != 1 or not isinstance(given[0], torch.Tensor):
            raise UnsupportedError("a program of several inputs", f"{len(given)} of them", "export one that takes one")
        net, tensor = model.module(check_guards=False), given[0]
        vars(net)["train"] = lambda mode=True: net  # its own refuses, and it has no modes
    elif isinstance(model, torch.nn.Module):
        if example is None:
            hint = "example=(1, 3, 224, 224), or a tensor of that shape"
            raise ConfigError("a module without an example", f"{type(model).__name__}: its input is not known", hint)
        net, tensor = model, example if isinstance(example, torch.Tensor) else torch.zeros(tuple(example))
    else:
        raise UnsupportedError(
            f"cannot build from {type(model).__name__}",
            "a network is an ONNX file, a torch module or an exported program",
            "export it to ONNX",
        )
    path = folder / f"{_name(model)}.onnx"
    export_module(net, tensor, path)
    return path


def _name(model: Model) -> str:
    """Of the class, without what no file may be called."""
    return "".join(letter for letter in type(model).__name__ if letter.isalnum()) or "network"
