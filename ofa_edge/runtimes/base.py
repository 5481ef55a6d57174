"""What a runtime is to the rest of the house: everything that differs between TFLite, TVM and any other, in one object.

A runtime of your own derives from `Runtime` and is named by an entry point of the group `ofa_edge.runtimes`; see
"Add a runtime" in CONTRIBUTING. What is abstract here is all that it must have.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator
from ofa_edge.cost.bytes import SizeModel
from ofa_edge.data.dataset import Samples
from ofa_edge.device.measuring.passes import FunctionTimes, Unavailable
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.needs import Needs
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.errors import ToolMissingError, UnsupportedError
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.extras import installed
from ofa_edge.files import sha256_file
from ofa_edge.latency.protocol import LatencyModel
from ofa_edge.network import Network, Tensors
from ofa_edge.records.blame import BlameRecord
from ofa_edge.records.npu import AccountRecord
from ofa_edge.runtimes.values import Converted, Example, Export, Facts, RunHere, Stages
from ofa_edge.space import Space
from ofa_edge.target_schema import PluginOptions, TvmOptions
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision, ProvenanceKind


@dataclass(frozen=True)
class Artifact:
    """What devices run.

    Attributes:
        path: the model file.
        runtime: what runs it.
        precision: of its weights and activations.
        runner: folder of a program that has to travel with it, if one has.
    """

    path: Path
    runtime: "Runtime"
    precision: Precision
    runner: Path | None = None

    @property
    def sha256(self) -> str:
        """Of the model file as it is now."""
        return sha256_file(self.path)


class Timer(Protocol):
    """A program on a device that lets models take turns; `device.measuring.turns.TurnsProgram` fits."""

    facts: dict[str, str]

    def time(
        self, libraries: Mapping[str, Path], lines: Sequence[str], rounds: int, limit_s: float
    ) -> NDArray[np.float64]:
        """Nanoseconds of one call [rounds, turns]."""

    def send(self, libraries: Mapping[str, Path]) -> None:
        """Put files on the device that are not there yet."""

    def place(self, name: str) -> str:
        """Where a file lies on the device."""


class Turns(ABC):
    """How many small models are made and timed in turn: what `ofa-edge calibrate` needs of a runtime.

    Attributes:
        suffix: of a model's file.
        batch: models that one process converts.
    """

    suffix: ClassVar[str]
    batch: ClassVar[int] = 1

    @abstractmethod
    def facts(self, target: Target, precision: Precision) -> dict[str, Any]:
        """What a model depends on besides its network: versions, rewrites, the compiler's target."""

    @abstractmethod
    def make(self, jobs: Sequence[tuple[Path, Path]], target: Target, precision: Precision) -> None:
        """Convert each ONNX model to the file beside it. Raises ConversionError."""

    def draw(self, network: Sequence[Operator]) -> bytes | None:
        """The model of a network, or of a part of one, by its operators alone; None: `make` has to convert it."""
        del network
        return None

    @abstractmethod
    def open(self, connection: Connection, target: Target, sample_us: float) -> AbstractContextManager[Timer]:
        """The timing program on a device; a turn takes so many microseconds at least."""

    def line(self, place: str, shape: tuple[int, ...]) -> str:
        """How the program is told of one model, from its place on the device and the shape of its input."""
        del shape
        return place


class CycleAccount(Protocol):
    """What knows the cycles of a network on an accelerator: a compiler, or a model. They are always the same.

    Attributes:
        name: with its version.
        kind: of what it says: "estimated" by a compiler, "modelled" where no such accelerator need exist.
        clock_hz: of the accelerator.
    """

    name: str
    kind: ProvenanceKind
    clock_hz: float

    def facts(self) -> dict[str, Any]:
        """What cycles depend on besides the model."""

    def told(self, models: Sequence[Path], cache: StageCache) -> list[AccountRecord]:
        """Of one inference of each model of `turns`, told once for each version. Raises ConversionError."""


@dataclass(frozen=True)
class ArraySize:
    """What an accelerator costs, as far as that is known.

    Attributes:
        macs_per_cycle: multiply-accumulates, at most: multipliers take most of an array's area.
        sram_bytes: on the chip, for a network.
        area_mm2: None: no source gives it.
    """

    macs_per_cycle: int
    sram_bytes: int
    area_mm2: float | None = None


