"""Read a target's latency file, find the model that holds for what is asked, and bind it to a space."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ofa_edge.cost import macs
from ofa_edge.errors import ConfigError, SpaceMismatchError, UnsupportedError
from ofa_edge.files import bounded_text, parse_json
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients, Lowering
from ofa_edge.latency.completed import complete
from ofa_edge.latency.entries import LONGEST_MS, Entry
from ofa_edge.latency.fitted import FittedModel, NetworkSample, Reach, UnitSample
from ofa_edge.latency.posterior import Widths
from ofa_edge.latency.protocol import Key, LatencyModel, OutsideKey, Provenance, ScaledLatency
from ofa_edge.latency.silicon import OnSilicon, Silicon
from ofa_edge.latency.table import TableModel
from ofa_edge.schema import Strict, validated
from ofa_edge.shown import pasteable
from ofa_edge.space import Space
from ofa_edge.targets import Target
from ofa_edge.vocabulary import numbers

_WIDEST = 10.0  # standard deviation of ln(latency): a factor of 22,000
_FURTHEST = 1000.0  # standard deviations
# By which power of the number of threads a term's time changes where a file does not say: what CPUs do as a rule.
_SPREAD = ("conv", "pointwise", "depthwise", "wide_depthwise", "grouped", "windows", "elementwise")
THREAD_POWERS = dict.fromkeys(_SPREAD, -0.85) | dict.fromkeys(("activations", "spilled", "weights"), -0.4)
_WHOLE_POWER = -0.75  # of a measured block or network
_LARGEST = 64_000_000  # bytes; a table of the reference has a tenth of it


class CoefficientFacts(Strict):
    """`Coefficients`, as they stand in a file."""

    coefficients: dict[str, float]  # milliseconds per unit of each term
    log_covariance: tuple[tuple[float, ...], ...]
    log_scatter: float = Field(ge=0, le=_WIDEST)
    reach50: float = Field(ge=0.1, le=_FURTHEST)
    reach90: float = Field(ge=0.3, le=_FURTHEST)
    activation_bytes: Literal[1, 2, 4]
    weight_bytes: Literal[1, 2, 4]
    depthwise_taps: int | None = Field(default=None, ge=1, lt=1 << 31)  # see `Lowering`, as of the next
    hard_swish: int = Field(default=1, ge=1, lt=1 << 31)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        size = len(TERMS)
        if set(self.coefficients) != set(TERMS):
            raise ValueError(f"coefficients has not exactly the terms {', '.join(TERMS)}")
        if not 0 <= min(self.coefficients.values()) <= max(self.coefficients.values()) <= LONGEST_MS:
            raise ValueError(f"coefficients holds a value that is not within 0..{LONGEST_MS:g} ms")
        if not any(self.coefficients.values()):
            raise ValueError("coefficients are all 0")
        if self.reach50 >= self.reach90:
            raise ValueError("reach50 is not below reach90: the intervals would not nest")
        if len(self.log_covariance) != size or any(len(row) != size for row in self.log_covariance):
            raise ValueError(f"log_covariance is not {size} x {size}")
        matrix = np.array(self.log_covariance)
        if np.abs(matrix).max() > _WIDEST**2:
            raise ValueError(f"log_covariance holds a value beyond {_WIDEST**2:g}")
        if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12):
            raise ValueError("log_covariance is not a covariance: it is not symmetric")
        if np.linalg.eigvalsh((matrix + matrix.T) / 2)[0] < -1e-6:
            raise ValueError("log_covariance is not a covariance: it has a negative eigenvalue")
        return self

    def read(self) -> Coefficients:
        """What no space shapes."""
        return Coefficients(
            ms=np.array([self.coefficients[term] for term in TERMS]),
            log_covariance=np.array(self.log_covariance),
            log_scatter=self.log_scatter,
            reach50=self.reach50,
            reach90=self.reach90,
            lowering=Lowering(self.activation_bytes, self.weight_bytes, self.depthwise_taps, self.hard_swish),
        )


class AnalyticFacts(CoefficientFacts):
    """One analytic model of a latency file.

    Each term takes (threads / the key's threads) ** `thread_powers` times as long on another number of threads, within
    a deviation of `thread_doubt` for each e-fold.
    """

    key: Key
    provenance: Provenance
    silicon: Silicon | None = None  # where the milliseconds are a compiler's
    thread_powers: dict[str, Annotated[float, Field(ge=-3, le=3)]] = Field(default_factory=dict)  # missing: usual
    thread_doubt: float = Field(default=0.3, ge=0, le=_WIDEST)

    def on_threads(self, threads: int) -> Self:
        """The same model on another number of threads, as sure as its own coefficients."""
        ratio = threads / self.key.threads
        powers = THREAD_POWERS | self.thread_powers
        moved = {term: ms * ratio ** powers.get(term, 0.0) for term, ms in self.coefficients.items()}
        return self.model_copy(update={"coefficients": moved})

    def bind(self, space: Space) -> AnalyticModel:
        """The model over one space."""
        return AnalyticModel(space, self.read(), self.key, self.provenance)


class TableFacts(Strict):
    """One table model of a latency file: entries by resolution, then by the reference's keys."""

    key: Key
    provenance: Provenance
    silicon: Silicon | None = None
    tables: dict[Annotated[str, Field(pattern="^[1-9][0-9]*$")], dict[str, Entry]] = Field(min_length=1)
    log_scatter: float = Field(gt=0, le=_WIDEST)

    def bind(self, space: Space) -> TableModel:
        """The model over its space."""
        tables = {int(size): table for size, table in self.tables.items()}
        return TableModel(space, tables, self.key, self.provenance, self.log_scatter)


class NetworkSampleFacts(Strict):
    """`NetworkSample`, as it stands in a file."""

    subnet: dict[str, Any]
    ms: float = Field(gt=0, le=LONGEST_MS)
    sd: float = Field(ge=0, le=LONGEST_MS)


class FittedFacts(Strict):
    """One fitted model of a latency file: the prior and the measurements, from which the model follows."""

    key: Key
    provenance: Provenance
    silicon: Silicon | None = None
    prior: CoefficientFacts
    units: tuple[UnitSample, ...]
    networks: tuple[NetworkSampleFacts, ...]
    widths: Widths
    reach50: float = Field(gt=0, le=_FURTHEST)
    reach90: float = Field(gt=0, le=_FURTHEST)

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if self.reach50 >= self.reach90:
            raise ValueError("reach50 is not below reach90: the intervals would not nest")
        return self

    @classmethod
    def of(cls, model: FittedModel) -> Self:
        """The facts that give `model` again."""
        prior = model.prior
        facts = {
            "key": dataclasses.asdict(model.key),
            "provenance": dataclasses.asdict(model.provenance),
            "prior": {
                "coefficients": dict(zip(TERMS, prior.ms.tolist(), strict=True)),
                "log_covariance": prior.log_covariance.tolist(),
                "log_scatter": prior.log_scatter,
                "reach50": prior.reach50,
                "reach90": prior.reach90,
                **dataclasses.asdict(prior.lowering),
            },
            "units": [dataclasses.asdict(sample) for sample in model.units],
            "networks": [
                {"subnet": sample.subnet.config(), "ms": sample.ms, "sd": sample.sd} for sample in model.networks
            ],
            "widths": dataclasses.asdict(model.widths),
            "reach50": model.reach.half,
            "reach90": model.reach.most,
        }
        return cls.model_validate_json(json.dumps(facts))

    def bind(self, space: Space) -> FittedModel:
        """The model over its space."""
        networks = [NetworkSample(space.from_config(each.subnet), each.ms, each.sd) for each in self.networks]
        return FittedModel(
            space,
            self.prior.read(),
            list(self.units),
            networks,
            self.widths,
            Reach(self.reach50, self.reach90),
            self.key,
            self.provenance,
        )


class _File(Strict):
    schema_version: Literal[2] = Field(alias="schema")
    resolutions: tuple[Annotated[int, Field(ge=1, le=8192)], ...] | None = Field(
        default=None, min_length=1
    )  # the space's


class AnalyticFile(_File):
    """Analytic models. `space` is the hash of the one space they hold for; null where they hold for any.

    A file that says the input sizes behind the hash holds for the same networks at other sizes too.
    """

    kind: Literal["analytic"]
    space: str | None = None
    models: tuple[AnalyticFacts, ...] = Field(min_length=1)


class TableFile(_File):
    """Table models, which hold for one space."""

    kind: Literal["table"]
    space: str = Field(pattern="^[0-9a-f]{64}$")
    models: tuple[TableFacts, ...] = Field(min_length=1)


class FittedFile(_File):
    """Fitted models, which hold for the space that was measured."""

    kind: Literal["fitted"]
    space: str = Field(pattern="^[0-9a-f]{64}$")
    models: tuple[FittedFacts, ...] = Field(min_length=1)


LatencyFile = AnalyticFile | TableFile | FittedFile
ModelFacts = AnalyticFacts | TableFacts | FittedFacts
_FILES: dict[str, type[LatencyFile]] = {"analytic": AnalyticFile, "table": TableFile, "fitted": FittedFile}


def read_latency_file(path: Path) -> LatencyFile:
    """Read and check a latency file.

    Raises:
        ConfigError: missing, damaged, or not a latency file; names the file and the key.
    """
    hint = "reinstall ofa-edge, or name another file in [latency_model] of the target file"
    try:
        content = parse_json(bounded_text(path, _LARGEST))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"cannot read latency file {path.name}", f"{path}: {error}", hint) from error
    kind = content.get("kind") if isinstance(content, dict) else None
    complete(content)
    schema = _FILES.get(str(kind), AnalyticFile)
    return validated(schema, content, f"latency file {path.name}", path, hint)


