"""One device with golden and candidate on it: the only part of a night that touches hardware.

`Bench` is the seam: a night needs no more of a device than this, and tests put simulated ones in its place.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import Build
from ofa_edge.data.dataset import Samples
from ofa_edge.data.sampling import stratified
from ofa_edge.device.access import connected, held
from ofa_edge.device.measuring.accuracy import accuracy_pass
from ofa_edge.device.measuring.counting import count_inference
from ofa_edge.device.measuring.passes import Memory, memory_pass
from ofa_edge.device.measuring.session import OpenArtifact, open_artifact
from ofa_edge.device.needs import require
from ofa_edge.device.protocol import Connection, LatencyPlan, Request
from ofa_edge.errors import ConfigError
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.verify.regression import Sessions, in_pairs, is_golden
from ofa_edge.verify.scoring import Scorer, scorer_for
from ofa_edge.workflows.build.on_device import Trial, request_of
from ofa_edge.workflows.nightly.fleet import ProtocolEntry
from ofa_edge.workflows.nightly.privacy import lasting_facts
from ofa_edge.workflows.verify import check_runs_there, images_of

_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Duel:
    """Golden and candidate of one artifact, and what both are judged on.

    Attributes:
        name: the artifact's, in the fleet file.
        golden, candidate: their builds.
        images: what both are run on.
        scorer: says how right answers to them are, or None where accuracy would mean nothing.
        fp32: what the candidate's exported fp32 network answers to exactly these images [N, values], or None.
    """

    name: str
    golden: Build
    candidate: Build
    images: Samples
    scorer: Scorer | None
    fp32: NDArray[np.float32] | None

    @property
    def same(self) -> bool:
        """Whether both are the same file."""
        return self.golden.file.sha256 == self.candidate.file.sha256

    @property
    def sides(self) -> tuple[Trial, Trial]:
        """Golden and candidate as they are run."""
        golden, candidate = (Trial.of(build, self.images) for build in (self.golden, self.candidate))
        return golden, candidate


@dataclass(frozen=True)
class Answered:
    """One artifact's accuracy pass, or its count: deterministic figures.

    Attributes:
        logits: [N, classes].
        facts: what the runner found: delegated operators, undelegated ones.
        instructions: of one inference; None on hardware or where they could not be counted.
        cycles: of one inference, as a model of the core has them; None where there is none.
        peak_bytes: the most memory that the process held; None where it was not read.
        notes: what is missing, and why.
    """

    logits: NDArray[np.float32]
    facts: Mapping[str, Any]
    instructions: int | None = None
    cycles: int | None = None
    peak_bytes: int | None = None
    notes: tuple[str, ...] = ()


class Bench(Protocol):
    """A device with both artifacts of each duel on it."""

    @property
    def emulated(self) -> bool:
        """Whether it gives no times."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the device says about itself."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """Where the device stood before its sessions, in words; empty for an emulated one."""

    @property
    def fingerprint(self) -> str:
        """A digest of the facts, without those that change at each start."""

    def answer(self, duel: str, golden: bool) -> Answered:
        """Run one side over all images. Raises DeviceError."""

    def run(self, duel: str, protocol: ProtocolEntry, deadline: float) -> Sessions:
        """One run of A B B A; sessions after the deadline (`time.monotonic`) are invalid. Raises DeviceError."""


BenchMaker = Callable[[str, tuple[Duel, ...], float], contextlib.AbstractContextManager[Bench]]


def make_duel(
    name: str, golden: Build, candidate: Build, device: str, protocol: ProtocolEntry, data: Any = None
) -> Duel:
    """Prepare one artifact's night.

    Raises:
        ConfigError: golden and candidate are not for the same target and runtime, or their images are gone.
    """
    mine, theirs = candidate.manifest.target, golden.manifest.target
    if (mine.name, mine.runtime) != (theirs.name, theirs.runtime):
        raise ConfigError(
            f"golden and candidate of '{name}' are not comparable",
            f"{theirs.name} ({theirs.runtime}) and {mine.name} ({mine.runtime})",
            "ofa-edge baseline accept, or another name for the new artifact",
        )
    check_runs_there(candidate, device)
    data_of = images_of(candidate, data)
    images, scorer = data_of.test, scorer_for(candidate.network, data_of.test_labels, data_of.truth)
    if protocol.images is not None:
        chosen = stratified(images.labels, protocol.images, 0)
        images, scorer = images.take(chosen), None if scorer is None else scorer.take(chosen)
    fp32 = None if candidate.fp32 is None else run_onnx(candidate.fp32, candidate.network.inputs(images))
    return Duel(name, golden, candidate, images, scorer, fp32)


