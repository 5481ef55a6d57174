"""A network as callers have it, as an ONNX file: a file already, a torch module, or an exported program."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ofa_edge.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    import torch

Model = Union[str, Path, "torch.nn.Module", "torch.export.ExportedProgram"]
Example = Union["torch.Tensor", Sequence[int], Sequence["torch.Tensor"]]


def as_onnx(model: Model, example: Example | None, folder: Path) -> Path:
    """The network's ONNX file.

    Args:
        model: an ONNX file, which is given back; or what is exported to a file in `folder`.
        example: an input of a torch module, or its shape, batch 1; of several inputs a tensor each. A program brings
            its own.
        folder: where to export to.

    Raises:
        ConfigError: a module without an example.
        UnsupportedError: a program of what is no tensor, or something else altogether.
        ConversionError: torch cannot export it.
    """
    if isinstance(model, str | Path):
        return Path(model)
    import torch

    from ofa_edge.export.onnx.export import export_module

    net: torch.nn.Module
    if isinstance(model, torch.export.ExportedProgram):
        given: list[Any] = [] if model.example_inputs is None else [*model.example_inputs[0], *model.example_inputs[1]]
        if not given or not all(isinstance(each, torch.Tensor) for each in given):
            kinds = ", ".join(type(each).__name__ for each in given) or "it has no example"
            raise UnsupportedError("a program whose inputs are no tensors", kinds, "export one that takes tensors")
        net, tensors = model.module(check_guards=False), tuple(given)
        names = tuple(map(str, model.graph_signature.user_inputs))
        vars(net)["train"] = lambda mode=True: net  # its own refuses, and it has no modes
    elif isinstance(model, torch.nn.Module):
        if example is None:
            hint = "example=(1, 3, 224, 224), or a tensor of that shape; of several inputs a tuple of tensors"
            raise ConfigError("a module without an example", f"{type(model).__name__}: its input is not known", hint)
        net, tensors = model, _tensors(example)
        names = tuple(inspect.signature(net.forward).parameters)[: len(tensors)]
    else:
        raise UnsupportedError(
            f"cannot build from {type(model).__name__}",
            "a network is an ONNX file, a torch module or an exported program",
            "export it to ONNX",
        )
    path = folder / f"{_name(model)}.onnx"
    export_module(net, tensors, path, names)
    return path


def _tensors(example: Example) -> "tuple[torch.Tensor, ...]":
    """An example as a module takes it. Raises ConfigError for tensors among what are none."""
    import torch

    if isinstance(example, torch.Tensor):
        return (example,)
    given: list[Any] = list(example)
    if all(isinstance(each, int) for each in given):
        return (torch.zeros(tuple(given)),)
    if not all(isinstance(each, torch.Tensor) for each in given):
        kinds = ", ".join(type(each).__name__ for each in given)
        raise ConfigError("an example that is neither a shape nor tensors", kinds, "example=(tensor, tensor)")
    return tuple(given)


def _name(model: Model) -> str:
    """Of the class, without what no file may be called."""
    return "".join(letter for letter in type(model).__name__ if letter.isalnum()) or "network"