class Runtime(ABC):
    """One runtime.

    Attributes:
        name: after --runtime, in target files and in manifests.
        title: what people call it.
        artifact_name: the artifact's file in a build's folder.
        precisions: what it can make at all; a target may do less.
        packages: distributions that run its artifacts: their versions decide its answers, and are in the manifest.
        modelled: whether targets' latency files know it; else the nearest model is taken, widened and labelled.
        modules: Python modules that its conversion imports, each with the command that installs it.
        sizes: models of the artifact's bytes, by precision.
        app: whether the Android demo runs its artifacts.
        mixes: whether it can leave layers of an integer artifact in fp32.
        suppresses: whether a detector's artifact can have its decoding and suppression inside.
        rounds_as_trained: whether its int8 artifacts round where `finetune --qat int8` does, and nowhere else.
        delegates: the distribution whose delegate takes over operators; None where the runtime has none.
        example: programs that run its artifacts without ofa-edge.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    artifact_name: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    packages: ClassVar[tuple[str, ...]] = ()
    modelled: ClassVar[bool] = False
    modules: ClassVar[Mapping[str, str]] = MappingProxyType({})
    sizes: ClassVar[Mapping[str, SizeModel]] = MappingProxyType({})
    app: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    suppresses: ClassVar[bool] = False
    rounds_as_trained: ClassVar[bool] = False
    delegates: ClassVar[str | None] = None
    example: ClassVar[Example] = Example()

    # -- what a target can do with it, before any work --------------------------------------------------------------

    def builds_for(self, target: Target) -> bool:
        """Whether it makes artifacts for this target: where the target's file names it."""
        return self.name in target.runtimes

    def options(self, target: Target) -> PluginOptions | TvmOptions | None:
        """Its own table in the target's file, if there is one."""
        return target.runtime.plugins.get(self.name)

    def able(self, target: Target) -> tuple[Precision, ...]:
        """Precisions that it makes for this target, those that the target's file lists."""
        options = self.options(target)
        listed = options.precisions if options and options.precisions else target.runtime.precisions
        return tuple(each for each in listed if each in self.precisions)

    def reasons(self, target: Target) -> Mapping[str, str]:
        """Why a precision is not there, by precision, as the target's file says."""
        options = self.options(target)
        own = options.unsupported.items() if options else ()
        return dict([*target.runtime.unsupported.items(), *own])

    def check_target(self, target: Target) -> None:
        """Raise ConfigError for a target file that lacks what this runtime has to know."""
        del target

    def target_tables(self, target: Target, threads: int) -> dict[str, dict[str, Any]]:
        """Tables that another target file of the same hardware needs for it, for so many threads."""
        del threads
        options = self.options(target)
        return {f"runtime.plugins.{self.name}": options.model_dump(exclude_defaults=True)} if options else {}

    def require_tools(self, target: Target) -> None:
        """Raise ToolMissingError, before any work, for what its conversion needs."""
        del target
        for module, install in self.modules.items():
            if not installed(module):
                raise ToolMissingError(f"{module} is not installed", f"runtime {self.name} needs it", install)

    def why_not_made(self, target: Target) -> str | None:
        """Why nothing is built for such a target, which is there to be searched for; None where a build is."""
        del target
        return None

    def latency_model(
        self, target: Target, space: Space, precision: Precision, *, outside_key: bool = False
    ) -> LatencyModel:
        """Milliseconds of its artifacts. Raises as `latency.load.load_latency_model` does."""
        from ofa_edge.latency.load import load_latency_model

        outside_key = outside_key or not self.modelled
        return load_latency_model(target, space, self.name, precision, outside_key=outside_key)

    def why_not_emulated(self, target: Target) -> str | None:
        """Why an emulated device cannot run its artifacts for this target; None where one can."""
        del target
        return None

    def why_not_here(self, target: Target) -> str | None:
        """Why this machine cannot run its artifacts for this target; None where it can."""
        del target
        return None

    def needs(self, target: Target, device: Fingerprint) -> Needs:
        """What has to be on such a device to run its artifacts; what travels with them is not of it."""
        del target, device
        return Needs()

    def require_tunable(self, target: Target) -> None:
        """Raise UnsupportedError where there is nothing to tune."""
        del target
        raise UnsupportedError(
            f"--tune does nothing for {self.name}", "it turns the schedules of compiled code", "leave out --tune"
        )

    @property
    def turns(self) -> Turns | None:
        """How models of it are timed in turn; None where it cannot be calibrated."""
        return None

    def cycle_account(self, target: Target) -> CycleAccount | None:
        """The compiler that gives the cycles of models of `turns` itself; None where a device has to be timed."""
        del target
        return None

    def array_size(self, target: Target) -> ArraySize | None:
        """What the target's accelerator costs; None where it has none. Needs nothing installed. Raises ConfigError."""
        del target
        return None

    def accelerators(self) -> Mapping[str, Target]:
        """Those that a co-design may choose among where none is named; none for a runtime of CPUs."""
        return {}

    # -- making -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def convert(self, stages: Stages, export: Export) -> Converted:
        """Make the artifact: named `artifact_name`, in an entry of the cache.

        Raises:
            ConversionError: names the node and the operator that it cannot take.
        """

    def tensors(self, artifact: Path, network: Network) -> Tensors:
        """Inputs and outputs of an artifact: those of the ONNX file, where this does not say otherwise."""
        del artifact
        return network.interface.tensors

    def facts(self, converted: Converted) -> Facts:
        """What else there is to keep of the making."""
        del converted
        return Facts()

    def runner(self, target: Target) -> Path | None:
        """The folder of a program that has to travel with its artifacts; None where the device has one."""
        del target
        return None

    # -- on this machine --------------------------------------------------------------------------------------------

    @abstractmethod
    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """Run the artifact, or what stands in for it, over images on this machine."""

    @abstractmethod
    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Logits [N, classes] of the very file, from inputs [N, C, H, W]; None where no file of its kind runs here."""

    def blame(self, export: Export, converted: Converted, samples: Samples, labelled: bool) -> BlameRecord | None:
        """What each layer of an integer artifact costs on images; None where the runtime cannot tell."""
        del export, converted, samples, labelled
        return None

    def delegation(self, artifact: Path) -> Inspection | None:
        """What the delegate takes over of a file here, and what it leaves; None where the runtime has no delegate."""
        del artifact
        return None

    def operators(self, artifact: Path) -> dict[str, int] | None:
        """The operators inside, counted; None where the file does not say."""
        del artifact
        return None

    # -- on a device ------------------------------------------------------------------------------------------------

    @abstractmethod
    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """The program that runs the artifact on such a device. Raises UnsupportedError where there is none."""

    def profile(self, artifact: OpenArtifact) -> FunctionTimes | Unavailable:
        """Where one inference's time goes, operator by operator."""
        del artifact
        return Unavailable(f"{self.title} tells no profile")

    def __repr__(self) -> str:
        return f"<runtime {self.name}>"
