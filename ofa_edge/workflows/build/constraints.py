"""What a network has to keep besides its latency budget: from options and target files to what a search understands."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ofa_edge import cost
from ofa_edge.cost.bytes import SizeModel, peak_table
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.runtimes import Runtime, require
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.limits import Limit
from ofa_edge.shown import pasteable
from ofa_edge.space import Genomes, Space
from ofa_edge.supernet import zoo
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import numbers

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20, "b": 1}


@dataclass(frozen=True)
class Constraints:
    """What the user asked for; None: no limit.

    Attributes:
        max_macs: multiply-accumulates of one inference.
        max_size: bytes of the artifact.
        max_memory: bytes of activations in memory at the same time.
        min_accuracy: predicted top-1, 0..1; the latency is then minimised.
        kernels: kernel sizes to choose from.
        also: other targets' budgets: (name, milliseconds).
    """

    max_macs: float | None = None
    max_size: float | None = None
    max_memory: float | None = None
    min_accuracy: float | None = None
    kernels: tuple[int, ...] | None = None
    also: tuple[tuple[str, float], ...] = ()


def parse_quantity(text: str, option: str) -> float:
    """A number with a unit: 8M, 350kB, 1.5MiB. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].lower() not in _UNITS or float(match[1]) <= 0:
        raise ConfigError(
            f"bad quantity for {option}", f"{text!r}", f"{option} 8M, or 350kB, 1.5MiB: a number above 0 and a unit"
        )
    return float(match[1]) * _UNITS[match[2].lower()]


def parse_target_budget(text: str) -> tuple[str, float]:
    """`NAME=20ms` or `NAME=20`. Raises ConfigError."""
    name, _, value = text.rpartition("=")
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms)?", value.strip())
    if not name or match is None or float(match[1]) <= 0:
        raise ConfigError("bad budget of another target", f"--also {text}", "--also pixel-4=20ms")
    return name, float(match[1])


def parse_kernels(text: str) -> tuple[int, ...]:
    """`3,5`. Raises ConfigError."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise ConfigError("bad kernel sizes", f"--kernels {text}", "--kernels 3, or --kernels 3,5")
    return tuple(sorted({int(each) for each in text.split(",")}))


def require_able(name: str, space: Space, target: Target) -> None:
    """Raise UnsupportedError where a supernet holds operators that the target may not; name supernets that do not."""
    banned = _banned(space, target)
    if banned:
        able = [each for each, other in zoo.UNTRAINED.items() if not _banned(other, target)]
        raise UnsupportedError(
            f"supernet '{name}' has {' and '.join(banned)}, which {target.name} may not have",
            f"{target.path}: [search] says so, and no subnet of it is without",
            " or ".join(pasteable("--supernet", each) for each in able) or f"change [search] of {target.path.name}",
        )


def _banned(space: Space, target: Target) -> list[str]:
    """Operators of every subnet that the target bans."""
    found, shape = [], space.shape
    if not target.search.squeeze_excite and any(stage.squeeze for stage in shape.stages):
        found.append("squeeze-and-excite")
    if not target.search.hard_swish and any(part.activation == "h_swish" for part in shape.parts):
        found.append("hard-swish")
    if target.search.kernels is not None and not set(target.search.kernels) & set(space.kernels):
        found.append("no kernel of " + " or ".join(map(str, target.search.kernels)))
    return found


def searched_part(constraints: Constraints, space: Space, target: Target) -> Space | None:
    """The part of the space with the kernels that the options and the target leave; None where that is all of it.

    Raises:
        ConfigError: a kernel that the space does not have, or none that both allow.
    """
    asked, able = constraints.kernels, target.search.kernels
    if asked is not None and not set(asked) <= set(space.kernels):
        own = ",".join(map(str, space.kernels))
        raise ConfigError(
            f"space '{space.name}' has no such kernel", f"--kernels {','.join(map(str, asked))}", f"--kernels {own}"
        )
    left = tuple(k for k in space.kernels if (asked is None or k in asked) and (able is None or k in able))
    if not left:
        raise ConfigError(
            f"--kernels and target {target.name} contradict each other",
            f"--kernels {','.join(map(str, asked or ()))}; {target.path.name}: [search] kernels = {list(able or ())}",
            f"--kernels {','.join(map(str, able or ()))}",
        )
    return None if left == space.kernels else space.restricted(kernels=left)


def limits_of(
    constraints: Constraints, space: Space, runtime: Runtime, precision: str, *, outside_key: bool
) -> tuple[Limit, ...]:
    """What a search has to keep, with the functions that measure it.

    Raises:
        UnsupportedError: nothing predicts the size of such artifacts, or another target cannot run them.
        UnknownNameError: another target that does not exist.
    """
    limits = []
    if constraints.max_macs is not None:
        macs = cost.macs_table(space)
        limits.append(Limit("MACs", "--max-macs", lambda rows: macs(rows)[:, 0], constraints.max_macs))
    if constraints.max_size is not None:
        model = size_model(runtime, precision)
        size, margin = model.table(space), 1 + model.error
        name = f"artifact size (+{100 * model.error:.1f} % for the size model's error)"
        limits.append(Limit(name, "--max-size", lambda rows: margin * size(rows)[:, 0], constraints.max_size, "bytes"))
    if constraints.max_memory is not None:
        peak, each = peak_table(space), numbers(precision).map_bytes
        limits.append(
            Limit(
                "peak memory of maps",
                "--max-memory",
                lambda rows: each * peak.most(rows)[:, 0],
                constraints.max_memory,
                "bytes",
            )
        )
    limits += [_other_target(name, ms, space, outside_key) for name, ms in constraints.also]
    return tuple(limits)


def size_model(runtime: Runtime, precision: str) -> SizeModel:
    """The size model of a kind of artifact. Raises UnsupportedError where no such artifacts were recorded."""
    found = runtime.sizes.get(numbers(precision).base)
    if found is None:
        known = ", ".join(runtime.sizes) or "none"
        raise UnsupportedError(
            f"the size of {runtime.name} {precision} artifacts cannot be predicted",
            f"none were recorded to fit a size model to; known of {runtime.name}: {known}",
            "leave out --max-size, or choose one of those",
        )
    return found


def _other_target(name: str, budget_ms: float, space: Space, outside_key: bool) -> Limit:
    target = load_target(name)
    runtime = require(target, target.runtime.kind, target.defaults.precision)
    model = runtime.latency_model(target, space, target.defaults.precision, outside_key=outside_key)

    def latency(genomes: Genomes) -> Floats:
        return np.asarray(model.predict_many(genomes).ms, dtype=np.float64)

    return Limit(f"latency on {target.name}", f"--also {target.name}=MS:", latency, budget_ms, "ms")


def quantities(space: Space, runtime: Runtime, precision: str) -> dict[str, Callable[[Genomes], Floats]]:
    """Further axes of a front: MACs, bytes of the artifact (where a size model is there), bytes of maps."""
    macs, peak, each = cost.macs_table(space), peak_table(space), numbers(precision).map_bytes
    found: dict[str, Score] = {
        "macs": lambda rows: macs(rows)[:, 0],
        "memory_bytes": lambda rows: each * peak.most(rows)[:, 0],
    }
    try:
        size = size_model(runtime, precision).table(space)
    except UnsupportedError:
        return found
    return {**found, "size_bytes": lambda rows: size(rows)[:, 0]}
