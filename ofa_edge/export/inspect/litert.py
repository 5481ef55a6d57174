"""What LiteRT does with a TFLite file on this machine, asked in a process that may die."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from ofa_edge.errors import ConversionError
from ofa_edge.export.process import ended_by_others, how_it_ended, own_environment, what_to_try
from ofa_edge.system import disk_error

_TIMEOUT_S = 600
WORKER = ("-m", "ofa_edge.export.inspect.litert_worker")


@dataclass(frozen=True)
class Delegation:
    """How LiteRT runs the first subgraph.

    Attributes:
        operators: how many there are.
        partitions: parts that XNNPACK runs.
        kept: indices of the operators that LiteRT runs itself.
        once: those that it runs when the file is loaded, and never again.
        refused: why LiteRT does not run the file; "" where it does.
        ms: least time of each operator alone, by index; empty unless it was asked for.
        whole_ms: least time of the whole file; 0 unless it was asked for.
    """

    operators: int = 0
    partitions: int = 0
    kept: tuple[int, ...] = ()
    once: tuple[int, ...] = ()
    refused: str = ""
    ms: Mapping[int, float] = field(default_factory=dict)
    whole_ms: float = 0.0


def version() -> str:
    """Of the installed LiteRT."""
    return metadata.version("ai-edge-litert")


def ask_litert(path: Path, profile: bool = False, worker: Sequence[str] = WORKER) -> Delegation:
    """Load a file with LiteRT and its default delegate. `worker`: Python's arguments up to the file."""
    environment = own_environment()
    command = [sys.executable, *worker, str(path.resolve())]
    command += ["profile"] if profile else []
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Delegation(refused=f"it did not finish within {_TIMEOUT_S} s")
    if full := disk_error(done.stderr):
        raise full
    if ended_by_others(done):
        hint = what_to_try(done, "run the same command again")
        raise ConversionError("the process that asks LiteRT was ended", how_it_ended(done), hint)
    if done.returncode:
        return Delegation(refused=f"the process ended by {how_it_ended(done)}")
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    if "refused" in facts:
        return Delegation(refused=facts["refused"])
    ms = {int(index): value for index, value in facts.get("ms", {}).items()}
    kept, once = tuple(facts["kept"]), tuple(facts["once"])
    return Delegation(facts["operators"], facts["partitions"], kept, once, "", ms, facts.get("whole_ms", 0.0))
