"""Where a built artifact's memory and time go on a device: the memory pass and the profile of each function."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ofa_edge.builds import Build
from ofa_edge.device.access import connected, held
from ofa_edge.device.measuring.passes import FunctionTime, FunctionTimes, Memory, Unavailable, memory_pass
from ofa_edge.device.measuring.session import OpenArtifact, open_artifact
from ofa_edge.runtimes import Runtime
from ofa_edge.workflows.build.on_device import Trial, request_of
from ofa_edge.workflows.verify import check_runs_there, images_of


@dataclass(frozen=True)
class TypeTime:
    """Operators of one type: how many there are, their calls in an inference, and their milliseconds together."""

    type: str
    operators: int
    calls: int
    ms: float


def _type_of(name: str) -> str:
    """What is left of a name without the number that tells one operator from the next."""
    return re.sub(r"^\d+[\s:]+|[\s_:#]*\d+$", "", name) or name


@dataclass(frozen=True)
class Profile:
    """What the passes of their own found; a reason where a device or runtime does not give it."""

    device: str
    memory: Memory | Unavailable
    functions: FunctionTimes | Unavailable

    def to_json(self) -> dict[str, Any]:
        """As JSON; functions in the order in which they run."""
        return {
            "device": self.device,
            "memory": asdict(self.memory),
            "functions": asdict(self.functions),
            "by_type": [asdict(each) for each in self.by_type()],
        }

    def by_type(self) -> tuple[TypeTime, ...]:
        """Operators of one type, or functions that differ by their number alone, as one; what takes most first."""
        found: dict[str, list[FunctionTime]] = {}
        for item in () if isinstance(self.functions, Unavailable) else self.functions.items:
            found.setdefault(_type_of(item.name), []).append(item)
        sums = [
            TypeTime(name, len(items), sum(item.calls for item in items), sum(item.ms for item in items))
            for name, items in found.items()
        ]
        return tuple(sorted(sums, key=lambda each: -each.ms))


def profile(folder: Path, device: str, data: Path | None = None) -> Profile:
    """Profile a build's artifact on a device, under its lease and in the state that measuring needs.

    Raises:
        ConfigError: the folder is no build, or was changed after it; no device was named.
        DeviceError: the device was lost, is taken, or its program failed.
    """
    with opened_build(folder, device, data, "profile") as (runtime, artifact):
        return Profile(artifact.connection.name, memory_pass(artifact), runtime.profile(artifact))


@contextlib.contextmanager
def opened_build(folder: Path, device: str, data: Path | None, verb: str) -> Iterator[tuple[Runtime, OpenArtifact]]:
    """A build's runtime, and its artifact on a device that is held, in the state that measuring needs, with one image.

    Args:
        folder: of a build.
        device: as after --device.
        data: the image folder that the build was made with, if any.
        verb: what is done with it, for the error.

    Raises:
        ConfigError: the folder is no build, or was changed after it; no device was named.
        DeviceError: the device was lost, or is taken.
    """
    build = Build.open(folder)
    check_runs_there(build, device)
    trial = Trial.of(build, images_of(build, data).test.sample(1))
    with (
        connected(device, build.target, verb) as connection,
        held(connection, build.target) as conditions,
        open_artifact(connection, request_of(trial, connection), conditions) as artifact,
    ):
        yield build.runtime, artifact
