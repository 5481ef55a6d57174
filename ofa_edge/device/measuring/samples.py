"""From raw latency samples to figures with an interval. The session is the unit of evidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.watch import Tick
from ofa_edge.device.protocol import Latency
from ofa_edge.errors import DeviceError, ImplausibleError
from ofa_edge.metrics import mad
from ofa_edge.target_schema import FASTEST_GMACS

_RESAMPLES = 10_000
_P99_FROM = 1000  # samples; fewer do not know their 99th percentile


@dataclass(frozen=True)
class Session:
    """One process on the device: load, first inference, warm-up, samples; and whether they count.

    Attributes:
        samples_ns: each timed inference, in order.
        load_ns: from the file to a network that can run.
        first_ns: the first inference of the process.
        settled: whether the warm-up reached a steady state.
        warmup_runs: inferences of the warm-up.
        reason: why these samples count for nothing, as a code ("throttled"); "" where they count.
        ticks: heat and clocks, once a second, as the runner saw them; none where the kernel shows none.
        logits: float32 [classes], what the last run answered to the first image.
    """

    samples_ns: tuple[int, ...]
    load_ns: int
    first_ns: int
    settled: bool
    warmup_runs: int = 0
    reason: str = ""
    ticks: tuple[Tick, ...] = ()
    logits: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def valid(self) -> bool:
        """Whether its samples may be used. Those of an invalid one are never joined to another's."""
        return not self.reason

    @property
    def p50_ms(self) -> float:
        """Median of the samples in milliseconds."""
        return float(np.median(self.samples_ns)) / 1e6

    @property
    def p90_ms(self) -> float:
        """90th percentile of the samples in milliseconds."""
        return float(np.percentile(self.samples_ns, 90)) / 1e6


def summarise(sessions: Sequence[Session], threads: int) -> Latency:
    """The figures over all sessions.

    p50 and p90 are medians over sessions of each session's own percentile, so that one long or odd session does not
    outvote the others. The interval is the percentile bootstrap over sessions of p50 (10,000 resamples, fixed seed).

    Raises:
        DeviceError: no samples.
    """
    if not sessions or not all(session.samples_ns for session in sessions):
        raise DeviceError("no latency samples", "a session gave none", "run the same command again")
    arrays = [np.asarray(session.samples_ns, np.float64) / 1e6 for session in sessions]
    everything = np.concatenate(arrays)
    medians = np.array([np.median(array) for array in arrays])
    low, high = bootstrap_interval(medians)
    return Latency(
        p50_ms=float(np.median(medians)),
        p90_ms=float(np.median([np.percentile(array, 90) for array in arrays])),
        p99_ms=float(np.percentile(everything, 99)) if everything.size >= _P99_FROM else None,
        min_ms=float(everything.min()),
        mad_ms=mad(everything),
        low95_ms=low,
        high95_ms=high,
        runs=int(everything.size),
        sessions=len(sessions),
        load_ms=float(np.median([session.load_ns for session in sessions])) / 1e6,
        first_ms=float(np.median([session.first_ns for session in sessions])) / 1e6,
        threads=threads,
        settled=all(session.settled for session in sessions),
        samples_ns=tuple(session.samples_ns for session in sessions),
    )


def bootstrap_interval(medians: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the median of `medians` [sessions]."""
    drawn = np.random.default_rng(0).integers(len(medians), size=(_RESAMPLES, len(medians)))
    low, high = np.percentile(np.median(medians[drawn], axis=1), (2.5, 97.5))
    return float(low), float(high)


def check_plausible(p50_ms: float, macs: int | None, peak_gmacs: float | None) -> None:
    """Refuse a latency that the hardware cannot reach: under MACs / (1.5 x its peak), or under what any device needs.

    Args:
        p50_ms: the median latency in milliseconds.
        macs: multiply-accumulates of one inference; None where they are not known.
        peak_gmacs: of the device in 1e9 MAC/s; None where it is not known, and then FASTEST_GMACS alone bounds it.

    Raises:
        ImplausibleError: it is too fast to be true, no positive time at all, or held against a peak that is none.
    """
    hint = "is the artifact complete, and is this the device that the target describes?"
    if not 0 < p50_ms < math.inf:
        raise ImplausibleError(f"implausible latency: {p50_ms:.4g} ms", "an inference takes some finite time", hint)
    if peak_gmacs is not None and not 0 < peak_gmacs < math.inf:
        why = f"the device's peak is given as {peak_gmacs:g} G MAC/s, so nothing says which latencies are possible"
        raise ImplausibleError(f"latency of {p50_ms:.4g} ms cannot be judged", why, "correct the target's peaks")
    if macs is None:
        return
    reach, words = FASTEST_GMACS, f"{FASTEST_GMACS:g} G MAC/s, more than any edge device has,"
    if peak_gmacs is not None and 1.5 * peak_gmacs < reach:
        reach, words = 1.5 * peak_gmacs, f"1.5 times the device's peak of {peak_gmacs:g} G MAC/s"
    floor_ms = macs / (reach * 1e9) * 1e3
    if p50_ms < floor_ms:
        raise ImplausibleError(
            f"implausible latency: {p50_ms:.4g} ms", f"{macs / 1e6:.1f} M MACs at {words} take {floor_ms:.4g} ms", hint
        )
