"""Supernet weights as files: safetensors of our own, and checkpoints of the reference read without trusting them."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofa_edge.errors import WeightsError
from ofa_edge.files import atomic_path
from ofa_edge.space import Space
from ofa_edge.supernet.header import FORMAT, HINT, pack, read_weights_file, unpack
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet


def save_supernet(path: Path, net: Supernet, facts: Mapping[str, str]) -> None:
    """Write a supernet with its space. `facts` are kept as the file's metadata."""
    from safetensors.torch import save_file

    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    metadata = {"format": FORMAT, "space": json.dumps(net.space.to_json()), "space_hash": net.space.hash, **facts}
    with atomic_path(path) as part:
        save_file(tensors, part, pack(metadata))


def load_supernet(path: Path) -> Supernet:
    """Load a supernet written by `save_supernet`. Raises WeightsError or SpaceMismatchError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    space = read_weights_file(path).space
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError("damaged weights", f"{path}: {error}", HINT) from error
    return _filled(Supernet(space), tensors, path)


def load_checkpoint(path: Path, space: Space) -> Supernet:
    """Load a checkpoint of the reference into a supernet of `space`.

    Only tensors are ever read from the file (`weights_only=True`); one that holds anything else is refused. The
    aliases of the published files are understood: `.mobile_inverted_conv.` for `.conv.`, and layers of static full
    networks, which lack the elastic layers' extra level (the kernel transforms then stay identities).

    Raises:
        WeightsError: no checkpoint, an unsafe one, or one of another network; missing and unexpected keys are listed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols: what they hold is refused or read
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError("no checkpoint", f"{path} does not exist", "check the path") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, OSError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError("unsafe or damaged checkpoint", f"{path}: {why}", HINT) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError("not a checkpoint", f"{path} holds no dictionary of tensors", HINT)
    net = Supernet(space)
    wanted = net.state_dict()
    tensors = {_native_key(str(key), wanted): value for key, value in state.items()}
    static = not any(key.endswith("_matrix") for key in tensors)
    if static:
        tensors |= {key: value for key, value in wanted.items() if key.endswith("_matrix")}
    return _filled(net, tensors, path)


def _native_key(key: str, wanted: Mapping[str, Any]) -> str:
    key = key.removeprefix("module.").replace(".mobile_inverted_conv.", ".conv.")
    if key in wanted:
        return key
    head, _, leaf = key.rpartition(".")
    parent, _, layer = head.rpartition(".")
    deeper = f"{parent}.{layer}.{layer}.{leaf}"
    return deeper if deeper in wanted else key


def _filled(net: Supernet, tensors: Mapping[str, Tensor], path: Path) -> Supernet:
    """Load tensors that must fit exactly: nothing missing, nothing left over, every shape the same."""
    wanted = net.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    unexpected = sorted(set(tensors) - set(wanted))
    shapes = sorted(key for key in set(wanted) & set(tensors) if wanted[key].shape != tensors[key].shape)
    if missing or unexpected or shapes:
        parts = [
            f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
            if keys
        ]
        raise WeightsError(f"weights do not fit supernet '{net.space.name}'", f"{path}: {'; '.join(parts)}", HINT)
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise WeightsError("weights are not finite", f"{path}: {', '.join(sorted(bad)[:3])}", "train again")
    net.load_state_dict(dict(tensors))
    return net.eval()


def save_static(path: Path, net: StaticNet) -> None:
    """Write an extracted network with its space and subnet; the cache hands it between stages."""
    from safetensors.torch import save_file

    metadata = {
        "format": "ofa-edge static 1",
        "space": json.dumps(net.space.to_json()),
        "subnet": json.dumps(net.subnet.config()),
        "calibrated": json.dumps(net.calibrated),
    }
    with atomic_path(path) as part:
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, part, pack(metadata))


def load_static(path: Path) -> StaticNet:
    """Inverse of `save_static`, in eval mode. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = unpack(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        space = Space.from_json(json.loads(metadata["space"]))
        net = StaticNet(space, space.from_config(json.loads(metadata["subnet"])))
        net.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError("damaged static network", f"{path}: {error}", "build again") from error
    net.calibrated = json.loads(metadata["calibrated"])
    return net.eval()
