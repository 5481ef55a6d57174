"""What the command line prints to: streams that may go away without ending the work, and steer no terminal.

Whoever reads our output may stop reading (`| head`), the terminal may be closed, and a stream may be closed from the
start (`2>&-`). What was asked for is done all the same, and the exit code is the command's.
"""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from ofa_edge.shown import printable

_GONE = (errno.EPIPE, errno.EBADF, errno.EIO, errno.ECONNRESET)
_STYLE = re.compile(r"(\x1b\[(?:0|1|3[1-6]|90)m)")  # the colours that we print; names that others chose bring no more


class Guarded:
    """A text stream. Once nobody reads it any more, what is written to it is dropped."""

    def __init__(self, inner: TextIO, lost: bool = False, unfiltered: bool = False) -> None:
        """Args: the stream itself, whether it is gone already, whether control characters pass."""
        self.inner, self.lost = inner, lost
        self._filter = not unfiltered and inner.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, text: str) -> int:
        """Write; text only."""
        if not isinstance(text, str):
            raise TypeError(f"text, not {type(text).__name__}")
        if not self.lost:
            with self._watched():
                self.inner.write(without_control(text) if self._filter else text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        if not self.lost:
            with self._watched():
                self.inner.flush()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _GONE:  # a full disk, say: that is told
                raise
            self._lose()
        except UnicodeError:
            raise
        except ValueError:  # closed
            self._lose()

    def _lose(self) -> None:
        self.lost = True
        # What is left in its buffer would be tried again, and fail again, when Python ends.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.inner.fileno())
            os.close(null)


def without_control(text: str) -> str:
    r"""Text as a terminal may have it: our colours, line ends and tabs; every other control character as an escape.

    >>> without_control("\x1b[32mpass\x1b[0m\x1b[2J")
    '\x1b[32mpass\x1b[0m\\x1b[2J'
    """
    return "".join(part if _STYLE.fullmatch(part) else printable(part, keep="\n\t") for part in _STYLE.split(text))


def for_bars() -> TextIO:
    """Standard error for progress bars, which move the cursor themselves."""
    stream: Any = sys.stderr
    return cast(TextIO, Guarded(stream.inner, stream.lost, unfiltered=True) if isinstance(stream, Guarded) else stream)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Guard standard output and error inside."""
    _open_all()
    before = (sys.stdout, sys.stderr)
    streams = [_guarded(stream) for stream in before]
    sys.stdout, sys.stderr = (cast(TextIO, stream) for stream in streams)
    try:
        yield
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: TextIO | None) -> Guarded:
    if stream is None:  # Python's own word for one that was closed from the start
        return Guarded(Path(os.devnull).open("w", encoding="utf-8"), lost=True)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # half characters of a file's name must not end the work
    return Guarded(stream)


def _open_all() -> None:
    """Open what was closed from the start: else the next file that is opened would be standard error to libraries."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
