"""Where a built artifact's memory and time go on a device: the memory pass and the profile of each function."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ofa_edge.device.measuring.passes import (
    FunctionTimes,
    Memory,
    Unavailable,
    memory_pass,
    no_profile,
    operators_pass,
    profile_pass,
)
from ofa_edge.device.measuring.session import OpenArtifact, open_artifact
from ofa_edge.device.protocol import Request
from ofa_edge.export.inspect.single_operators import single_operators
from ofa_edge.files import write_bytes
from ofa_edge.records.build import runner_of
from ofa_edge.workflows.build.on_device import connected, held
from ofa_edge.workflows.build.stages import inputs_for
from ofa_edge.workflows.verify import read_build


@dataclass(frozen=True)
class Profile:
    """What the passes of their own found; a reason where a device or runtime does not give it."""

    device: str
    memory: Memory | Unavailable
    functions: FunctionTimes | Unavailable

    def to_json(self) -> dict[str, Any]:
        """As JSON; functions in the order in which they run."""
        return {"device": self.device, "memory": asdict(self.memory), "functions": asdict(self.functions)}


def profile(folder: Path, device: str, data: Path | None = None) -> Profile:
    """Profile a build's artifact on a device, under its lease and in the state that measuring needs.

    Raises:
        ConfigError: the folder is no build, or was changed after it; no device was named.
        DeviceError: the device was lost, is taken, or its program failed.
    """
    with opened_build(folder, device, data, "profile") as artifact:
        return Profile(artifact.connection.name, memory_pass(artifact), _functions(artifact))


@contextlib.contextmanager
def opened_build(folder: Path, device: str, data: Path | None, verb: str) -> Iterator[OpenArtifact]:
    """A build's artifact on a device that is held, in the state that measuring needs, with one image.

    Args:
        folder: of a build.
        device: as after --device.
        data: the image folder that the build was made with, if any.
        verb: what is done with it, for the error.

    Raises:
        ConfigError: the folder is no build, or was changed after it; no device was named.
        DeviceError: the device was lost, or is taken.
    """
    manifest, plan, subnet = read_build(folder, device, data)
    request = Request(
        artifact=folder / plan.artifact_name,
        runtime=plan.runtime,
        inputs=inputs_for(plan, subnet, 1),
        classes=plan.package.space.num_classes,
        threads=plan.target.runtime.threads,
        cores=plan.target.runtime.cores,
        runner=runner_of(folder, manifest),
    )
    with (
        connected(plan, verb) as connection,
        held(connection) as conditions,
        open_artifact(connection, request, conditions) as artifact,
    ):
        yield artifact


def _functions(artifact: OpenArtifact) -> FunctionTimes | Unavailable:
    if (unavailable := no_profile(artifact)) is not None:
        return unavailable  # before the work of splitting
    if artifact.request.runtime == "tvm":
        return profile_pass(artifact)
    with tempfile.TemporaryDirectory(prefix="ofa-profile-") as folder:
        files = {}
        for each in single_operators(artifact.request.artifact):
            files[each.name] = Path(folder) / f"{each.index}.tflite"
            write_bytes(files[each.name], each.content)
        return operators_pass(artifact, files)
