"""How a process ended that said nothing of its own, and what to try."""

import errno
import os
import signal
import subprocess

import pytest

from ofa_edge.export.process import WorkerDiedError, how_it_ended, run_worker, what_to_try


def done(code, stderr=""):
    return subprocess.CompletedProcess(["-m", "worker"], code, "", stderr)


@pytest.mark.parametrize(
    ("code", "stderr", "words"),
    [
        (-signal.SIGKILL, "", "memory"),
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


def test_a_worker_that_cannot_be_started_says_how_it_ended():
    with pytest.raises(WorkerDiedError, match=r"exit code 1: .*no_such_module") as caught:
        run_worker("ofa_edge.no_such_module", [])
    assert caught.value.hint == ""
    assert how_it_ended(done(-9)) == "signal 9: it said nothing"
