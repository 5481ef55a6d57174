"""Figures out of the recorded results: medians, paired ratios with their intervals, and what stands for what."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_artifacts.record import MACHINE

_RESAMPLES, _SEED = 2000, 0


@dataclass(frozen=True)
class Ratio:
    """A paired ratio: the median over rounds, and the 95 % bootstrap interval of it over rounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """One network's record, as record.py wrote it."""

    facts: dict[str, Any]

    @property
    def group(self) -> str:
        """Its supernet."""
        return str(self.facts["group"])

    @property
    def role(self) -> str:
        """Smallest, largest, random-N."""
        return str(self.facts["role"])

    @property
    def sevens(self) -> int:
        """How many of its depthwise convolutions are 7x7."""
        return int(self.facts["depthwise_7x7"])

    def tool(self, name: str) -> dict[str, Any]:
        """What was found of a tool; empty where it does not take this network."""
        found: dict[str, Any] = self.facts["tools"].get(name, {})
        return found

    def ms(self, name: str) -> float | None:
        """Median latency in milliseconds."""
        rounds = self.facts["timing"]["tools"].get(name)
        return statistics.median(rounds) if rounds else None

    def ratio(self, first: str, second: str) -> Ratio | None:
        """Latency of one tool over another's, paired by round."""
        rounds = [self.facts["timing"]["tools"].get(name) for name in (first, second)]
        if not all(rounds):
            return None
        return Ratio(*paired(*rounds))

    def instructions(self, name: str, core: str) -> int | None:
        """Of one inference on an emulated core; None where they were not counted."""
        found = self.tool(name).get("instructions", {}).get(core)
        return found if isinstance(found, int) else None

    def instruction_ratio(self, first: str, second: str, core: str) -> float | None:
        """Of one tool over another's."""
        above, below = self.instructions(first, core), self.instructions(second, core)
        return above / below if above and below else None

    def cost(self, name: str) -> float | None:
        """CPU seconds from the torch network to the tool's file: the export counts for tools that start from ONNX."""
        found = self.tool(name)
        if found.get("cpu_s") is None or found.get("reason"):
            return None
        starts_from_torch = name.startswith("litert-torch") or name == "onnx"
        return float(found["cpu_s"]) + (0.0 if starts_from_torch else float(self.tool("onnx")["cpu_s"]))

    def fault(self, name: str) -> str | None:
        """Why a tool gave nothing usable: it failed, its model does not run, or it answers wrongly. None: it did."""
        found = self.tool(name)
        if found.get("reason") or found.get("failed"):
            return str(found.get("reason") or f"the model does not run: {found['failed']}")
        if found.get("snr_db", 99.0) < (3.0 if "int8" in name else 40.0):
            return f"wrong answers: {found['snr_db']:.0f} dB against torch"
        return None


def read_results(folder: Path) -> tuple[list[Result], dict[str, Any]]:
    """All networks in order, and the machine.

    Raises:
        SystemExit: there are none.
    """
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != MACHINE]
    if not paths:
        raise SystemExit(f"no results in {folder}: `convert`, `check`, `measure`, `record` first")
    results = [Result(json.loads(path.read_bytes())) for path in paths]
    order = {"w1.0": 0, "default": 1}
    results.sort(key=lambda result: (order[result.group], result.facts["rank"]))
    return results, json.loads((folder / MACHINE).read_bytes())


def paired(first: list[float], second: list[float]) -> tuple[float, float, float]:
    """One list over another, round by round: the median, and the ends of its 95 % bootstrap interval."""
    values = np.array(first) / np.array(second)
    rng = np.random.default_rng(_SEED)
    medians = np.median(rng.choice(values, (_RESAMPLES, len(values))), axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return float(np.median(values)), float(low), float(high)


def geometric(values: list[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(values))))