def load_latency_model(
    target: Target,
    space: Space,
    runtime: str,
    precision: str,
    version: str | None = None,
    *,
    outside_key: bool = False,
    silicon: bool = True,
) -> LatencyModel:
    """The latency model of a target for one space, runtime and precision.

    Args:
        target: the target.
        space: the space whose subnets are to be predicted.
        runtime: a runtime's name.
        precision: of the artifact; a variant has the model of its base.
        version: another runtime version that the file knows; by default the first, which is what `build` produces for.
        outside_key: where no model holds, take the nearest, widened and labelled.
        silicon: of a compiler's milliseconds, what silicon takes of them; False: as the compiler has them.

    Raises:
        UnsupportedError: the target cannot run this, or its file has no such model.
        SpaceMismatchError: the file was made for another space.
        ConfigError: the file is damaged, lacks entries, or holds for another number of threads.
    """
    path = target.latency_path
    found, outside, doubt = find_facts(target, runtime, precision, version, outside_key=outside_key)
    file = read_latency_file(path)
    if file.space not in (None, space.hash, space.hash_at(file.resolutions or space.resolutions)):
        raise SpaceMismatchError(
            f"latency file {path.name} was made for another search space",
            f"{path}: space {file.space[:12]}; '{space.name}' is {space.hash[:12]}",
            "use the supernet that the file was made for, or a latency file without a space",
        )
    model: LatencyModel = found.bind(space)
    if "threads" in outside and not isinstance(found, AnalyticFacts):
        model = ScaledLatency(model, (target.runtime.threads / found.key.threads) ** _WHOLE_POWER)
    if found.silicon is not None and silicon:
        model = OnSilicon(model, found.silicon)
    model = OutsideKey(model, tuple(outside.values()), doubt) if outside else model
    _require_possible(model, target, space, precision)
    return model


