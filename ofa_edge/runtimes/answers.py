"""Answers as a stage of the cache: an array in a file."""

import io
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import CacheEntry
from ofa_edge.files import write_bytes
from ofa_edge.runtimes.values import Stages

LOGITS = "logits.npy"


def answers_of(
    stages: Stages,
    name: str,
    inputs: Mapping[str, Any],
    packages: tuple[str, ...],
    run: Callable[[], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Logits [N, classes] that a stage gives, run once for the same inputs."""
    return load_logits(stages.run(name, inputs, packages, lambda folder: save_array(folder / LOGITS, run())))


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write one array atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def load_logits(entry: CacheEntry, name: str = LOGITS) -> NDArray[np.float32]:
    """The logits [N, classes] that a stage left."""
    return np.asarray(np.load(entry.path(name), allow_pickle=False), dtype=np.float32)


def installed(package: str) -> bool:
    """Whether a distribution is installed."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
