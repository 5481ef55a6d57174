"""An artifact that lies ready on a device, and its cold sessions: the unit of evidence about latency.

    with open_artifact(connection, golden) as a, open_artifact(connection, candidate) as b:
        for side in (a, b, b, a):
            session = side.session(plan)

Several artifacts may lie on one device at once, each in a folder of its own. Every session is a new process there.
"""

import contextlib
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.loadable import check_loadable
from ofa_edge.device.measuring.model_digest import MODEL_DIGEST, require_files, require_model
from ofa_edge.device.measuring.programs import check_logits, last_json, with_latency, with_threads
from ofa_edge.device.measuring.raw_outputs import PROBE
from ofa_edge.device.measuring.samples import Session, check_plausible
from ofa_edge.device.measuring.watch import below_ceiling, slowed, ticks_from
from ofa_edge.device.protocol import Conditions, Connection, Fingerprint, LatencyPlan, Program, Request
from ofa_edge.errors import (
    DataError,
    DeviceBusyError,
    DeviceError,
    DeviceRebootedError,
    DeviceRunError,
    ImplausibleError,
    OfaEdgeError,
    ThrottledError,
    UnsupportedError,
)
from ofa_edge.files import sha256_file

_ARM = ("aarch64", "arm")
_FIRST = "first"  # the file with the image that timed runs are given
_MOST_NS = 10**15  # eleven days
_SAME_RTOL, _SAME_ATOL = 1e-4, 1e-5