def _require_possible(model: LatencyModel, target: Target, space: Space, precision: str) -> None:
    """Raise ConfigError where even the slow end of a prediction is beyond what the target's hardware computes.

    A rate of 0, or one that lost its digits, would make every subnet fit every budget.
    """
    subnet, peak = space.largest(), target.hardware.peak_gmacs(precision)
    found, floor_ms = model.predict(subnet), macs(space, subnet) / (1.5 * peak * 1e9) * 1e3
    if not float(found.high90) >= floor_ms:
        raise ConfigError(
            f"the latency model of {target.name} predicts the impossible",
            f"{target.latency_path}: {float(found.ms):.3g} ms for the largest subnet of '{space.name}' "
            f"({float(found.high90):.3g} at the slow end of 90 %); at 1.5 times the hardware's peak, {peak:g} G MAC/s, "
            f"it takes {floor_ms:.3g} ms",
            f"{pasteable('ofa-edge', 'targets', 'validate', target.path)}; correct the peak, or the latency file",
        )


# Standard deviations of ln(latency) by what differs; a factor of 2 either way is 0.69. Threads move the median.
_DOUBTS = {
    "runtime": math.log(3),
    "device": math.log(3),
    "accelerator": math.log(3),
    "precision": math.log(2),
    "version": math.log(1.5),
}


