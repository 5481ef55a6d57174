"""Read a target's latency file and bind it to a space."""

import json
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ofa_edge.errors import ConfigError, SpaceMismatchError, UnsupportedError
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients, Lowering
from ofa_edge.latency.protocol import CrossValidation, Key, LatencyModel, Provenance
from ofa_edge.space import Space
from ofa_edge.targets import Target, require


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class KeyFacts(_Table):
    """`Key`, as it stands in a file."""

    device: str
    runtime: str
    version: str
    precision: str
    threads: int = Field(ge=1)


class CrossValidationFacts(_Table):
    """`CrossValidation`, as it stands in a file."""

    held_out: str
    networks: int = Field(ge=1)
    mape: float = Field(ge=0)
    bias: float
    spearman: float | None
    coverage50: float = Field(ge=0, le=1)
    coverage90: float = Field(ge=0, le=1)


class ProvenanceFacts(_Table):
    """`Provenance`, as it stands in a file."""

    kind: Literal["measured", "published", "analytic"]
    fitted_to: str
    sources: tuple[str, ...]
    command: str
    cross_validation: tuple[CrossValidationFacts, ...] = ()


class ModelFacts(_Table):
    """One model of a latency file."""

    key: KeyFacts
    provenance: ProvenanceFacts
    coefficients: dict[str, float]  # milliseconds per unit of each term
    log_covariance: tuple[tuple[float, ...], ...]
    log_scatter: float = Field(ge=0)
    reach50: float = Field(ge=0.67)
    reach90: float = Field(ge=1.64)
    activation_bytes: Literal[1, 2, 4]
    weight_bytes: Literal[1, 2, 4]
    depthwise_taps: int | None = Field(default=None, ge=1)  # see `Lowering`, as of the next
    hard_swish: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        size = len(TERMS)
        if set(self.coefficients) != set(TERMS):
            raise ValueError(f"coefficients has not exactly the terms {', '.join(TERMS)}")
        if not all(np.isfinite(value) and value >= 0 for value in self.coefficients.values()):
            raise ValueError("coefficients holds a value that is negative or not finite")
        if not any(self.coefficients.values()):
            raise ValueError("coefficients are all 0")
        if self.reach50 >= self.reach90:
            raise ValueError("reach50 is not below reach90: the intervals would not nest")
        if len(self.log_covariance) != size or any(len(row) != size for row in self.log_covariance):
            raise ValueError(f"log_covariance is not {size} x {size}")
        matrix = np.array(self.log_covariance)
        if not np.isfinite(matrix).all() or np.linalg.eigvalsh((matrix + matrix.T) / 2)[0] < -1e-6:
            raise ValueError("log_covariance is not a covariance: it has a negative eigenvalue")
        return self

    def bind(self, space: Space) -> AnalyticModel:
        """The model over one space."""
        coefficients = Coefficients(
            ms=np.array([self.coefficients[term] for term in TERMS]),
            log_covariance=np.array(self.log_covariance),
            log_scatter=self.log_scatter,
            reach50=self.reach50,
            reach90=self.reach90,
            lowering=Lowering(self.activation_bytes, self.weight_bytes, self.depthwise_taps, self.hard_swish),
        )
        facts = self.provenance.model_dump()
        checks = tuple(CrossValidation(**item) for item in facts.pop("cross_validation"))
        return AnalyticModel(
            space, coefficients, Key(**self.key.model_dump()), Provenance(**facts, cross_validation=checks)
        )


class LatencyFile(_Table):
    """A latency file. `space` is the hash of the one space it holds for; null where it holds for any."""

    schema_version: Literal[1] = Field(alias="schema")
    kind: Literal["analytic"]
    space: str | None = None
    models: tuple[ModelFacts, ...] = Field(min_length=1)


def read_latency_file(path: Path) -> LatencyFile:
    """Read and check a latency file.

    Raises:
        ConfigError: missing, damaged, or not a latency file; names the file and the key.
    """
    hint = "reinstall ofa-edge, or name another file in [latency_model] of the target file"
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"cannot read latency file {path.name}", f"{path}: {error}", hint) from error
    try:
        return LatencyFile.model_validate_json(text)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors()]
        raise ConfigError(
            f"latency file {path.name} does not fit its schema", f"{path}: {'; '.join(faults)}", hint
        ) from error


def load_latency_model(
    target: Target, space: Space, runtime: str, precision: str, version: str | None = None
) -> LatencyModel:
    """The latency model of a target for one space, runtime and precision.

    Args:
        target: the target.
        space: the space whose subnets are to be predicted.
        runtime: "tflite" or "tvm".
        precision: "fp32", "fp16", "dynamic" or "int8".
        version: another runtime version that the file knows; by default the first, which is what `build` produces for.

    Raises:
        UnsupportedError: the target cannot run this, or its file has no such model.
        SpaceMismatchError: the file was made for another space.
        ConfigError: the file is damaged, or holds for another number of threads.
    """
    require(target, runtime, precision)
    path = target.latency_path
    file = read_latency_file(path)
    if file.space is not None and file.space != space.hash:
        raise SpaceMismatchError(
            f"latency file {path.name} was made for another search space",
            f"{path}: space {file.space[:12]}; '{space.name}' is {space.hash[:12]}",
            "use the supernet that the file was made for, or a latency file without a space",
        )
    for model in file.models:
        key = model.key
        if (key.runtime, key.precision) == (runtime, precision) and version in (None, key.version):
            wanted = target.runtime.threads
            if key.threads != wanted:
                raise ConfigError(
                    f"latency file {path.name} holds for another number of threads",
                    f"{path}: {key.threads} threads; {target.path.name} says runtime.threads = {wanted}",
                    f"set runtime.threads = {key.threads}, or name another latency file",
                )
            return model.bind(space)
    known = ", ".join(f"{model.key.runtime} {model.key.precision} ({model.key.version})" for model in file.models)
    raise UnsupportedError(
        f"no latency model for {target.name} with {runtime} {precision}" + (f" {version}" if version else ""),
        f"{path} holds: {known}",
        f"ofa-edge targets show {target.name}",
    )
