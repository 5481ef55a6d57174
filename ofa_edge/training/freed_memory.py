"""What a step frees is kept for the next one.

glibc gives blocks of 32 MB and more back to the system as soon as they are free, and the next step gets them page by
page, each page cleared: an eighth of a step at 224 px. That is `mallopt(3)`; other C libraries are left as they are.
"""

import contextlib
import ctypes
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
_MOST = 2**31 - 1  # bytes; an int
_OWN_TRIM, _OWN_MMAPS = 2**26, 65536  # what glibc itself comes to after blocks of 32 MB, and its default


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory within, for this process; give it back to the system at the end."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _MOST)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _OWN_MMAPS)
        libc.mallopt(_TRIM_THRESHOLD, _OWN_TRIM)
        libc.malloc_trim(0)
