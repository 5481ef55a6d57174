"""TVM for CPUs: functions scheduled by our rules, tuned on the device where that is asked for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cost.bytes import SizeModel
from ofa_edge.data.dataset import Samples
from ofa_edge.device.measuring.turns import open_turns
from ofa_edge.device.protocol import Connection
from ofa_edge.files import sha256_file
from ofa_edge.records.schedules import SchedulesRecord
from ofa_edge.runtimes.base import Timer, Turns
from ofa_edge.runtimes.tvm_family import FACTS, TvmRuntime, tvm_target
from ofa_edge.runtimes.values import Converted, Export, Facts, RunHere, Stages
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision


class Tvm(TvmRuntime):
    """See `Runtime`."""

    name = "tvm"
    kind = "llvm"
    # Printed by benchmarks/artifact_sizes.py, of 24 artifacts; a network left out of the fit is within 14.8 %.
    sizes = MappingProxyType({"fp32": SizeModel(4, 1.14, 3803.35, 0, 0, 476601, 0.113)})

    @property
    def turns(self) -> Turns:
        """See `Runtime`."""
        return TvmTurns(self)

    def compiled_for(self, target: Target, threads: int) -> dict[str, Any]:
        """See `TvmRuntime`."""
        return {**tvm_target(target), "num-cores": threads}

    def require_tunable(self, target: Target) -> None:
        """See `Runtime`: schedules of CPUs can be tuned."""
        del target

    def convert(self, stages: Stages, export: Export) -> Converted:
        """Compile, with the knobs that tuning found now or earlier."""
        from ofa_edge.runtimes.tuning import tuned_library

        return tuned_library(self, stages, export)

    def compile(self, export: Export, folder: Path, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """See `TvmRuntime`."""
        from ofa_edge.export.tvm.compile import compile_cpu

        target = tvm_target(export.target)
        library = folder / self.artifact_name
        found = compile_cpu(export.network.onnx, library, target, None, export.precision, knobs.get)
        return {**found.to_json(), "target": dict(target)}

    def facts(self, converted: Converted) -> Facts:
        """How functions were scheduled."""
        path = converted.entry.path(FACTS)
        schedules = json.loads(path.read_bytes())["schedules"]
        tuning = None if converted.tuning is None else converted.tuning.model_dump(mode="json")
        return Facts((path,), SchedulesRecord.model_validate_json(json.dumps({**schedules, "tuning": tuning})))

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """See `Runtime`."""
        del converted
        return RunHere((self.on_host_cpu(stages, export, samples),))


class TvmTurns(Turns):
    """See `Turns`."""

    suffix = ".so"

    def __init__(self, runtime: Tvm) -> None:
        self._runtime = runtime

    def facts(self, target: Target, precision: Precision) -> dict[str, Any]:
        """See `Turns`; the host's CPU filled in."""
        from ofa_edge.export.tvm.compile import make_target

        del precision
        return {
            "versions": {"apache-tvm": metadata.version("apache-tvm")},
            "tvm": str(make_target(self._runtime.compiled_for(target, target.runtime.threads), "llvm").attrs),
        }

    def make(self, jobs: Sequence[tuple[Path, Path]], target: Target, precision: Precision) -> None:
        """See `Turns`."""
        from ofa_edge.export.tvm.compile import compile_cpu

        described = self._runtime.compiled_for(target, target.runtime.threads)
        for onnx, out in jobs:
            compile_cpu(onnx, out, described, None, precision)

    def open(self, connection: Connection, target: Target, sample_us: float) -> AbstractContextManager[Timer]:
        """See `Turns`."""
        return _opened(connection, target, sample_us)

    def line(self, place: str, shape: tuple[int, ...]) -> str:
        """As `tvm_turns.cc` reads it."""
        return f"{place} vm:main float32:{','.join(map(str, shape))}"


@contextmanager
def _opened(connection: Connection, target: Target, sample_us: float) -> Iterator[Timer]:
    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.runners.build import build_tvm_turns

    folder = build_tvm_turns(target.hardware.arch, cache_folder())
    with open_turns(connection, folder, target.runtime.threads, sample_us) as program:
        yield _WithRuntime(program, folder)


class _WithRuntime:
    """TVM's program, which does not say which runtime it is linked to."""

    def __init__(self, program: Timer, folder: Path) -> None:
        self._program = program
        digest = sha256_file(folder / "libtvm_runtime.so")
        self.facts = {"version": metadata.version("apache-tvm"), "runtime_digest": digest}
        self.place, self.send = program.place, program.send

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        """See `Timer`."""
        found = self._program.time(libraries, lines, rounds, limit_s)
        self.facts = {**self._program.facts, **self.facts}
        return found
