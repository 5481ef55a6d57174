"""A build as it can be read back: the one way from an output folder to its network, its artifact and its runtime.

Nothing of what made the build is asked for: no compiler, no converter, no supernet.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.data.decoding import Decoding
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import ConfigError
from ofa_edge.network import Input, Interface, Network, Origin, Output
from ofa_edge.records.build import artifact_of, has_output, read_built, runner_of, subnet_of
from ofa_edge.records.manifest import FileRecord, Manifest
from ofa_edge.records.search import cold_budget
from ofa_edge.runtimes import Artifact, Runtime, runtime_named
from ofa_edge.space import Subnet
from ofa_edge.targets import Target, load_target

MODEL = "model.onnx"  # the exported fp32 network: what accuracy is held against


@dataclass(frozen=True)
class Build:
    """The folder of a build whose manifest and files were checked. Made by `Build.open`.

    Attributes:
        folder: where it lies.
        manifest: of it.
    """

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> "Build":
        """Check a build's folder against its manifest.

        Raises:
            ConfigError: no build, changed after it, or of a runtime that is not installed.
        """
        folder = Path(folder)
        build = cls(folder, read_built(folder))
        wanted = build.runtime.artifact_name
        if build.file.path != wanted:
            raise ConfigError(
                f"not a build: its artifact is {build.file.path}",
                f"{folder}: runtime {build.runtime.name} writes {wanted}",
                "run ofa-edge build again",
            )
        said = build.manifest.interface
        if said is not None and [each.picture for each in said.inputs] != build.network.interface.pictures:
            what = "not a build: network and interface tell two preprocessings"
            raise ConfigError(what, f"{folder}: in manifest.json", "run ofa-edge build again")
        return build

    @functools.cached_property
    def runtime(self) -> Runtime:
        """What runs its artifact. Raises UnknownNameError where the runtime's package is not installed."""
        return runtime_named(self.manifest.target.runtime)

    @property
    def file(self) -> FileRecord:
        """The artifact's record: digest and size as they were built."""
        return artifact_of(self.manifest)

    @property
    def artifact(self) -> Artifact:
        """What devices run, with the program that travels with it."""
        runner = runner_of(self.folder, self.manifest)
        return Artifact(self.folder / self.file.path, self.runtime, self.manifest.target.precision, runner)

    @functools.cached_property
    def target(self) -> Target:
        """What it was built for, by name or by the file that was given. Raises UnknownNameError or ConfigError."""
        return load_target(self.manifest.target.given or self.manifest.target.name)

    @property
    def subnet(self) -> Subnet | None:
        """The shape of its network, where that is a point of a search space."""
        return None if self.manifest.subnet is None else subnet_of(self.manifest.subnet)

    @property
    def fp32(self) -> Path | None:
        """The exported fp32 network, if the build has it."""
        return self.folder / MODEL if has_output(self.manifest, MODEL) else None

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes, by number; none of a network that only gives features."""
        record = next((item for item in self.manifest.outputs if item.role == "labels"), None)
        if record is None:
            return ()
        return tuple((self.folder / record.path).read_text("utf-8").removesuffix("\n").split("\n"))

    @functools.cached_property
    def network(self) -> Network:
        """Its network."""
        said, supernet = self.manifest.network, self.manifest.supernet
        inputs = tuple(
            Input(
                each.name,
                each.shape,
                None if each.preprocessing is None else Preprocessing.from_json(each.preprocessing),
            )
            for each in said.inputs
        )
        outputs = tuple(
            Output(each.name, each.shape, self.labels, each.task, each.layout, each.threshold) for each in said.outputs
        )
        space_hash = None if supernet is None else supernet.space_hash
        origin = Origin(said.kind, said.source, said.trained, self.subnet, space_hash, said.licences)
        decoding = None if said.decoding is None else Decoding.from_json(said.decoding)
        interface = Interface(inputs, outputs, decoding)
        return Network(self.folder / MODEL, said.sha256, interface, origin, said.macs, said.params)

    @property
    def cold_budget_ms(self) -> float | None:
        """What a measured latency is held against, if anything: devices are measured cold."""
        return cold_budget(self.manifest.budget_ms, self.manifest.sustained)
