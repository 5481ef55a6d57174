"""How much slower than usual a device is, session by session: models of noise to test regression gates with.

A session is one process that measures one artifact for some seconds; its figure is the median of its samples. A model
gives a factor for each session. Nothing here is fitted to any gate. No public data set gives these figures for one
device by itself, so each is set from what is published about totals, on the pessimistic side where that leaves room:

- Y. Guo et al., "Freeze It If You Can" (HotMobile 2017): clocks, heat and background services move a phone's benchmark
  by up to 60 %.
- UL (3DMark, support article 44001791209): within 3 % under ideal conditions, with 15 minutes of cooling in between;
  single results outside of that are expected.
- ExecuTorch's stability assessment (pytorch/executorch pull request 10982): coefficient of variation of the same model
  on farm phones from night to night, Galaxy S22: 2.3 to 23 %, 7.6 % on average. That is the sum of every cause below.
- T. Kalibera and R. Jones, "Rigorous Benchmarking in Reasonable Time" (ISMM 2013), and T. Mytkowicz et al., "Producing
  Wrong Data Without Doing Anything Obviously Wrong!" (ASPLOS 2009): with fixed clocks the same binary still differs
  from process to process, by around a percent (placement of pages, alignment).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseModel:
    """What moves a device's latency. All sizes are natural logarithms of a factor, so 0.03 is about 3 %.

    Attributes:
        name: what kind of device this is.
        session: standard deviation from process to process.
        night: standard deviation of the whole night's level (room, charge, what else was installed).
        drift: standard deviation of the warming or cooling from a run's first session to its last.
        outliers: share of sessions that something in the background disturbs.
        outlier_size: (least, most) slow-down of those.
        burst: share of sessions that lie within a spell of foreign load.
        burst_sessions: mean length of such a spell.
        burst_size: (least, most) slow-down in a spell.
        throttled: share of runs in which the device grows too hot at some session, from which on it is slower.
        throttle_size: (least, most) slow-down from then on.
        throttle_seen: share of throttled sessions that the watch notices, and which are then invalid.
        lost: share of sessions that end without a figure (connection, memory).
        bad_nights: share of nights on which sessions scatter more and are disturbed more often.
        bad_scatter: factor on `session` and on `outliers` in those.
        epoch_nights: mean nights between changes that last (updates, another battery, another desk).
        epoch_size: standard deviation of what such a change does to the level.
        epoch_seen: share of such changes that the fingerprint shows.
    """

    name: str
    session: float
    night: float
    drift: float
    outliers: float = 0.0
    outlier_size: tuple[float, float] = (0.0, 0.0)
    burst: float = 0.0
    burst_sessions: float = 1.0
    burst_size: tuple[float, float] = (0.0, 0.0)
    throttled: float = 0.0
    throttle_size: tuple[float, float] = (0.0, 0.0)
    throttle_seen: float = 0.8
    lost: float = 0.005
    bad_nights: float = 0.0
    bad_scatter: float = 3.0
    epoch_nights: float = 60.0
    epoch_size: float = 0.03
    epoch_seen: float = 0.7


# A Raspberry Pi with a fan, its clock fixed: processes differ by about a percent, and little else moves.
LOCKED_BOARD = NoiseModel(
    "locked board",
    session=0.008,
    night=0.005,
    drift=0.004,
    outliers=0.02,
    outlier_size=(0.02, 0.10),
    lost=0.002,
    bad_nights=0.01,
    epoch_nights=90.0,
    epoch_size=0.02,
)

# A phone as it was bought: governor and scheduler choose clocks and cores. 3 % from session to session is UL's ideal
# range taken as a standard deviation; with the night's level, outliers, heat and bad nights the total is near 9 %.
STOCK_PHONE = NoiseModel(
    "stock phone",
    session=0.03,
    night=0.03,
    drift=0.03,
    outliers=0.06,
    outlier_size=(0.05, 0.45),
    throttled=0.10,
    throttle_size=(0.05, 0.30),
    lost=0.01,
    bad_nights=0.05,
    epoch_nights=45.0,
    epoch_size=0.05,
)

# A virtual machine with neighbours: their load comes in spells of minutes, and nothing announces it.
SHARED_MACHINE = NoiseModel(
    "shared machine",
    session=0.025,
    night=0.04,
    drift=0.02,
    outliers=0.05,
    outlier_size=(0.05, 0.50),
    burst=0.25,
    burst_sessions=5.0,
    burst_size=(0.05, 0.40),
    bad_nights=0.10,
    epoch_nights=60.0,
    epoch_size=0.05,
)

MODELS = (LOCKED_BOARD, STOCK_PHONE, SHARED_MACHINE)


@dataclass(frozen=True)
class Nights:
    """Simulated nights of one device.

    Attributes:
        factors: [nights, runs, sessions] in the order in which they are measured; NaN where a session is invalid.
        epochs: [nights], a number that changes when the fingerprint does.
    """

    factors: Floats
    epochs: NDArray[np.int64]


def simulate(model: NoiseModel, nights: int, sessions: int, seed: int, runs: int = 2) -> Nights:
    """Nights of one device, one after the other. A night's runs share its level, and whether it is a bad one.

    Args:
        model: of the noise.
        nights: how many.
        sessions: of one run.
        seed: the same seed gives the same nights.
        runs: with a pause before each, in which the device cools down.
    """
    rng = np.random.default_rng(seed)
    shape = (nights, runs, sessions)
    bad = np.where(rng.random((nights, 1, 1)) < model.bad_nights, model.bad_scatter, 1.0)
    levels, epochs = _epochs(model, nights, rng)
    log = (levels + model.night * rng.standard_normal(nights))[:, None, None]
    log = log + model.session * bad * rng.standard_normal(shape)
    log += model.drift * rng.standard_normal((nights, runs, 1)) * _warming(sessions)
    log += np.where(rng.random(shape) < model.outliers * bad, rng.uniform(*model.outlier_size, shape), 0.0)
    log += _bursts(model, shape, rng)
    slower, seen = _throttling(model, shape, rng)
    invalid = seen | (rng.random(shape) < model.lost)
    return Nights(np.where(invalid, np.nan, np.exp(log + slower)), epochs)


def session_factors(model: NoiseModel, sessions: int, seed: int) -> Floats:
    """Factors [sessions] of one run of one night, NaN where a session is invalid."""
    factors: Floats = simulate(model, 1, sessions, seed, runs=1).factors[0, 0]
    return factors


def _epochs(model: NoiseModel, nights: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Level of each night from lasting changes, and the fingerprint's number."""
    changes = rng.random(nights) < 1.0 / model.epoch_nights
    levels = np.cumsum(np.where(changes, model.epoch_size * rng.standard_normal(nights), 0.0))
    return levels, np.cumsum(changes & (rng.random(nights) < model.epoch_seen))