@dataclass(frozen=True)
class OpenArtifact:
    """An artifact and its program in a private folder on the device. Made by `open_artifact`.

    Attributes:
        connection: to the device.
        request: what was asked for.
        fingerprint: of the device, read before anything ran.
        program: the runner.
        here: a folder on this machine.
        work: the folder on the device.
        conditions: what a latency session waits for, and is judged by; None where nothing is known of the device.
        digest: SHA-256 of the artifact that was pushed.
    """

    connection: Connection
    request: Request
    fingerprint: Fingerprint
    program: Program
    here: Path
    work: PurePosixPath
    conditions: Conditions | None = None
    digest: str = ""

    @property
    def emulated(self) -> bool:
        """Whether no time measured there is the hardware's."""
        return self.fingerprint.device_kind == "emulated"

    @property
    def threads(self) -> int:
        """Threads of a pass: one under emulation, whose instruction counts must not depend on a scheduler."""
        return 1 if self.emulated else self.request.threads

    def session(self, plan: LatencyPlan, expected: NDArray[np.float32] | None = None) -> Session:
        """One cold session: a new process, its load and first inference, adaptive warm-up, samples.

        Args:
            plan: how to sample; `plan.sessions` does not matter here.
            expected: float32 [classes], what the accuracy pass answered to the first image.

        Returns:
            The session. One that the device was slowed down in has `valid` false and a `reason`.

        Raises:
            UnsupportedError: the device is emulated.
            DeviceBusyError: the device was not fit to be measured by the deadline.
            DeviceRebootedError: it restarted.
            ImplausibleError: it answered otherwise than `expected`.
            DeviceError: it was lost, too slow, or failed.
        """
        if self.emulated:
            raise UnsupportedError(
                f"no latency from {self.connection.name}",
                f"it is emulated: {self.fingerprint.kind_evidence}",
                "count instructions instead, or give a real device",
            )
        if self.conditions is not None:
            self.conditions.before()
        facts = self.run(with_latency(self.call(_FIRST, "timed"), plan))
        logits = self.pull_outputs("timed", 1)[0]
        if expected is not None and not np.allclose(logits, expected, rtol=_SAME_RTOL, atol=_SAME_ATOL):
            raise ImplausibleError(
                "the timed runs answered differently",
                f"logits differ by up to {np.abs(logits - expected).max():.3g} from those of the accuracy pass",
                "the device's arithmetic is not steady: check its power and memory",
            )
        reason = None if self.conditions is None else self.conditions.after()
        self.check_boot()
        return session_from(
            facts, logits, reason or "", plan.min_runs, turbo=not self.fingerprint.arch.startswith(_ARM)
        )

    def median_ms(self, plan: LatencyPlan, expected: NDArray[np.float32] | None = None) -> float:
        """The median of one session in milliseconds, NaN where the session does not count. Raises as `session` does."""
        session = self.session(plan, expected)
        if not session.valid:
            return math.nan
        check_plausible(session.p50_ms, self.request.macs, self.request.peak_gmacs)
        return session.p50_ms

    def run(self, argv: list[str]) -> dict[str, Any]:
        """Run the program; the facts it prints. Raises OtherModelError where they are not of this artifact."""
        environment = self.program.environment(self.work)
        with self.restarts_told():
            return self.facts(self.connection.run(argv, self.request.timeout_s, environment).stdout)

    def facts(self, stdout: str) -> dict[str, Any]:
        """What the program printed, once it is of this artifact. Raises as `run` does."""
        facts = self.program.facts(last_json(stdout))
        if MODEL_DIGEST in facts:
            require_model(self.connection, facts.pop(MODEL_DIGEST), self.digest)
        else:
            require_files(self.connection, self.work, self.program.files())
        return facts

    def call(self, inputs: str, outputs: str) -> list[str]:
        """Arguments of a pass over the images in `inputs` (names without suffix)."""
        suffix = self.program.suffix
        argv = self.program.command(self.work, inputs + suffix, outputs + suffix)
        return with_threads(argv, self.threads, () if self.emulated else self.request.cores)

    def first(self, outputs: str) -> list[str]:
        """Arguments of a pass over the first image alone."""
        return self.call(_FIRST, outputs)

    def push_inputs(self, name: str, images: NDArray[np.float32]) -> None:
        """Write images [N, C, H, W] as the program reads them and push them."""
        file = name + self.program.suffix
        self.program.write_inputs(images, self.here / file)
        self.push(self.here / file, file)

    def push(self, local: Path, name: str) -> None:
        """Push a file to the work folder."""
        with self.restarts_told():
            self.connection.push(local, self.work / name)

    def pull_outputs(self, name: str, images: int) -> NDArray[np.float32]:
        """Logits [images, classes]."""
        file = name + self.program.suffix
        with self.restarts_told():
            self.connection.pull(self.work / file, self.here / file)
        return check_logits(self.program.read_outputs(self.here / file), images, self.request.classes)

    def check_boot(self) -> None:
        """Raise DeviceRebootedError if the device restarted since it was opened."""
        if self.connection.fingerprint().boot_id != self.fingerprint.boot_id:
            raise self._restarted()

    @contextlib.contextmanager
    def restarts_told(self) -> Iterator[None]:
        """Tell a restart of the device from every other failure: it takes files and programs with it."""
        try:
            yield
        except DeviceRebootedError:
            raise
        except DeviceError as error:
            if self._has_restarted():
                raise self._restarted() from error
            raise

    def _has_restarted(self) -> bool:
        """Whether the device says that it restarted; one that does not answer has not shown it."""
        try:
            return self.connection.fingerprint().boot_id != self.fingerprint.boot_id
        except OfaEdgeError:
            return False

    def _restarted(self) -> DeviceRebootedError:
        return DeviceRebootedError(
            f"{self.connection.name} restarted", "its boot id changed during the run", "run it again"
        )


@contextlib.contextmanager
def open_artifact(
    connection: Connection, request: Request, conditions: Conditions | None = None
) -> Iterator[OpenArtifact]:
    """Push an artifact, its program and the first image once; take everything away at the end.

    Raises:
        DeviceError: the device was lost, or refused a file.
        UsageError: the request cannot be run there.
    """
    check_images(request.inputs)
    fingerprint = connection.fingerprint()
    program = request.program(connection, request, fingerprint)
    with tempfile.TemporaryDirectory(prefix="ofa-measure-") as here, connection.workdir() as work:
        digest = sha256_file(request.artifact)
        artifact = OpenArtifact(connection, request, fingerprint, program, Path(here), work, conditions, digest)
        check_loadable(connection, fingerprint, program.files().values())
        for name, path in program.files().items():
            artifact.push(path, name)
        artifact.push_inputs(_FIRST, request.inputs[:1])
        yield artifact


