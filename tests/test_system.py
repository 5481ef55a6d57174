"""What the system refuses, in words."""

import errno
import os

import pytest

from ofa_edge.errors import DeviceRunError
from ofa_edge.system import refused, system_error


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EDQUOT, "disk full for this user"),
        (errno.EFBIG, "ulimit"),
        (errno.EROFS, "cannot write"),
        (errno.ENAMETOOLONG, "name too long"),
        (errno.ENOENT, "not there"),
        (errno.EISDIR, "a folder stands"),
        (errno.ELOOP, "circle"),
    ],
)
def test_an_error_number_has_its_own_words(number, words):
    told = system_error(OSError(number, os.strerror(number), "/some/where/file"))
    assert words in told.what
    assert told.what.endswith(": file")
    assert told.why == f"/some/where/file: {os.strerror(number)}"
    assert told.hint


def test_one_without_a_number_or_a_file_is_told_as_well():
    told = system_error(OSError("odd"))
    assert (told.what, told.why) == ("the system refused", "odd")
    assert system_error(OSError(errno.EIO, "x"), "/a/b", hint="pray").hint == "pray"


def test_only_the_systems_refusals_are():
    assert refused(OSError(errno.ENOSPC, "x")) is not None
    assert "memory" in refused(MemoryError()).what
    assert refused(BrokenPipeError(errno.EPIPE, "x")) is None
    assert refused(ValueError("a fault of ours")) is None


@pytest.mark.parametrize("words", ["I/O error: No space left on device (os error 28)", "File too large (os error 27)"])
def test_a_full_disk_that_a_library_tells_in_words(words):
    told = refused(RuntimeError(words))
    assert told is not None
    assert told.what.startswith(("disk full", "a file larger"))
    assert refused(RuntimeError("something else")) is None
    assert refused(DeviceRunError("disk full on pi", words, "free some space there")) is None
