"""What a compiler of TVM says about the library that it wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_edge.files import sha256_file
from ofa_edge.vocabulary import Precision


@dataclass(frozen=True)
class LibraryFile:
    """A library as it was when this value was made: its path, the precision of its arithmetic, digest and bytes."""

    path: Path
    precision: Precision
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, precision: Precision) -> "LibraryFile":
        """Describe the file as it is now."""
        return cls(path, precision, sha256_file(path), path.stat().st_size)

    def to_json(self) -> dict[str, Any]:
        """As `model.json` has it: no folder, so that the library can be moved."""
        return {
            "file": self.path.name,
            "precision": self.precision,
            "sha256": self.sha256,
            "bytes": self.size,
            "extra": {},
        }
