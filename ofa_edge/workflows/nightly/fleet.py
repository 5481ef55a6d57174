"""The fleet file: which artifacts run on which devices, for how long, and where the history lies. Strict TOML.

schema = 1
folder = "nightly"                  # history, golden artifacts, reports; relative to this file

[artifacts.pi4]
build = "out/raspberry-pi-4"        # a folder that `ofa-edge build` made; its manifest names the target

[devices.pi-in-the-lab]
device = "pi"                       # as after --device; left out: this table's own name
targets = ["raspberry-pi-4"]        # runs all artifacts built for these; or name them: artifacts = ["pi4"]
deadline_minutes = 30
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from ofa_edge.device.protocol import LatencyPlan
from ofa_edge.errors import ConfigError
from ofa_edge.files import bounded_text, parse_toml
from ofa_edge.names import plain
from ofa_edge.schema import Strict, validated

_FEWEST = 6  # pairs: fewer are never conclusive


class ArtifactEntry(Strict):
    """`[artifacts.NAME]`: the candidate, which is whatever lies in the build folder tonight."""

    build: Annotated[str, Field(min_length=1)]
    data: str | None = None  # the image folder that the build was made with, if any


class DeviceEntry(Strict):
    """`[devices.NAME]`."""

    device: str | None = None
    targets: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    deadline_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 60.0

    @model_validator(mode="after")
    def _either(self) -> "DeviceEntry":
        if bool(self.targets) == bool(self.artifacts):
            raise ValueError("give either targets or artifacts")
        return self


class ProtocolEntry(Strict):
    """`[protocol]`: how much is measured in one night."""

    pairs: Annotated[int, Field(ge=_FEWEST, le=64)] = 8
    session_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    session_runs: Annotated[int, Field(ge=10, le=100_000)] = 100
    warmup_limit_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    pause_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0  # before a second run
    images: Annotated[int, Field(ge=1)] | None = None  # of the accuracy pass; left out: all

    @property
    def latency(self) -> LatencyPlan:
        """One session's plan."""
        return LatencyPlan(
            min_runs=self.session_runs,
            min_seconds=self.session_seconds,
            warmup_seconds=min(0.5, self.warmup_limit_seconds),
            warmup_limit_seconds=self.warmup_limit_seconds,
        )


class FleetFile(Strict):
    """The schema of fleet.toml."""

    schema_version: int = Field(alias="schema", ge=1, le=1)
    folder: Annotated[str, Field(min_length=1)] = "nightly"
    protocol: ProtocolEntry = ProtocolEntry()
    artifacts: Annotated[dict[str, ArtifactEntry], Field(min_length=1)]
    devices: Annotated[dict[str, DeviceEntry], Field(min_length=1)]

    @field_validator("artifacts", "devices")
    @classmethod
    def _names(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            plain(name)
        return value

    @model_validator(mode="after")
    def _known(self) -> "FleetFile":
        for name, device in self.devices.items():
            unknown = [item for item in device.artifacts if item not in self.artifacts]
            if unknown:
                raise ValueError(f"devices.{name}: no artifact '{unknown[0]}'; known: {', '.join(self.artifacts)}")
        return self


@dataclass(frozen=True)
class DeviceFleet:
    """A fleet file and where it lies."""

    path: Path
    file: FleetFile

    @property
    def name(self) -> str:
        """What the fleet is called in reports."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Where history, golden artifacts and reports are."""
        return self.path.parent / self.file.folder

    @property
    def history(self) -> Path:
        """The history's file."""
        return self.folder / "history.jsonl"

    @property
    def store(self) -> Path:
        """The golden artifacts' folder."""
        return self.folder / "golden"

    def build_folder(self, artifact: str) -> Path:
        """The candidate's build folder."""
        return self.path.parent / self.file.artifacts[artifact].build

    def data_folder(self, artifact: str) -> Path | None:
        """The image folder that an artifact is judged on; None for the package's own images."""
        data = self.file.artifacts[artifact].data
        return self.path.parent / data if data else None


def load_fleet(path: Path) -> DeviceFleet:
    """Read a fleet file.

    Raises:
        ConfigError: it cannot be read or does not fit; names the key.
    """
    hint = "see docs/nightly.md for the format"
    try:
        content = parse_toml(bounded_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read {path.name}", f"{path}: {error}", hint) from error
    return DeviceFleet(path, validated(FleetFile, content, path.name, path, hint))
