"""Latency models carried over to other hardware by its figures: analytic, and the wider the less is known of it."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ofa_edge.errors import UnsupportedError
from ofa_edge.latency.analytic import TERMS
from ofa_edge.latency.load import AnalyticFacts, AnalyticFile, read_latency_file
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.schema import validated
from ofa_edge.shown import pasteable
from ofa_edge.target_schema import Hardware
from ofa_edge.targets import Target

_ARITHMETIC = ("conv", "pointwise", "depthwise", "wide_depthwise", "grouped", "windows", "elementwise")
_MEMORY = ("activations", "spilled", "weights")

# Standard deviations of ln(milliseconds). 0.35: cores reach different shares of their peaks, by 1.4 either way (what
# held-out devices are off by in benchmarks/fit_latency.py is 0.2 to 0.4). A figure that nobody gave: by 4 either way.
_CARRIED, _NOT_KNOWN = 0.35, math.log(4)


@dataclass(frozen=True)
class Board:
    """New hardware: its name in words, its table, and how many threads it runs."""

    device: str
    hardware: Hardware
    threads: int

    @property
    def key(self) -> dict[str, object]:
        """What of a model's key is of the device."""
        return {"device": self.device, "threads": self.threads, "os_build": None, "runtime_digest": None}


@dataclass(frozen=True)
class Figures:
    """What is known of new hardware; None where it is not.

    Attributes:
        cpu: as compilers name it.
        cores: of it.
        peak_gmacs: of all threads in fp32, 1e9 multiply-accumulates a second.
        memory_gbps: 1e9 bytes a second.
    """

    cpu: str | None = None
    cores: int | None = None
    peak_gmacs: float | None = None
    memory_gbps: float | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of what is not known."""
        return tuple(each.name for each in dataclasses.fields(self) if getattr(self, each.name) is None)


def hardware_of(figures: Figures, like: Hardware) -> Hardware:
    """A table of hardware: what is known, and the other's figure for what is not.

    A core of another kind is given no fp16 and no int8 peak: that the other has them says nothing of it.
    """
    facts = like.model_dump()
    facts |= {"cpu": figures.cpu or like.cpu, "cores": figures.cores or like.cores, "gpu": None}
    facts["clock_ghz"] = None  # a board's own
    facts |= {"peak_gmacs_fp32": figures.peak_gmacs or like.peak_gmacs_fp32}
    facts |= {"memory_gbps": figures.memory_gbps or like.memory_gbps}
    ratio = facts["peak_gmacs_fp32"] / like.peak_gmacs_fp32
    for name in ("peak_gmacs_fp16", "peak_gmacs_int8"):
        own = getattr(like, name)
        facts[name] = own * ratio if own is not None and figures.cpu == like.cpu else None
    return Hardware.model_validate(facts)


def carried_over(target: Target, new: Board, figures: Figures) -> AnalyticFile:
    """The target's latency models for other hardware.

    Arithmetic is scaled by the peaks of the precision, traffic by the memory, dispatch by the peak of one core; each
    group is off as a whole by a deviation of its own, which is large where its figure is not known.

    Args:
        target: whose models; those of its usual runtime are carried over.
        new: what they are carried to.
        figures: which of its hardware is known.

    Raises:
        UnsupportedError: the target's models are of blocks that were measured, which no figure scales.
        ConfigError: its latency file is damaged.
    """
    file = read_latency_file(target.latency_path)
    if not isinstance(file, AnalyticFile):
        raise UnsupportedError(
            f"{target.name} cannot be carried over to other hardware",
            f"{target.latency_path}: its latency model is a {file.kind} one, of measurements on the device itself",
            "--like a target whose model is analytic: ofa-edge targets list",
        )
    models = [_carried(each, target, new, figures) for each in file.models if each.key.runtime == target.runtime.kind]
    facts = {"schema": 2, "kind": "analytic", "space": file.space, "resolutions": file.resolutions, "models": models}
    return validated(AnalyticFile, facts, "latency file", target.latency_path, "report this")


def _carried(model: AnalyticFacts, target: Target, new: Board, figures: Figures) -> dict[str, object]:
    precision, like, hardware = model.key.precision, target.hardware, new.hardware
    peaks = like.peak_gmacs(precision) / hardware.peak_gmacs(precision)
    one_core = (like.peak_gmacs_fp32 / target.runtime.threads) / (hardware.peak_gmacs_fp32 / new.threads)
    memory = like.memory_gbps / hardware.memory_gbps
    doubts = {"arithmetic": figures.peak_gmacs, "memory": figures.memory_gbps, "dispatch": figures.peak_gmacs}
    deviations = {name: _CARRIED if known is not None else _NOT_KNOWN for name, known in doubts.items()}
    factors, groups = np.ones(len(TERMS)), []
    for terms, factor, name in ((_ARITHMETIC, peaks, "arithmetic"), (_MEMORY, memory, "memory")):
        places = [TERMS.index(term) for term in terms]
        factors[places] = factor
        groups.append((places, deviations[name]))
    rest = [place for place, term in enumerate(TERMS) if term not in (*_ARITHMETIC, *_MEMORY)]
    factors[rest] = one_core
    covariance = np.array(model.log_covariance)
    for places, deviation in (*groups, (rest, deviations["dispatch"])):
        covariance[np.ix_(places, places)] += deviation**2
    unknown = f" Not known, and taken from there: {', '.join(figures.unknown)}." if figures.unknown else ""
    facts = model.model_dump(mode="python")
    words = (
        f"Nothing was measured on it. The models of {target.name}, carried over by the hardware's peaks and memory, "
        f"with wider intervals.{unknown} Those were: {model.provenance.fitted_to}"
    )
    provenance = dataclasses.asdict(model.provenance) | {"kind": "analytic", "fitted_to": words, "cross_validation": ()}
    return facts | {
        "key": dataclasses.asdict(model.key) | new.key,
        "provenance": provenance | {"command": pasteable("ofa-edge", "targets", "new", "--like", target.name)},
        "coefficients": {term: float(model.coefficients[term] * factors[place]) for place, term in enumerate(TERMS)},
        "log_covariance": tuple(tuple(map(float, row)) for row in covariance),
        # What held-out networks needed there was measured there: what was added here is a Gaussian's.
        "reach50": max(model.reach50, Z50),
        "reach90": max(model.reach90, Z90),
    }
