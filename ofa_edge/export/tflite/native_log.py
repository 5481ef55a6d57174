"""Keep one known line of a native library off the user's terminal, and lose nothing else."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def without_lines(*unwanted: bytes) -> Iterator[None]:
    """Run a block; drop the given lines from what is written to file descriptor 2 meanwhile, pass on all the rest.

    LiteRT's C++ side announces its CPU delegate there and has no setting against it. Keep the block short: what others
    write meanwhile appears only at its end.
    """
    _flush()
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                _flush()
                os.dup2(saved, 2)
                held.seek(0)
                rest = b"".join(line for line in held if line.rstrip(b"\n") not in unwanted)
                with contextlib.suppress(OSError):  # nobody reads it any more: no reason to lose the work
                    os.write(2, rest)
    finally:
        os.close(saved)


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            sys.stderr.flush()
