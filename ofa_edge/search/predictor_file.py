"""Files of accuracy predictors: safetensors, with what kind it is and for which space in one key of the header."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import SpaceMismatchError, WeightsError
from ofa_edge.files import parse_json, require_regular
from ofa_edge.space import Space

HINT = "use the predictor that was written beside this supernet"


def read_predictor_file(path: Path, wanted: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts under the header's key `wanted`, and the tensors.

    Raises:
        WeightsError: missing, damaged, or another kind of file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        facts = parse_json(metadata[wanted])
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError("damaged or missing accuracy predictor", f"{path}: {error}", HINT) from error
    except KeyError as error:
        raise WeightsError("not an accuracy predictor", f"{path}: its header does not say so", HINT) from error
    return facts, tensors


def kinds_of(path: Path) -> set[str]:
    """The keys of the header; none of a file that cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        require_regular(path)
        with safe_open(path, framework="numpy") as file:
            return set(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return set()


def require_space(path: Path, facts: dict[str, Any], space: Space) -> None:
    """Raise SpaceMismatchError where the file is for another space, KeyError where it does not say."""
    space_hash = str(facts["space_hash"])
    if space_hash != space.hash:
        raise SpaceMismatchError(
            "accuracy predictor of another search space",
            f"{path}: fitted to '{facts['space']}' ({space_hash[:12]}), wanted '{space.name}' ({space.hash[:12]})",
            HINT,
        )


def all_finite(*arrays: NDArray[Any]) -> bool:
    """Whether no value is infinite or no number."""
    return all(bool(np.isfinite(array).all()) for array in arrays)
