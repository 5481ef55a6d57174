"""What the operating system refused, told by its error number in one place."""

import errno
import os
from pathlib import Path

from ofa_edge.errors import OfaEdgeError, OutputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = {  # as the system says them in every program
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EFBIG: "File too large",
}
DENIED = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)

_WORDS = {  # what happened, what to try
    errno.ENOSPC: ("disk full", "free some space, then run the same command again"),
    errno.EDQUOT: ("disk full for this user", "free some of your space, then run the same command again"),
    errno.EFBIG: (
        "a file larger than this system or `ulimit -f` lets it be",
        "raise the limit, or choose another disk",
    ),
    errno.EROFS: ("cannot write", "choose a folder that is not read-only"),
    errno.EACCES: ("no permission", "choose another folder, or check who may use this one"),
    errno.EPERM: ("no permission", "choose another folder, or check who may use this one"),
    errno.ENAMETOOLONG: ("a name too long for this disk", "choose a shorter path"),
    errno.ELOOP: ("links that lead in a circle", "correct the links"),
    errno.ENOTDIR: ("a file stands where a folder is meant", "move it away, or choose another path"),
    errno.EISDIR: ("a folder stands where a file is meant", "move it away, or choose another path"),
    errno.EEXIST: ("something else stands there", "move it away, or choose another path"),
    errno.ENOENT: ("not there", "check the path; was the folder removed meanwhile?"),
    errno.EMFILE: ("too many open files", "raise `ulimit -n`"),
    errno.ENFILE: ("too many open files on this machine", "end other programs"),
    errno.ENOMEM: ("not enough memory", "end other programs, or use a machine with more"),
    errno.EAGAIN: ("too many processes", "raise `ulimit -u`, or end other programs"),
    errno.EIO: ("the disk fails", "check the disk, or choose another one"),
}


def system_error(error: OSError, where: object = None, *, hint: str = "") -> OutputError:
    """An error that was raised by the system, in three parts.

    Args:
        error: as it was raised.
        where: the file or folder; by default what the error names.
        hint: what to try, where the caller knows better.
    """
    what, own_hint = _WORDS.get(error.errno or 0, ("the system refused", "look at the path and who may use it"))
    place = error.filename if where is None else where
    name = f": {Path(str(place)).name}" if place is not None else ""
    why = error.strerror or str(error) or type(error).__name__
    return OutputError(f"{what}{name}", why if place is None else f"{place}: {why}", hint or own_hint)


def disk_error(said: str) -> OSError | None:
    """The error of a full disk that a program's or a library's words tell of, where they are all that is left of it."""
    number = next((number for number, words in _FULL_WORDS.items() if words in said), None)
    return None if number is None else OSError(number, os.strerror(number))


def refused(error: BaseException) -> OutputError | None:
    """The same for any error; None where it was not the system that refused."""
    if isinstance(error, MemoryError):
        return system_error(OSError(errno.ENOMEM, str(error) or "an allocation was refused"))
    if isinstance(error, OSError):
        return system_error(error) if error.errno in _WORDS else None
    full = None if isinstance(error, OfaEdgeError) else disk_error(str(error))  # of a library not written in Python
    return None if full is None else system_error(full)
