"""Open a checkpoint and take tensors out of it, and nothing else: no code in the file is ever run."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ofa_edge.errors import WeightsError
from ofa_edge.files import open_regular

Container = Literal["safetensors", "torch zip", "torch legacy"]
HINT = "use the published file whole and unchanged, or save a plain state_dict with torch.save"
STATE = "state_dict"


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, under the file's own keys.

    Attributes:
        name: the file's name, for messages.
        container: how the file is written.
        tensors: what it holds; all strided and on the CPU.
        notes: what was left out, in words.
    """

    name: str
    container: Container
    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file or a torch checkpoint, zip or legacy: `{"state_dict": tensors}` or the tensors alone.

    Torch files are read with `weights_only=True`: a pickle of anything but tensors, numbers, strings and containers of
    them is refused before any of it runs. What stands beside the `state_dict` (epoch, optimiser state) is left out.

    Raises:
        WeightsError: missing, damaged, unsafe, or with something else than tensors; names the entries.
    """
    if not path.is_file():
        raise WeightsError("no checkpoint", f"{path} does not exist", "check the path")
    if _is_safetensors(path):
        tensors: Mapping[str, Any] = _read_safetensors(path)
        return Checkpoint(path.name, "safetensors", _checked(tensors, path))
    loaded = _read_torch(path)
    if not isinstance(loaded, dict):
        raise WeightsError("not a checkpoint", f"{path} holds a {type(loaded).__name__}, wanted tensors by name", HINT)
    beside = sorted(str(key) for key in loaded if key != STATE) if STATE in loaded else []
    notes = (f"left out beside the weights: {_some(beside)}",) if beside else ()
    with open_regular(path) as file:
        container: Container = "torch zip" if file.read(2) == b"PK" else "torch legacy"
    return Checkpoint(path.name, container, _checked(loaded.get(STATE, loaded), path), notes)


def _is_safetensors(path: Path) -> bool:
    """Eight bytes of length, then a JSON header (huggingface/safetensors, format)."""
    with open_regular(path) as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError("damaged checkpoint", f"{path}: {error}", HINT) from error


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols: what they hold is refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes of anybody's making can raise nearly anything
        raise WeightsError("unsafe or damaged checkpoint", f"{path}: {_reason(error)}", HINT) from error


def _reason(error: Exception) -> str:
    """Why torch refused; never its own advice, which is to trust the file."""
    refused = re.search(r"GLOBAL (\S+)", str(error))
    if refused:
        return f"it holds code or objects beside tensors ({refused[1]}); nothing of it was run"
    if "weights_only" in str(error):
        return "a pickle of something else than tensors; nothing of it was run"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _checked(state: Any, path: Path) -> dict[str, Tensor]:
    """The entries of a state_dict, all of them plain tensors."""
    if not isinstance(state, dict) or not state:
        raise WeightsError("not a checkpoint", f"{path} holds no dictionary of tensors", HINT)
    strange = [f"{key} ({type(value).__name__})" for key, value in state.items() if not _is_plain(key, value)]
    if strange:
        raise WeightsError("not a checkpoint", f"{path} holds more than tensors: {_some(strange)}", HINT)
    return {key: value.detach() for key, value in state.items()}


def _is_plain(key: Any, value: Any) -> bool:
    return (
        isinstance(key, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_complex()
    )


def _some(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