def _warming(sessions: int) -> Floats:
    """Share of the drift that each session has [sessions]: fast at first, then slower, as things warm up."""
    warmed: Floats = 1.0 - np.exp(-3.0 * np.arange(sessions) / max(sessions - 1, 1))
    return warmed


def _bursts(model: NoiseModel, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Slow-down [nights, runs, sessions] from spells of foreign load, a Markov chain with two states."""
    found = np.zeros(shape)
    if model.burst == 0.0:
        return found
    leave = 1.0 / model.burst_sessions
    enter = leave * model.burst / (1.0 - model.burst)
    inside = rng.random(shape[:2]) < model.burst
    size = rng.uniform(*model.burst_size, shape[:2])
    for session in range(shape[2]):
        found[:, :, session] = np.where(inside, size, 0.0)
        turn = rng.random(shape[:2])
        entering = ~inside & (turn < enter)
        size = np.where(entering, rng.uniform(*model.burst_size, shape[:2]), size)
        inside = np.where(inside, turn >= leave, entering)
    return found


def _throttling(
    model: NoiseModel, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Slow-down from a session on, and which of those the watch notices."""
    start = np.where(rng.random(shape[:2]) < model.throttled, rng.integers(0, shape[2], shape[:2]), shape[2])
    hot = np.arange(shape[2]) >= start[:, :, None]
    slower = np.where(hot, rng.uniform(*model.throttle_size, (*shape[:2], 1)), 0.0)
    return slower, hot & (rng.random(shape) < model.throttle_seen)
