"""What a runtime is given and gives back: frozen values between the stages of a build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import CacheEntry
from ofa_edge.data.dataset import Samples
from ofa_edge.data.decoding import Decoding
from ofa_edge.network import Network
from ofa_edge.records.mixed import MixedRecord
from ofa_edge.records.npu import NpuRecord
from ofa_edge.records.schedules import KernelRecord, SchedulesRecord, TuningRecord
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Allowed, Precision

T = TypeVar("T")


class Stages(Protocol):
    """Where work is done once: results by their inputs, in the cache."""

    def run(
        self, name: str, inputs: Mapping[str, Any], packages: tuple[str, ...], produce: Callable[[Path], None]
    ) -> CacheEntry:
        """The entry of a stage. The key covers inputs, and the versions of packages and of our code."""

    def timed(self, name: str, work: Callable[[], T]) -> tuple[T, float]:
        """Do what no cache can keep, because it measures; the result, and its seconds."""


@dataclass(frozen=True)
class Tuning:
    """How long to tune on which device, and whether to use what earlier tuning found."""

    seconds: float = 0.0
    use_known: bool = True
    device: str = "none"


@dataclass(frozen=True)
class Export:
    """A network, and what it is to become.

    Attributes:
        network: what is converted.
        target: what it is converted for.
        precision: of the artifact.
        calibration: training images whose ranges an integer network takes over.
        tuning: of compiled code.
        limit: what an integer artifact may lose; only for a runtime that `mixes`.
        inside: the network with its suppression inside, where the artifact is to have it so; only for a runtime that
            `suppresses`. What is converted and calibrated is still `network`, whose decoding says how.
    """

    network: Network
    target: Target
    precision: Precision
    calibration: Samples
    tuning: Tuning = Tuning()
    limit: "DropLimit | None" = None
    inside: Network | None = None

    @property
    def outcome(self) -> Network:
        """What the artifact answers as."""
        return self.inside or self.network

    @property
    def decoding(self) -> Decoding:
        """What is put inside, where anything is."""
        decoding = self.network.interface.decoding
        assert decoding is not None
        return decoding


@dataclass(frozen=True)
class DropLimit:
    """What an integer artifact may lose, and the images that layers are chosen by: none that it is judged on.

    Attributes:
        allowed: drop or dB.
        images: to choose by.
        labelled: whether their labels mean anything.
    """

    allowed: Allowed
    images: Samples
    labelled: bool


@dataclass(frozen=True)
class Converted:
    """The artifact's file, as a stage of the cache made it; `tuning`: what tuning had to do with it."""

    entry: CacheEntry
    path: Path
    tuning: TuningRecord | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the file, as the cache has it."""
        return self.entry.files[self.path.name]


@dataclass(frozen=True)
class Facts:
    """What the making of an artifact leaves besides the artifact: further files, and what the manifest says."""

    files: tuple[Path, ...] = ()
    schedules: SchedulesRecord | None = None
    kernels: tuple[KernelRecord, ...] = ()
    mixed: MixedRecord | None = None
    npu: NpuRecord | None = None


@dataclass(frozen=True)
class HostAnswers:
    """What ran on this machine in the artifact's place, or as the artifact.

    Attributes:
        name: of the rung.
        logits: [N, classes].
        itself: whether the very file ran that devices get.
        rows: which images it was run on, where that was a sample: positions among the test images.
        note: what it was, where it was not the artifact.
    """

    name: str
    logits: NDArray[np.float32]
    itself: bool = False
    rows: NDArray[np.int64] | None = None
    note: str = ""


@dataclass(frozen=True)
class RunHere:
    """All that ran on this machine, the first on all images; and what could not be run, in words."""

    answers: tuple[HostAnswers, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """Files that run an artifact without ofa-edge; `ofa_edge.example` copies them beside those that all runtimes share.

    Attributes:
        python: has a class `Model` as that of `runtimes/example/litert.py`.
        cpp: what `ofa_runtime.h` declares, in C++.
        make: a part of its Makefile, which sets RUNTIME_FLAGS and RUNTIME_LIBRARIES.
    """

    python: Path | None = None
    cpp: Path | None = None
    make: Path | None = None


_EXAMPLES = Path(__file__).with_name("example")


def own_example(name: str, *, python: bool = True) -> Example:
    """That of a runtime of ours: files of this name."""
    of = (_EXAMPLES / f"{name}.{suffix}" for suffix in ("py", "cc", "mk"))
    own, cpp, make = of
    return Example(own if python else None, cpp, make)
