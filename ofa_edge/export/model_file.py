"""A model file of anybody, read whole."""

from pathlib import Path

from ofa_edge.errors import ModelFileError
from ofa_edge.files import LARGEST_MODEL, read_regular


def content_of(path: Path) -> bytes:
    """All of it. Raises ModelFileError where it cannot be read, is no plain file, or larger than models are."""
    try:
        return read_regular(path, LARGEST_MODEL)
    except OSError as error:
        raise ModelFileError(f"cannot read {path.name}", f"{path}: {error.strerror}", "check the path") from error
