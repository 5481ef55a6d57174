"""Ask ZigZag about a network on an array: each layer's shape once, for each version and description."""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from ofa_edge.cache import CacheEntry, StageCache
from ofa_edge.cost import Operator
from ofa_edge.errors import ConversionError
from ofa_edge.export.process import WorkerDiedError, run_worker
from ofa_edge.export.zigzag.description import Engine, read_engine
from ofa_edge.export.zigzag.layers import EngineName, Layer, Step, steps
from ofa_edge.files import write_bytes, write_json
from ofa_edge.target_schema import Array

PACKAGE = "zigzag-dse"
_STAGE, _FILE = "zigzag-layer", "layer.json"
_AT_ONCE = 64  # layers of one process: its start takes as long as some five of them
_WORKER = "ofa_edge.export.zigzag.worker"


@dataclass(frozen=True)
class LayerCost:
    """What ZigZag says of one layer.

    Attributes:
        cycles: with filling and draining of the memories.
        energy_pj: of multipliers and memories.
        offchip_bytes: to and from off the chip.
        sram_bytes: of memories on the chip, at once.
    """

    cycles: int
    energy_pj: float
    offchip_bytes: int
    sram_bytes: int


@dataclass(frozen=True)
class StepCost:
    """What a step costs: its layers run at once; what they move off the chip goes through one port of so many bits."""

    step: Step
    layers: tuple[LayerCost, ...]
    port_bits: int

    @property
    def cycles(self) -> int:
        """Of the slowest layer, or of the port, where that takes longer."""
        return max([-(-8 * self.offchip_bytes // self.port_bits), *(each.cycles for each in self.layers)])

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(each.macs for each in self.step.layers)

    @property
    def offchip_bytes(self) -> int:
        """To and from off the chip."""
        return self.step.moved_bytes + sum(each.offchip_bytes for each in self.layers)


class ArraySystem:
    """Two engines with their clock: an array as ZigZag is asked about it.

    Args:
        array: as a target's file has it.
        folder: where the engines' files lie.
    """

    def __init__(self, array: Array, folder: Path) -> None:
        self.array = array
        self.clock_hz = 1e6 * array.clock_mhz
        self.engines: dict[EngineName, Engine] = {
            "pointwise": read_engine(folder / array.pointwise),
            "depthwise": read_engine(folder / array.depthwise),
        }

    @property
    def macs_per_cycle(self) -> int:
        """Of the engines that run at once."""
        counts = [each.multipliers for each in self.engines.values()]
        return sum(counts) if self.array.pipelined else max(counts)

    @property
    def sram_bytes(self) -> int:
        """Memories on the chip, of both engines; of one that is both, once."""
        return sum(each.sram_bytes for each in {each.digest: each for each in self.engines.values()}.values())

    @property
    def offchip_bits(self) -> int:
        """A cycle: the port of the engine that has the wider one, since both are in front of one memory."""
        return max(each.offchip_bits for each in self.engines.values())

    def facts(self) -> dict[str, Any]:
        """What cycles depend on besides the network."""
        engines: dict[str, Any] = {name: engine.digest for name, engine in self.engines.items()}
        return {**engines, "pipelined": self.array.pipelined, "clock_mhz": self.array.clock_mhz}

    def ask(self, networks: Sequence[Sequence[Operator]], cache: StageCache) -> list[list[StepCost]]:
        """The steps of networks, with what each costs.

        Args:
            networks: their operators.
            cache: keeps each layer's answer.

        Raises:
            ConversionError: an operator that no engine runs, or a layer that does not fit on its engine.
        """
        try:
            found = [list(steps(each, self.array.pipelined)) for each in networks]
        except ValueError as error:
            raise ConversionError(
                f"no engine of an array runs {error}",
                "convolutions, fully connected layers, additions, gates and pooling are what is modelled",
                "a network of inverted bottlenecks, or another target",
            ) from error
        layers = dict.fromkeys(layer for network in found for step in network for layer in step.layers)
        costs = self._costs(list(layers), cache)
        bits = self.offchip_bits
        return [
            [StepCost(step, tuple(costs[each] for each in step.layers), bits) for step in network] for network in found
        ]

    def _costs(self, layers: Sequence[Layer], cache: StageCache) -> dict[Layer, LayerCost]:
        version = metadata.version(PACKAGE)
        inputs = [
            {"layer": dataclasses.asdict(each), "engine": self.engines[each.engine].digest, "version": version}
            for each in layers
        ]
        missing = [place for place, each in enumerate(inputs) if not cache.has(_STAGE, each)]
        answers: dict[int, dict[str, Any]] = {}

        def keep(place: int, folder: Path) -> None:
            answer = answers.get(place) or self._run([layers[place]])[0]  # damaged or pruned meanwhile
            write_json(folder / _FILE, answer)

        for start in range(0, len(missing), _AT_ONCE):  # kept batch by batch: what is interrupted goes on there
            batch = missing[start : start + _AT_ONCE]
            answers |= dict(zip(batch, self._run([layers[place] for place in batch]), strict=True))
            for place in batch:
                cache.run(_STAGE, inputs[place], partial(keep, place))
        entries = [cache.run(_STAGE, each, partial(keep, place)) for place, each in enumerate(inputs)]
        return {layer: _read(entry) for layer, entry in zip(layers, entries, strict=True)}

    def _run(self, layers: Sequence[Layer]) -> list[dict[str, Any]]:
        if not layers:
            return []
        jobs = [
            {
                "name": f"a {each.engine} layer of {'x'.join(map(str, each.sizes))}",
                "engine": self.engines[each.engine].content,
                "streamed": each.streamed,
                "workload": each.workload(),
            }
            for each in layers
        ]
        with tempfile.TemporaryDirectory(prefix="ofa-edge-zigzag-") as folder:
            path = Path(folder) / "jobs.json"
            write_bytes(path, json.dumps(jobs).encode())  # in this order: memories stand from the array outwards
            try:
                found: list[dict[str, Any]] = run_worker(_WORKER, [str(path)])
            except WorkerDiedError as error:
                raise ConversionError(
                    f"ZigZag {metadata.version(PACKAGE)} died",
                    str(error),
                    error.hint or f"check the engines' files; other versions: pip install '{PACKAGE}'",
                ) from error
        return found


def _read(entry: CacheEntry) -> LayerCost:
    return LayerCost(**json.loads(entry.path(_FILE).read_bytes()))
