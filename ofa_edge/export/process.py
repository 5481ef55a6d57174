"""Work in a process of its own: its memory, its crashes and what native code prints stay there.

A worker is a module that ends with `sys.exit(reported(work))`. It ends with exit code 0 and its result as JSON in the
last line of its output, or with 1 and the three parts of a ConversionError there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ofa_edge
from ofa_edge.errors import ConversionError


class WorkerDiedError(Exception):
    """A worker ended without a word of its own; says how, with the last line that it wrote to stderr."""


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
    done = run_module(module, arguments, environment)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
        if done.returncode == 0:
            return said["result"]
        raise ConversionError(**said)
    except (IndexError, KeyError, TypeError, json.JSONDecodeError):
        raise WorkerDiedError(how_it_ended(done)) from None


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


def reported(work: Callable[[], Any]) -> int:
    """Do a worker's work and say how it ended; what to exit with."""
    try:
        result = work()
    except ConversionError as error:
        print(json.dumps({"what": error.what, "why": error.why, "hint": error.hint}))
        return 1
    print(json.dumps({"result": result}))
    return 0