@dataclass
class DeviceBench:
    """A real or emulated device. Made by `open_bench`."""

    sides: Mapping[str, tuple[OpenArtifact, OpenArtifact]]
    expected: dict[tuple[str, bool], NDArray[np.float32]] = field(default_factory=dict)

    @property
    def _any(self) -> OpenArtifact:
        return next(iter(self.sides.values()))[0]

    @property
    def emulated(self) -> bool:
        """Whether it gives no times."""
        return self._any.emulated

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the device says about itself."""
        return {key: value for key, value in self._any.fingerprint.to_json().items() if value is not None}

    @property
    def conditions(self) -> Mapping[str, str]:
        """See `Bench`."""
        found = self._any.conditions
        return {} if found is None else dict(found.facts)

    @property
    def fingerprint(self) -> str:
        """A digest of the facts, without those that change at each start."""
        return fingerprint_digest(self.facts)

    def answer(self, duel: str, golden: bool) -> Answered:
        """See `Bench`."""
        side = self.sides[duel][0 if golden else 1]
        answered = accuracy_pass(side)
        self.expected[duel, golden] = answered.outputs[0]
        if side.emulated:
            counted, notes = count_inference(side)
            if counted is None:
                return Answered(answered.outputs, answered.facts, notes=notes)
            cycles = None if counted.cycles is None else counted.cycles.per_inference
            return Answered(answered.outputs, answered.facts, counted.per_inference, cycles, notes=notes)
        memory = memory_pass(side)
        if isinstance(memory, Memory):
            return Answered(answered.outputs, answered.facts, peak_bytes=memory.peak)
        return Answered(answered.outputs, answered.facts, notes=(memory.reason,))

    def run(self, duel: str, protocol: ProtocolEntry, deadline: float) -> Sessions:
        """See `Bench`."""
        plan, figures = protocol.latency, []
        for position in range(2 * protocol.pairs):
            figures.append(math.nan if time.monotonic() > deadline else self._session(duel, position, plan))
        return in_pairs(figures)

    def _session(self, duel: str, position: int, plan: LatencyPlan) -> float:
        golden = is_golden(position)
        side = self.sides[duel][0 if golden else 1]
        return side.median_ms(plan, self.expected.get((duel, golden)))


def fingerprint_digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of what stays the same as long as a device is the same."""
    return sha256_bytes(canonical_json(lasting_facts(facts)))


@contextlib.contextmanager
def open_bench(device: str, duels: tuple[Duel, ...], limit_s: float) -> Iterator[Bench]:
    """Connect, put both sides of every duel on the device, and take everything away at the end.

    Args:
        device: as after --device.
        duels: what is compared.
        limit_s: the longest that one call may take there.

    Raises:
        DeviceError: the device was lost, or is in use.
        UsageError: the device is not known, or an artifact cannot run there.
    """
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connected(device, duels[0].candidate.target, "run"))
        for side in {each.artifact.runtime: each for duel in duels for each in duel.sides}.values():
            require(connection, side.artifact.runtime.needs(side.target, connection.fingerprint()))
        conditions = stack.enter_context(held(connection, duels[0].candidate.target))
        sides = {}
        for duel in duels:
            golden, candidate = (
                stack.enter_context(open_artifact(connection, _request(side, connection, limit_s), conditions))
                for side in duel.sides
            )
            sides[duel.name] = (golden, candidate)
        yield DeviceBench(sides)


def _request(side: Trial, connection: Connection, limit_s: float) -> Request:
    return request_of(side, connection, timeout_s=min(_TIMEOUT_S, limit_s))
