"""Arrays that are only described: ZigZag tells their cycles and energy. Nothing is built for them, and nothing runs."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator
from ofa_edge.data.dataset import Samples
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.extras import install_line
from ofa_edge.files import canonical_json
from ofa_edge.records.npu import AccountRecord, NpuLayer
from ofa_edge.runtimes.base import ArraySize, CycleAccount, Runtime, Timer, Turns
from ofa_edge.runtimes.values import Converted, Export, RunHere, Stages
from ofa_edge.target_schema import Array
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import Precision, ProvenanceKind

if TYPE_CHECKING:
    from ofa_edge.export.zigzag.ask import ArraySystem, StepCost

SHIPPED = ("zu3eg", "zu9eg")


class ZigZag(Runtime):
    """See `Runtime`."""

    name = "zigzag"
    title = "ZigZag"
    artifact_name = "model.none"
    precisions = ("int8",)
    modelled = True
    modules = MappingProxyType({"zigzag": install_line("zigzag"), "six": install_line("zigzag")})

    def check_target(self, target: Target) -> None:
        """See `Runtime`."""
        _system(target)

    def target_tables(self, target: Target, threads: int) -> dict[str, dict[str, Any]]:
        """See `Runtime`. The engines' files stay where they are."""
        del threads
        array, folder = _array(target), target.path.parent
        places = {
            name: str(folder / file) for name, file in (("pointwise", array.pointwise), ("depthwise", array.depthwise))
        }
        return {"array": {**array.model_dump(exclude_none=True), **places}}

    def why_not_emulated(self, target: Target) -> str:
        """See `Runtime`."""
        return f"{target.name} is a description: nothing runs it"

    def why_not_here(self, target: Target) -> str:
        """See `Runtime`."""
        return self.why_not_emulated(target)

    @property
    def turns(self) -> Turns:
        """See `Runtime`."""
        return OperatorLists()

    def cycle_account(self, target: Target) -> CycleAccount:
        """See `Runtime`."""
        return ArrayAccount(target)

    def array_size(self, target: Target) -> ArraySize | None:
        """See `Runtime`."""
        system = _system(target)
        return ArraySize(system.macs_per_cycle, system.sram_bytes, system.array.area_mm2)

    def accelerators(self) -> Mapping[str, Target]:
        """See `Runtime`."""
        return {name: load_target(name) for name in SHIPPED}

    def why_not_made(self, target: Target) -> str:
        """See `Runtime`."""
        return f"{target.name} is the description of an array: ZigZag tells what networks would cost, and compiles none"

    def convert(self, stages: Stages, export: Export) -> Converted:
        """See `Runtime`."""
        del stages
        raise _nothing_built(export.target.name)

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """See `Runtime`."""
        del stages, converted, samples
        raise _nothing_built(export.target.name)

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """See `Runtime`."""
        del artifact, inputs
        return None

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """See `Runtime`."""
        del connection, request, device
        raise _nothing_built("a described array")


class OperatorLists(Turns):
    """See `Turns`: a model is the list of its operators."""

    suffix = ".json"

    def facts(self, target: Target, precision: Precision) -> dict[str, Any]:
        """See `Turns`. No array is in them: the same lists serve all."""
        del target, precision
        return {"drawn": "operators"}

    def draw(self, network: Sequence[Operator]) -> bytes | None:
        """See `Turns`."""
        return canonical_json([asdict(each) for each in network])

    def make(self, jobs: Sequence[tuple[Path, Path]], target: Target, precision: Precision) -> None:
        """See `Turns`. Never called: every network has operators."""
        raise NotImplementedError("lists of operators are drawn")

    def open(self, connection: Connection, target: Target, sample_us: float) -> AbstractContextManager[Timer]:
        """See `Turns`."""
        raise NotImplementedError("described arrays are not timed")


class ArrayAccount:
    """ZigZag as an account of cycles; see `CycleAccount`."""

    kind: ProvenanceKind = "modelled"

    def __init__(self, target: Target) -> None:
        from ofa_edge.export.zigzag.ask import PACKAGE

        self._system = _system(target)
        self.name = f"ZigZag {metadata.version(PACKAGE)}"
        self.clock_hz = self._system.clock_hz

    def facts(self) -> dict[str, Any]:
        """See `CycleAccount`."""
        return {**self._system.facts(), "compiler": self.name}

    def told(self, models: Sequence[Path], cache: StageCache) -> list[AccountRecord]:
        """See `CycleAccount`."""
        networks = [[Operator(**each) for each in json.loads(path.read_bytes())] for path in models]
        return [self._record(each) for each in self._system.ask(networks, cache)]

    def _record(self, steps: Sequence["StepCost"]) -> AccountRecord:
        peak = self._system.macs_per_cycle
        costs = [each for step in steps for each in step.layers]
        return AccountRecord(
            cycles=sum(each.cycles for each in steps),
            macs=sum(each.macs for each in steps),
            offchip_bytes=sum(each.offchip_bytes for each in steps),
            offchip_gbps=self._system.offchip_bits / 8 * self.clock_hz / 1e9,
            sram_bytes=max(sum(each.sram_bytes for each in step.layers) for step in steps),
            energy_uj=sum(each.energy_pj for each in costs) / 1e6,
            layers=tuple(
                NpuLayer(
                    name=f"{place} {each.step.name}",
                    op=each.step.name.partition(",")[0],
                    cycles=each.cycles,
                    macs=each.macs,
                    utilisation=min(1.0, each.macs / (each.cycles * peak)),
                    memory_bytes=sum(layer.sram_bytes for layer in each.layers),
                    offchip_bytes=each.offchip_bytes,
                )
                for place, each in enumerate(steps)
            ),
        )


def _array(target: Target) -> Array:
    if target.array is None:
        raise ConfigError(
            f"{target.path.name} has no [array]",
            "the runtime zigzag has to know the two engines and their clock",
            "ofa-edge targets show zu3eg has such a table",
        )
    return target.array


def _system(target: Target) -> "ArraySystem":
    from ofa_edge.export.zigzag.ask import ArraySystem

    return ArraySystem(_array(target), target.path.parent)


def _nothing_built(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"nothing can be built for {name}",
        "it is the description of an array: ZigZag tells what networks would cost, and compiles none",
        "ofa-edge search, predict, calibrate and codesign take it",
    )
