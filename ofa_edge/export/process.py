"""Work in a process of its own: its memory, its crashes and what native code prints stay there.

A worker is a module that ends with `sys.exit(reported(work))`. It ends with exit code 0 and its result as JSON in the
last line of its output, or with 1 and the three parts of a ConversionError there.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ofa_edge
from ofa_edge.errors import ConversionError

_TAIL = 4000  # letters of what a process said last
_DISK = "free some space, also in the folder for temporary files (TMPDIR), then run the same command again"
_ENDS = (  # signal, what the system says, what to try
    (0, ("No space left on device", "Disk quota exceeded"), _DISK),
    (signal.SIGXFSZ, ("File too large",), "raise the limit on file sizes (ulimit -f), then run the same command again"),
    (0, ("Too many open files",), "raise the limit on open files (ulimit -n), then run the same command again"),
    (
        0,
        ("MemoryError", "Cannot allocate memory", "std::bad_alloc"),
        "free some memory, then run it again",
    ),
    (signal.SIGINT, ("KeyboardInterrupt",), "somebody interrupted it: run the same command again"),
    (signal.SIGTERM, (), "somebody ended it: run the same command again"),
    (
        signal.SIGKILL,
        (),
        "the system ends what takes too much memory: free some, or see who ended it",
    ),
)


class WorkerDiedError(Exception):
    """A worker ended without a word of its own; says how, with the last line that it wrote to stderr.

    Attributes:
        hint: what to try, where that can be told; else "".
    """

    def __init__(self, done: "subprocess.CompletedProcess[str]") -> None:
        """Args: the process."""
        super().__init__(how_it_ended(done))
        self.hint = what_to_try(done, "")


def run_worker(module: str, arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Run a worker; its result.

    Args:
        module: run as `python -m`.
        arguments: of it.
        environment: variables besides this process's own.

    Raises:
        ConversionError: the worker's own.
        WorkerDiedError: it crashed, or was ended.
    """
    return result_of(run_module(module, arguments, environment))


def result_of(done: "subprocess.CompletedProcess[str]") -> Any:
    """What a worker that ended gives; raises as `run_worker` does."""
    try:
        said = json.loads(done.stdout.splitlines()[-1])
        if done.returncode == 0:
            return said["result"]
        raise ConversionError(**said)
    except (IndexError, KeyError, TypeError, json.JSONDecodeError):
        raise WorkerDiedError(done) from None


def run_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m module arguments` to its end, with variables besides this process's own."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**own_environment(), **environment},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def own_environment() -> dict[str, str]:
    """This process's variables, with which another Python imports the very same package, installed or not."""
    root = str(Path(ofa_edge.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def how_it_ended(done: "subprocess.CompletedProcess[str]") -> str:
    """Of a process that failed: its exit code or signal, and the last line that it said."""
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    ended = f"exit code {done.returncode}" if done.returncode >= 0 else f"signal {-done.returncode}"
    return f"{ended}: {last}"


def ended_by_others(done: "subprocess.CompletedProcess[str]") -> bool:
    """Whether somebody, or the system, ended it: that is no word of its own on what it was given."""
    by_signal = -done.returncode in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    return by_signal or (done.returncode != 0 and done.stderr.rstrip().endswith("KeyboardInterrupt"))


def what_to_try(done: "subprocess.CompletedProcess[str]", otherwise: str) -> str:
    """The hint for a process that ended without a word of its own: by its signal, and by what it said last."""
    said = done.stderr[-_TAIL:]
    for number, words, hint in _ENDS:
        if (number and done.returncode == -number) or any(word in said for word in words):
            return hint
    return otherwise


def reported(work: Callable[[], Any]) -> int:
    """Do a worker's work and say how it ended; what to exit with."""
    try:
        result = work()
    except ConversionError as error:
        print(json.dumps({"what": error.what, "why": error.why, "hint": error.hint}))
        return 1
    print(json.dumps({"result": result}))
    return 0