def _doubt_of(outside: Iterable[str], model: ModelFacts, threads: int) -> float:
    """Standard deviation of ln(latency) that these differences add."""
    spread = model.thread_doubt if isinstance(model, AnalyticFacts) else 0.3
    by_threads = spread * abs(math.log(threads / model.key.threads))
    return math.hypot(*(by_threads if part == "threads" else _DOUBTS[part] for part in outside))


def _same_device(target: Target, device: str) -> bool:
    """Whether a key's device can be the target's: its description names it, or its models do."""
    own = f" {_plain(device.partition(' / ')[0].partition('(')[0])} "
    patterns = target.identity.models if target.identity is not None else ()
    names = [f" {_plain(pattern.partition('*')[0])} " for pattern in patterns]
    return own in f" {_plain(target.description)} " or any(name in own or own in name for name in names)


def _plain(words: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", words.lower()))


def find_facts(
    target: Target, runtime: str, precision: str, version: str | None = None, *, outside_key: bool = False
) -> tuple[ModelFacts, dict[str, str], float]:
    """The model of a target's file that holds, how its key differs from what is asked, and what that adds in doubt.

    Nothing differs unless `outside_key` allows it. The differences are sentences, by the part of the key; the doubt is
    a standard deviation of ln(latency). An analytic model comes for the number of threads that is asked for.

    Raises: see `load_latency_model`.
    """
    path = target.latency_path
    models: Sequence[ModelFacts] = read_latency_file(path).models
    threads = target.runtime.threads
    asked = {"runtime": runtime, "precision": numbers(precision).base, "version": version, "threads": threads}

    def differences(model: ModelFacts) -> dict[str, str]:
        pairs: list[tuple[str, Any, Any]] = [(part, want, getattr(model.key, part)) for part, want in asked.items()]
        found = {
            part: f"{part} {want} is asked for, the model holds for {has}"
            for part, want, has in pairs
            if want is not None and want != has
        }
        if not _same_device(target, model.key.device):
            found["device"] = f"the device is {target.description}, the model holds for {model.key.device}"
        if model.key.accelerator not in (None, target.accelerator_digest):
            found["accelerator"] = f"the model holds for the accelerator of {model.key.device}, before it was changed"
        return found

    ranked = [(differences(model), model) for model in models]
    if outside_key:
        outside, nearest = min(ranked, key=lambda pair: _doubt_of(pair[0], pair[1], threads) if pair[0] else 0.0)
        doubt = _doubt_of(outside, nearest, threads)
        if "threads" in outside and isinstance(nearest, AnalyticFacts):
            nearest = nearest.on_threads(threads)
        return nearest, outside, doubt
    for outside, model in ranked:
        if not outside:
            return model, {}, 0.0
    for outside, model in ranked:
        if set(outside) == {"threads"}:
            raise ConfigError(
                f"latency file {path.name} holds for another number of threads",
                f"{path}: {model.key.threads} threads; {target.path.name} says runtime.threads = {threads}",
                f"set runtime.threads = {model.key.threads}, name another latency file, or --outside-key",
            )
        if set(outside) == {"accelerator"}:
            raise ConfigError(
                f"latency file {path.name} holds for another accelerator",
                f"{path}: [npu] or [array] of {target.path.name}, or a file that it names, is not what it was made for",
                f"{pasteable('ofa-edge', 'calibrate', '--target', target.path)}, without a device, or --outside-key",
            )
        if set(outside) == {"device"}:
            raise ConfigError(
                f"latency file {path.name} holds for another device",
                f"{path}: key.device = '{model.key.device}'; {target.path.name} is '{target.description}'",
                "name that device's own latency file, name the device in the target's description or [identity] models "
                "if it is the same, or --outside-key",
            )
    known = ", ".join(f"{model.key.runtime} {model.key.precision} ({model.key.version})" for model in models)
    raise UnsupportedError(
        f"no latency model for {target.name} with {runtime} {precision}" + (f" {version}" if version else ""),
        f"{path} holds: {known}",
        f"{pasteable('ofa-edge', 'targets', 'show', target.name)}, or --outside-key for a wide guess",
    )
