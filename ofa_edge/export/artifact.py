"""What an export stage hands to the next: a file, what runs it, and its digest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ofa_edge.files import sha256_file

Precision = Literal["fp32", "fp16", "dynamic", "int8"]
Runtime = Literal["tflite", "tvm"]


@dataclass(frozen=True)
class Artifact:
    """A model file on disk, as it was when this value was made.

    Attributes:
        path: the model file.
        runtime: what loads it.
        precision: of its weights (fp16; dynamic: int8) or of its weights and activations (fp32, int8).
        sha256: hex digest of the model file.
        size: of the model file, in bytes.
        extra: files that must travel with it (a runner, a runtime library), with their digests.
    """

    path: Path
    runtime: Runtime
    precision: Precision
    sha256: str
    size: int
    extra: tuple[tuple[Path, str], ...] = field(default=())

    @classmethod
    def of(cls, path: Path, runtime: Runtime, precision: Precision, extra: Iterable[Path] = ()) -> "Artifact":
        """Describe the files as they are now."""
        companions = tuple((companion, sha256_file(companion)) for companion in sorted(extra))
        return cls(path, runtime, precision, sha256_file(path), path.stat().st_size, companions)

    def is_intact(self) -> bool:
        """Whether every file is still there and still has its digest."""
        files = ((self.path, self.sha256), *self.extra)
        return all(path.is_file() and sha256_file(path) == digest for path, digest in files)

    def to_json(self) -> dict[str, Any]:
        """The manifest's entry: file names without folders, so that the artifact can be moved."""
        return {
            "file": self.path.name,
            "runtime": self.runtime,
            "precision": self.precision,
            "sha256": self.sha256,
            "bytes": self.size,
            "extra": {path.name: digest for path, digest in self.extra},
        }
