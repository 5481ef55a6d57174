"""How much memory a data set will take, told before anything is read."""

import math

import psutil

from ofa_edge.errors import DataError

# The rest is left to the copies at other resolutions that training makes, and to everything else on the machine.
_SHARE = 0.9


def require_memory(count: int, size: int, channels: int, where: str) -> None:
    """Check that `count` images uint8 [size, size, channels] fit into the memory that is available now.

    Raises:
        DataError: they do not; the message has both figures, and the largest size that would fit.
    """
    needed, available = count * size * size * channels, _available()
    if needed <= available:
        return
    fits = math.isqrt(available // (count * channels))
    raise DataError(
        "the images do not fit into memory",
        f"{where}: {count} images of {size} x {size} x {channels} take {needed / 2**30:.1f} GiB, "
        f"{available / 2**30:.1f} GiB can be used",
        (f"take images of at most {fits} pixels, " if fits else "") + "use fewer images, or a machine with more memory",
    )


def require_bytes(needed: int, what: str, hint: str) -> None:
    """Check that this many bytes can be had now. Raises DataError with both figures."""
    available = _available()
    if needed > available:
        raise DataError(
            f"{what} does not fit into memory",
            f"reading it takes {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB can be used",
            f"{hint}, or use a machine with more memory",
        )


def _available() -> int:
    return int(psutil.virtual_memory().available * _SHARE)
