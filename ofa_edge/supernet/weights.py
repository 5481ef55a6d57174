"""Weights as files of our own: safetensors of a supernet with its space, and of a static network with its subnet."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ofa_edge.errors import WeightsError
from ofa_edge.files import atomic_path, parse_json, require_regular
from ofa_edge.space import Space
from ofa_edge.supernet.header import FORMAT, HINT, NETWORK_FORMAT, OWN_HEAD, pack, read_weights_file, unpack
from ofa_edge.supernet.importing.matching import compare, fill, require, shapes_of
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.static import StaticNet


def save_supernet(path: Path, net: Supernet, facts: Mapping[str, str]) -> None:
    """Write a supernet with its space. `facts` are kept as the file's metadata."""
    from safetensors.torch import save_file

    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    metadata = {"format": FORMAT, "space": json.dumps(net.space.to_json()), "space_hash": net.space.hash, **facts}
    if net.own_head is not None:
        metadata[OWN_HEAD] = json.dumps(net.own_head)
    with atomic_path(path) as part:
        save_file(tensors, part, pack(metadata))


def load_supernet(path: Path) -> Supernet:
    """Load a supernet written by `save_supernet`. Raises WeightsError or SpaceMismatchError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_weights_file(path)
    space = header.space
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError("damaged weights", f"{path}: {error}", HINT) from error
    net = Supernet(space)
    found = compare(tensors, shapes_of(net))
    require(found, f"supernet '{space.name}'", str(path))
    fill(net, found, str(path))
    net.own_head = header.own_head
    return net.eval()


def save_static(path: Path, net: StaticNet, facts: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write a static network with its space and subnet. `facts` are kept as the file's metadata."""
    from safetensors.torch import save_file

    metadata = {
        "format": NETWORK_FORMAT,
        "space": json.dumps(net.space.to_json()),
        "space_hash": net.space.hash,
        "subnet": json.dumps(net.subnet.config()),
        "calibrated": json.dumps(net.calibrated),
        **facts,
    }
    with atomic_path(path) as part:
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, part, pack(metadata))


def load_static(path: Path) -> StaticNet:
    """Inverse of `save_static`, in eval mode. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = unpack(file.metadata())
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        space = Space.from_json(parse_json(metadata["space"]))
        net = StaticNet(space, space.from_config(parse_json(metadata["subnet"])))
        net.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError("damaged static network", f"{path}: {error}", "build again") from error
    net.calibrated = parse_json(metadata["calibrated"])
    return net.eval()
