"""Workers that share a start: one process imports a heavy package, and each worker is a fork of it.

A worker begins in the state that the import left and keeps its memory and its crashes to itself, as one that is started
anew does, without the seconds that a start takes. As a program, `python -m ofa_edge.export.forked PACKAGE`, this is the
process that forks: a request a line on stdin, an exit code a line on stdout. It ends, and its worker with it, when
stdin does, which is also when whoever asked is killed; or after two minutes with nothing to do.
"""

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_edge.export.process import own_environment, run_module

_IDLE_S = 120.0  # then the package's memory is given back
_SIGNAL_S = 0.5  # a read does not end by a signal that another thread took, or that came just before it

_busy = threading.Lock()
_parents: dict[
    tuple[int, str], "subprocess.Popen[str]"
] = {}  # by this process, which may be a fork itself, and package


def run_forked(
    package: str, module: str, arguments: list[str], environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run `module.main(arguments)`, which gives an exit code, in a process that has imported `package`.

    It ends as `python -m module arguments` does, and is that where nothing can be forked, or two ask at once.

    Args:
        package: imported once.
        module: of this package; imported once.
        arguments: of its `main`.
        environment: variables besides this process's own.
    """
    done = None
    if sys.platform == "linux" and _busy.acquire(blocking=False):
        try:
            done = _ask(package, module, arguments, {**own_environment(), **environment})
        finally:
            _busy.release()
    return run_module(module, arguments, environment) if done is None else done


def _ask(
    package: str, module: str, arguments: list[str], environment: dict[str, str]
) -> "subprocess.CompletedProcess[str] | None":
    """The forked process's end; None where the one that forks has died."""
    with tempfile.TemporaryDirectory(prefix="ofa-edge-worker-") as folder:
        said = [Path(folder) / "stdout", Path(folder) / "stderr"]
        request = {
            "module": module,
            "arguments": arguments,
            "environment": environment,
            "folder": os.getcwd(),  # noqa: PTH109  (a string is what travels)
            "said": list(map(str, said)),
        }
        parent = _parent(package, environment)
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(request), file=parent.stdin, flush=True)
            while not select.select([parent.stdout], [], [], _SIGNAL_S)[0]:
                pass
            code = parent.stdout.readline()
        except BaseException:
            _end(parent)  # interrupted: the worker ends with it
            raise
        if not code:
            _end(parent)
            return None
        stdout, stderr = (path.read_text(encoding="utf-8", errors="replace") for path in said)
    return subprocess.CompletedProcess(["-m", module, *arguments], int(code), stdout, stderr)


def _parent(package: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """The process that holds a package, started where there is none."""
    key = (os.getpid(), package)
    known = _parents.get(key)
    if known is not None and known.poll() is None:
        return known
    if known is not None:
        _end(known)
    _parents[key] = subprocess.Popen(
        [sys.executable, "-m", __name__, package],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        start_new_session=True,  # Ctrl-C is this process's to hear; `_end` reaches all of the session
    )
    return _parents[key]


def _end(parent: "subprocess.Popen[str]") -> None:
    """End a process that forks, and the worker that it waits for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(parent.pid, signal.SIGKILL)
    parent.communicate()


@atexit.register
def end_all() -> None:
    """End all that this process started; the next worker starts them anew."""
    for key in [key for key in _parents if key[0] == os.getpid()]:
        _end(_parents.pop(key))


def main(package: str) -> int:
    """Import the package, and fork for each request."""
    importlib.import_module(package)
    while select.select([sys.stdin], [], [], _IDLE_S)[0] and (line := sys.stdin.readline()):
        request = json.loads(line)
        with contextlib.suppress(Exception):  # the worker will say what is wrong with it
            importlib.import_module(request["module"])
        process = os.fork()
        if not process:
            _become(request)
        print(_awaited(process), flush=True)
    return 0


def _awaited(process: int) -> int:
    """A worker's exit code. It is killed where nobody waits for it any more."""
    with contextlib.suppress(OSError, AttributeError):  # a kernel before 5.3 shows no process as a file
        ended = os.pidfd_open(process)
        ready, _, _ = select.select([ended, sys.stdin], [], [])
        if ended not in ready:  # none asks before it has its answer, so stdin is at its end
            os.kill(process, signal.SIGKILL)
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _become(request: dict[str, Any]) -> None:
    """Do a worker's work in this fork, and end it."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(request["environment"])
        for number, path in enumerate(("/dev/null", *request["said"])):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
        os.chdir(request["folder"])
        code = importlib.import_module(request["module"]).main(request["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
