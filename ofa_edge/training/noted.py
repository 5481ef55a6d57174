"""What a run notes for itself, to go on by after it was killed, and to choose by: sealed, so that damage is seen.

A checkpoint has gone past what such a file says: it cannot be found out again, and a damaged one must not choose.
"""

from pathlib import Path
from typing import Any

from ofa_edge.errors import OutputError
from ofa_edge.files import LARGEST_MODEL, canonical_json, parse_json, read_regular, sha256_bytes, write_json

_VALUE, _SEAL = "noted", "sha256"


def write_noted(path: Path, value: Any) -> None:
    """Write a JSON value with its own digest."""
    write_json(path, {_VALUE: value, _SEAL: sha256_bytes(canonical_json(value))})


def read_noted(path: Path) -> Any:
    """The value; None where there is no such file.

    Raises:
        OutputError: the file is damaged; says which folder to remove.
    """
    try:
        said = parse_json(read_regular(path, LARGEST_MODEL))
        if sha256_bytes(canonical_json(said[_VALUE])) != said[_SEAL]:
            raise ValueError("its digest is of another content")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise damaged(path, error) from error
    return said[_VALUE]


def damaged(path: Path, why: Exception) -> OutputError:
    """The error for a file by which a run cannot go on."""
    hint = f"remove {path.parent}, then run the same command again: what was trained there is trained anew"
    return OutputError(f"{path.name} of a run is damaged", f"{path}: {type(why).__name__}: {why}", hint)
