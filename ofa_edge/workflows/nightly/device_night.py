"""One device's night: every gate of every artifact, within a deadline, as records of the history."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ofa_edge.errors import (
    DeviceError,
    DeviceRunError,
    DeviceTimeoutError,
    ImplausibleError,
    OfaEdgeError,
    OtherModelError,
)
from ofa_edge.records.night import FlipRecord, Gate, RunRecord, SeriesRecord
from ofa_edge.verify import night_gates
from ofa_edge.verify.gates import inconclusive
from ofa_edge.verify.ladder import conversion_tolerance
from ofa_edge.verify.night import Decision, Night, judge_night
from ofa_edge.verify.regression import Colour, Past, Rules, Sessions
from ofa_edge.verify.scoring import TopOne
from ofa_edge.workflows.nightly.bench import Answered, Bench, Duel
from ofa_edge.workflows.nightly.fleet import ProtocolEntry

_MOST_FLIPS = 50  # listed; all are counted
_ITS_OWN = (
    DeviceTimeoutError,
    ImplausibleError,
    OtherModelError,
)  # say something of one artifact: the device may serve the others


@dataclass
class DeviceJob:
    """What one device does tonight. Its `series` grow gate by gate, so that what was proved before a failure stays.

    Attributes:
        device: its name in the fleet file.
        duels: golden and candidate of each artifact.
        pasts: of each artifact's latency series.
        protocol: how much is measured.
        deadline: by `time.monotonic`.
        rules: thresholds.
        sleep: how a pause is made.
        series: the records so far.
    """

    device: str
    duels: tuple[Duel, ...]
    pasts: Mapping[str, Past]
    protocol: ProtocolEntry
    deadline: float
    rules: Rules
    sleep: Callable[[float], None] = time.sleep
    series: list[SeriesRecord] = field(default_factory=list)

    def run(self, bench: Bench) -> None:
        """Judge every artifact. Raises DeviceError where the device fails; an artifact that fails alone is recorded."""
        timeable = []
        for duel in self.duels:
            if time.monotonic() > self.deadline:
                decision = Decision(Colour.INCONCLUSIVE, "deadline-over", "the device's time was over before its turn")
                self.record(duel.name, "run", decision)
            elif self._answers(bench, duel):
                timeable.append(duel)
        if not bench.emulated and timeable:
            self._latency(bench, timeable)

    def record(
        self, artifact: str, gate: Gate, decision: Decision, fingerprint: str | None = None, **figures: Any
    ) -> None:
        """Keep one verdict."""
        duel = next((item for item in self.duels if item.name == artifact), None)
        if duel is not None:
            figures["golden_sha256"] = duel.golden.file.sha256
            figures["candidate_sha256"] = duel.candidate.file.sha256
        self.series.append(
            SeriesRecord(
                device=self.device,
                artifact=artifact,
                gate=gate,
                colour=decision.colour.value,
                code=decision.code,
                reason=decision.reason,
                ratio=decision.ratio,
                p=decision.p,
                visible=decision.visible,
                fingerprint=fingerprint,
                **figures,
            )
        )

    def _answers(self, bench: Bench, duel: Duel) -> bool:
        """The gates that need no times; whether both sides run."""
        golden = self._side(bench, duel, True)
        if golden is None:
            return False
        # The same file on the same device answers the same: it is not asked twice.
        candidate = golden if duel.same else self._side(bench, duel, False)
        if candidate is None:
            return False
        self._accuracy(bench, duel, golden, candidate)
        self._growth(bench, duel, golden, candidate)
        self._operators(bench, duel, golden, candidate)
        if bench.emulated:
            self._instructions(bench, duel, golden, candidate)
        return True

    def _side(self, bench: Bench, duel: Duel, golden: bool) -> Answered | None:
        """One side's answers. A candidate that fails where the golden ran is RED; a golden that fails shows nothing.

        Nor does one that outlasts its limit: it is not tried again, and costs no other artifact its night.
        """
        side = "golden" if golden else "candidate"
        for last in (False, True):
            try:
                return bench.answer(duel.name, golden)
            except _ITS_OWN as error:
                self.record(duel.name, "run", failed(error, f"{side}: "), bench.fingerprint)
                return None
            except DeviceRunError as error:
                if last:
                    colour = Colour.INCONCLUSIVE if golden else Colour.RED
                    decision = Decision(colour, f"{side}-does-not-run", f"twice: {error.what}: {error.why}")
                    self.record(duel.name, "run", decision, bench.fingerprint)
        return None

    def _accuracy(self, bench: Bench, duel: Duel, golden: Answered, candidate: Answered) -> None:
        scorer = duel.scorer
        if scorer is None:
            least, finished = conversion_tolerance(duel.candidate.artifact.precision), duel.candidate.network.finished
            decision = night_gates.answers_gate(golden.logits, candidate.logits, duel.fp32, least, finished)
            self.record(duel.name, "answers", decision, bench.fingerprint)
            return
        if not isinstance(scorer, TopOne):
            scored = night_gates.score_gate(scorer, golden.logits, candidate.logits, duel.fp32)
            shares = {"unit": "share", "golden": scored.golden, "candidate": scored.candidate}
            self.record(duel.name, "accuracy", scored.decision, bench.fingerprint, **shares)
            return
        right = None if duel.fp32 is None else scorer.right(duel.fp32)
        found = night_gates.accuracy_gate(golden.logits, candidate.logits, scorer.labels, right)
        flips = tuple(
            FlipRecord(image=flip.image, label=flip.label, golden=flip.golden, candidate=flip.candidate)
            for flip in found.flips[:_MOST_FLIPS]
        )
        figures = {"unit": "share", "golden": found.golden, "candidate": found.candidate}
        self.record(
            duel.name, "accuracy", found.decision, bench.fingerprint, flips=flips, flipped=len(found.flips), **figures
        )

    def _growth(self, bench: Bench, duel: Duel, golden: Answered, candidate: Answered) -> None:
        size = duel.golden.file.size, duel.candidate.file.size
        memory = golden.peak_bytes, candidate.peak_bytes
        quantities: tuple[tuple[Gate, Any, Any, tuple[float, float]], ...] = (
            ("size", *size, night_gates.SIZE_LIMITS),
            ("peak memory", *memory, night_gates.MEMORY_LIMITS),
        )
        for gate, before, now, limits in quantities:
            if before is None or now is None:
                continue
            decision = night_gates.growth_gate(gate, before, now, limits)
            self.record(
                duel.name, gate, decision, bench.fingerprint, unit="bytes", golden=float(before), candidate=float(now)
            )

    def _operators(self, bench: Bench, duel: Duel, golden: Answered, candidate: Answered) -> None:
        before, now = golden.facts.get("undelegated"), candidate.facts.get("undelegated")
        if isinstance(before, dict) and isinstance(now, dict):
            decision = night_gates.undelegated_gate(before, now)
            self.record(duel.name, "undelegated operators", decision, bench.fingerprint)
        inside = [build.runtime.operators(build.artifact.path) for build in (duel.golden, duel.candidate)]
        if inside[0] is not None and inside[1] is not None:
            decision = night_gates.operators_gate(inside[0], inside[1])
            self.record(duel.name, "operators", decision, bench.fingerprint)

    def _instructions(self, bench: Bench, duel: Duel, golden: Answered, candidate: Answered) -> None:
        before, now = golden.instructions, candidate.instructions
        if not before or not now:
            why = "; ".join(golden.notes + candidate.notes) or "no count"
            self.record(duel.name, "instructions", Decision(Colour.INCONCLUSIVE, "not-counted", why), bench.fingerprint)
            return
        decision = night_gates.instructions_gate(before, now)
        figures = {"unit": "instructions", "golden": float(before), "candidate": float(now)}
        self.record(duel.name, "instructions", decision, bench.fingerprint, **figures)
        if golden.cycles and candidate.cycles:  # not every core has a model
            decision = night_gates.cycles_gate(golden.cycles, candidate.cycles)
            figures = {"unit": "cycles", "golden": float(golden.cycles), "candidate": float(candidate.cycles)}
            self.record(duel.name, "modelled cycles", decision, bench.fingerprint, **figures)

    def _latency(self, bench: Bench, duels: list[Duel]) -> None:
        runs: dict[str, list[Sessions]] = {duel.name: [] for duel in duels}
        lost: dict[str, Decision] = {}

        def measure(name: str) -> Sessions | None:
            if runs[name]:
                self.sleep(max(0.0, min(self.protocol.pause_seconds, self.deadline - time.monotonic())))
            if time.monotonic() > self.deadline:
                return None
            try:
                runs[name].append(bench.run(name, self.protocol, self.deadline))
            except _ITS_OWN as error:
                lost[name] = failed(error)
                return None
            return runs[name][-1]

        night = judge_night(measure, {name: self.pasts[name] for name in runs}, bench.fingerprint, self.rules)
        for name, made in runs.items():
            if name in lost and not made:
                self.record(name, "latency", lost[name], bench.fingerprint)
            else:
                self._latency_record(bench, name, night, made)

    def _latency_record(self, bench: Bench, name: str, night: Night, runs: list[Sessions]) -> None:
        seen = night.first[name]
        golden = [value for run in runs for value in run.golden if math.isfinite(value)]
        candidate = [value for run in runs for value in run.candidate if math.isfinite(value)]
        self.record(
            name,
            "latency",
            night.decisions[name],
            bench.fingerprint,
            unit="ms",
            golden=_median(golden),
            candidate=_median(candidate),
            pairs=len(seen.log_ratios),
            aa_ratio=seen.aa_ratio,
            golden_ms=seen.golden_ms if math.isfinite(seen.golden_ms) else None,
            runs=tuple(RunRecord(golden=_finite(run.golden), candidate=_finite(run.candidate)) for run in runs),
        )


def failed(failure: Exception, whose: str = "") -> Decision:
    """What a failure says about the artifacts: nothing. `whose` stands before the reason."""
    if isinstance(failure, DeviceError):
        found = inconclusive(failure)
        return Decision(Colour.INCONCLUSIVE, found.code, f"{whose}{found.reason}")
    if isinstance(failure, OfaEdgeError):
        words = f"{failure.what}: {failure.why}; try: {failure.hint}"
        return Decision(Colour.INCONCLUSIVE, "not-runnable", f"{whose}{words}")
    return Decision(Colour.INCONCLUSIVE, "internal-error", f"{whose}{type(failure).__name__}: {failure}")


def _finite(values: tuple[float, ...]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values)


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
