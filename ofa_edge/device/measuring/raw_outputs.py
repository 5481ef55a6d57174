"""Outputs as they lie in a file that a device gave: little-endian float32, one behind the other."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import DeviceRunError
from ofa_edge.files import require_regular

PROBE = "ofa-edge devices probe, with the device's name, shows what is there"


def raw_outputs(path: Path) -> NDArray[np.float32]:
    """All values [N]. Raises DeviceRunError where there is no plain file."""
    try:
        require_regular(path)
        return np.fromfile(path, "<f4").astype(np.float32, copy=False)
    except OSError as error:
        raise DeviceRunError("the device's outputs are no file", f"{error.strerror}", PROBE) from error
