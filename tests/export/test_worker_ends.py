"""How a process ended that said nothing of its own, and what to try."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import types

import pytest

from ofa_edge.export.process import WorkerDiedError, ended_by_others, how_it_ended, run_worker, what_to_try
from ofa_edge.export.tflite.converter import saved
from ofa_edge.system import disk_error


def done(code, stderr=""):
    return subprocess.CompletedProcess(["-m", "worker"], code, "", stderr)


@pytest.mark.parametrize(
    ("code", "stderr", "words"),
    [
        (-signal.SIGKILL, "", "memory"),
        (-signal.SIGTERM, "", "somebody ended it"),
        (1, "Traceback ...\nKeyboardInterrupt", "somebody interrupted it"),
        (-signal.SIGKILL, f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}", "space"),
        (1, f"cannot write: {os.strerror(errno.ENOSPC)}\n", "space"),
        (1, f"cannot write: {os.strerror(errno.EDQUOT)}\n", "space"),
        (-signal.SIGXFSZ, "", "ulimit -f"),
        (1, f"OSError: {os.strerror(errno.EFBIG)}: x", "ulimit -f"),
        (1, f"OSError: {os.strerror(errno.EMFILE)}: x", "ulimit -n"),
        (1, "MemoryError", "memory"),
        (-signal.SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'", "memory"),
        (-signal.SIGSEGV, "", "other advice"),
        (1, "ValueError: x", "other advice"),
        (1, "", "other advice"),
    ],
)
def test_what_to_try(code, stderr, words):
    assert words in what_to_try(done(code, stderr), "other advice")


@pytest.mark.parametrize(
    ("code", "stderr", "others"),
    [
        (-signal.SIGKILL, "", True),
        (-signal.SIGTERM, "", True),
        (-signal.SIGINT, "", True),
        (1, "Traceback ...\nKeyboardInterrupt\n", True),
        (-signal.SIGSEGV, "", False),
        (1, "ValueError: KeyboardInterrupt: x", False),
        (0, "KeyboardInterrupt", False),
    ],
)
def test_whether_somebody_else_ended_it(code, stderr, others):
    """Else an interrupted child's end would pass for what it found in its file, and be kept."""
    assert ended_by_others(done(code, stderr)) is others


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_known_by_its_words(number):
    full = disk_error(f"Traceback ...\nOSError: [Errno {number}] {os.strerror(number)}: '/tmp/x'\n")
    assert full is not None
    assert full.errno == number
    assert disk_error("ValueError: x") is None


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RuntimeError("RESOURCE_EXHAUSTED: /tmp/x: No space left on device"), OSError),
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), OSError),
        (ValueError("cannot be saved"), ValueError),
    ],
)
def test_what_tensorflow_swallows_is_raised(monkeypatch, error, raised):
    """It tries to save a graph, and converts it by another way, to another file, where it cannot."""

    def save():
        raise error

    saving = types.SimpleNamespace(save=save)
    monkeypatch.setitem(sys.modules, "tensorflow.python.saved_model", types.SimpleNamespace(save=saving))
    with pytest.raises(raised, match=str(error.args[-1])[-15:]), saved(), contextlib.suppress(Exception):
        saving.save()
    assert saving.save is save
    saving.save = int
    with saved():
        assert saving.save() == 0


def test_a_worker_that_cannot_be_started_says_how_it_ended():
    with pytest.raises(WorkerDiedError, match=r"exit code 1: .*no_such_module") as caught:
        run_worker("ofa_edge.no_such_module", [])
    assert caught.value.hint == ""
    assert how_it_ended(done(-9)) == "signal 9: it said nothing"
