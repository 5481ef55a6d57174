"""The priors of a detector of SSD's kind, from a file."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.priors import VARIANCES, Priors
from ofa_edge.data.raw_boxes import packed_priors
from ofa_edge.errors import DataError
from ofa_edge.workflows.build.model_arrays import load_arrays

_HINT = (
    "np.savez('priors.npz', priors=...), [N, 4]: centre x, centre y, width and height, 0..1; "
    "`variances` [2] where they are others than 0.1 and 0.2"
)


def read_priors(path: Path) -> Priors:
    """Read a .npz file of `priors` [N, 4] and, if they are others than 0.1 and 0.2, `variances` [2], or [4] in pairs.

    Raises:
        DataError: it cannot be read, or holds no priors in shares of the input's sides.
    """
    arrays = load_arrays(path, _HINT)
    priors = arrays.get("priors")
    if priors is None:
        raise DataError("no priors", f"{path}: its arrays are {', '.join(arrays) or 'none'}", _HINT)
    if priors.ndim != 2 or priors.shape[1] != 4 or not len(priors) or priors.dtype.kind not in "fiu":
        raise DataError("no priors", f"{path}: `priors` is {priors.dtype} {list(priors.shape)}", _HINT)
    if not np.isfinite(priors).all() or (priors[:, 2:] <= 0).any():
        raise DataError("priors without extent", f"{path}: sides of 0, below 0, or no numbers", _HINT)
    if np.abs(priors).max() > 4:  # some reach over the border; pixels are far more
        raise DataError("priors that are no shares", f"{path}: {np.abs(priors).max():g} is the largest number", _HINT)
    return Priors(packed_priors(priors), _variances(path, arrays.get("variances", np.array(VARIANCES))))


def _variances(path: Path, values: NDArray[Any]) -> tuple[float, float]:
    """Of centres and of sizes."""
    given = values.reshape(-1).astype(float).tolist() if values.dtype.kind in "fiu" else []
    if len(given) == 4 and given[0] == given[1] and given[2] == given[3]:
        given = given[::2]
    if len(given) != 2 or not all(0 < value < 100 for value in given):
        raise DataError("variances that are none", f"{path}: {given}", "two above 0: of centres and of sizes")
    return given[0], given[1]
