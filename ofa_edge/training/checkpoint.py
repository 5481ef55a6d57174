"""Training checkpoints: weights, momentum and step in one safetensors file, replaced atomically."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ofa_edge.errors import WeightsError
from ofa_edge.files import atomic_path, require_regular


@dataclass(frozen=True)
class Position:
    """How far a run is: steps done over all phases, the recipe it follows, its cost so far, and its processes."""

    step: int
    recipe_digest: str
    macs: float = 0.0
    processes: int = 1


def save_checkpoint(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Write weights, buffers and momentum."""
    from safetensors.torch import save_file

    tensors = {f"net.{key}": value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    for parameter, state in optimizer.state.items():
        buffer = state.get("momentum_buffer")
        if buffer is not None:
            tensors[f"momentum.{names[id(parameter)]}"] = buffer.detach().cpu().contiguous()
    metadata = {"step": str(position.step), "recipe": position.recipe_digest, "format": "ofa-edge checkpoint 1"}
    metadata |= {"macs": repr(position.macs), "processes": str(position.processes)}
    with atomic_path(path) as part:
        save_file(tensors, part, metadata)


def load_checkpoint(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, recipe_digest: str, processes: int = 1
) -> Position:
    """Restore a run. Raises WeightsError if the file is damaged, or of another recipe or number of processes."""
    from safetensors import SafetensorError, safe_open

    hint = "remove the file to start again, or train with the recipe that made it"
    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError("damaged checkpoint", f"{path}: {error}", hint) from error
    if metadata.get("recipe") != recipe_digest:
        raise WeightsError("checkpoint of another recipe or of other data", f"{path}: {metadata.get('recipe')}", hint)
    if (before := int(metadata.get("processes", 1))) != processes:
        again = f"torchrun --nproc-per-node {before} -m ofa_edge train ..." if before > 1 else "without torchrun"
        raise WeightsError(
            f"checkpoint of a run over {before} process{'es' if before > 1 else ''}",
            f"{path}: there {'are' if processes > 1 else 'is'} {processes} now, and the batch would be another",
            f"the same command {again}, or remove the file to start again",
        )
    try:
        net.load_state_dict({key.removeprefix("net."): tensors[key] for key in tensors if key.startswith("net.")})
    except RuntimeError as error:
        raise WeightsError("checkpoint of another network", f"{path}: {str(error).splitlines()[0]}", hint) from error
    optimizer.state.clear()
    for name, parameter in net.named_parameters():
        momentum = tensors.get(f"momentum.{name}")
        if momentum is not None:
            optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
    return Position(int(metadata["step"]), recipe_digest, float(metadata.get("macs", 0.0)), processes)