def valid_sessions(
    artifact: OpenArtifact, plan: LatencyPlan, expected: NDArray[np.float32] | None = None
) -> list[Session]:
    """`plan.sessions` valid sessions; an invalid one is thrown away whole and run again, `plan.replacements` times.

    Raises:
        ThrottledError: too many were invalid.
        DeviceError: see `OpenArtifact.session`.
    """
    found: list[Session] = []
    invalid: list[str] = []
    while len(found) < plan.sessions:
        try:
            session = artifact.session(plan, expected)
        except DeviceBusyError as error:  # it was fit when we began, and it is our sessions that it is not fit after
            if invalid:
                raise _slowed_down(artifact, invalid, len(found)) from error
            raise
        if session.valid:
            found.append(session)
            continue
        invalid.append(session.reason)
        if len(invalid) > plan.replacements:
            raise _slowed_down(artifact, invalid, len(found))
    return found


def _slowed_down(artifact: OpenArtifact, invalid: list[str], valid: int) -> ThrottledError:
    return ThrottledError(
        f"{artifact.connection.name} was slowed down while it was measured",
        f"{len(invalid)} of {len(invalid) + valid} sessions are invalid: {', '.join(sorted(set(invalid)))}",
        "cool it, check its power supply and governor, then run the same command again",
    )


def session_from(
    facts: dict[str, Any], logits: NDArray[np.float32], reason: str, min_runs: int = 1, turbo: bool = True
) -> Session:
    """The session that a runner's facts describe: positive whole nanoseconds, at least `min_runs` of them.

    Raises:
        DeviceRunError: they describe none.
    """
    samples = facts.get("latency_ns")
    if not isinstance(samples, list) or len(samples) < min_runs:
        said = f"{len(samples)} runs of at least {min_runs}" if isinstance(samples, list) else repr(samples)[:200]
        raise _unreadable(f"latency_ns: {said}")
    settled, warmup_runs = facts.get("settled"), facts.get("warmup_runs", 0)
    figures = {"latency_ns": samples, "load_ns": [facts.get("load_ns")], "first_ns": [facts.get("first_ns")]}
    for key, values in figures.items():
        wrong = [value for value in values if type(value) is not int or not 0 < value < _MOST_NS]
        if wrong:
            raise _unreadable(f"{key}: {wrong[0]!r:.200}")
    if type(settled) is not bool or type(warmup_runs) is not int:
        raise _unreadable(f"settled: {settled!r:.100}, warmup_runs: {warmup_runs!r:.100}")
    ticks = ticks_from(facts)
    if facts.get("watch") and not ticks:  # nothing else sees that it was slowed down
        raise _unreadable(f"watch: {facts['watch']!r:.200}")
    low = not turbo and below_ceiling(ticks)
    reason = reason or ("throttled" if slowed(ticks) else "clock-low" if low else "")
    return Session(tuple(samples), facts["load_ns"], facts["first_ns"], settled, warmup_runs, reason, ticks, logits)


def _unreadable(why: str) -> DeviceRunError:
    return DeviceRunError("the runner's latency is not readable", why, PROBE)


def check_images(images: NDArray[np.float32]) -> None:
    """Raise DataError for what is no float32 [N, ...], of at least one sample."""
    if images.ndim < 2 or len(images) == 0 or images.dtype != np.float32:
        raise DataError(
            "no images to measure with",
            f"{images.dtype} {images.shape}",
            "give float32 [N, ...], as the network takes it",
        )
