"""What a supernet's weights file says about itself. Read without torch: search and reports need no more."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConfigError, SpaceMismatchError, WeightsError
from ofa_edge.space import Space

FORMAT = "ofa-edge supernet 1"
HINT = "use a file written by ofa-edge train, or a checkpoint of the reference (.pth) with its own --supernet name"


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file says about itself."""

    space: Space
    facts: Mapping[str, str]


def read_weights_file(path: Path) -> WeightsFile:
    """Read the header only.

    Raises:
        WeightsError: not a supernet of ours, or damaged.
        SpaceMismatchError: the space in the header does not have the hash beside it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except FileNotFoundError as error:
        raise WeightsError("no weights file", f"{path} does not exist", "check the path given to --supernet") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError("damaged or foreign weights", f"{path}: {error}", HINT) from error
    if metadata.get("format") != FORMAT:
        raise WeightsError("not a supernet", f"{path}: format {metadata.get('format')!r}", HINT)
    try:
        space = Space.from_json(json.loads(metadata["space"]))
    except (KeyError, json.JSONDecodeError, ConfigError, TypeError) as error:
        raise WeightsError("damaged weights header", f"{path}: {error}", HINT) from error
    if space.hash != metadata.get("space_hash"):
        raise SpaceMismatchError(
            "weights of another search space",
            f"{path}: its space hashes to {space.hash[:12]}, the header says {metadata.get('space_hash', '')[:12]}",
            "use the file as it was written",
        )
    return WeightsFile(space, metadata)
