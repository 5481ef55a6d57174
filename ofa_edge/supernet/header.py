"""What a supernet's weights file says about itself. Read without torch: search and reports need no more."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConfigError, SpaceMismatchError, WeightsError
from ofa_edge.files import canonical_json, parse_json, require_regular
from ofa_edge.space import Space, Subnet

FORMAT = "ofa-edge supernet 1"
NETWORK_FORMAT = "ofa-edge static 1"
OWN_HEAD = "own_head"  # of a supernet whose subnets have each a head of their own: its ridge
HINT = "use a file written by ofa-edge train, whole and unchanged"


_KEY = "ofa-edge"


def pack(facts: Mapping[str, str]) -> dict[str, str]:
    """Metadata for safetensors: one key, because several are written in no fixed order and digests would differ."""
    return {_KEY: canonical_json(dict(facts)).decode()}


def unpack(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Inverse of `pack`; empty for a file of somebody else's. Raises ValueError if damaged."""
    facts = parse_json((metadata or {}).get(_KEY, "{}"))
    if not isinstance(facts, dict):
        raise ValueError("the header holds no table")
    return facts


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file says about itself."""

    space: Space
    facts: Mapping[str, str]
    subnet: Subnet | None = None  # of a static network
    own_head: float | None = None  # see `Supernet`


def read_weights_file(path: Path, wanted: str = FORMAT) -> WeightsFile:
    """Read the header only, of a supernet (FORMAT) or of a static network (NETWORK_FORMAT).

    Raises:
        WeightsError: not a file of ours, or damaged.
        SpaceMismatchError: the space in the header does not have the hash beside it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            metadata = unpack(file.metadata())
    except FileNotFoundError as error:
        raise WeightsError("no weights file", f"{path} does not exist", "check the path given to --supernet") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError("damaged or foreign weights", f"{path}: {error}", HINT) from error
    if metadata.get("format") != wanted:
        what = "supernet" if wanted == FORMAT else "static network"
        raise WeightsError(f"not a {what}", f"{path}: format {metadata.get('format')!r}", HINT)
    try:
        space = Space.from_json(parse_json(metadata["space"]))
        subnet = space.from_config(parse_json(metadata["subnet"])) if wanted == NETWORK_FORMAT else None
        own_head = _ridge(parse_json(metadata.get(OWN_HEAD, "null")))
    except (KeyError, ValueError, ConfigError, TypeError) as error:
        raise WeightsError("damaged weights header", f"{path}: {error}", HINT) from error
    if space.hash != metadata.get("space_hash"):
        raise SpaceMismatchError(
            "weights of another search space",
            f"{path}: its space hashes to {space.hash[:12]}, the header says {metadata.get('space_hash', '')[:12]}",
            "use the file as it was written",
        )
    return WeightsFile(space, metadata, subnet, own_head)


def _ridge(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{OWN_HEAD}: {value}, a positive number is needed")
    return float(value)
