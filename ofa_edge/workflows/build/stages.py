"""The stages between the search and the runtime, each a function of digests and options through the cache.

A subnet is sliced out and calibrated, run, folded, exported: from there on it is a `Network`, and its runtime goes on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge import cost
from ofa_edge.builds import MODEL
from ofa_edge.cache import CacheEntry, StageCache, code_version
from ofa_edge.data.dataset import Images, Samples
from ofa_edge.errors import GateError
from ofa_edge.network import Interface, Network, Origin
from ofa_edge.records.manifest import StageRecord
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.runtimes import Artifact, Converted, Export
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.space import Subnet
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.workflows.build.base import Plan
from ofa_edge.workflows.build.plan import weights_digest

T = TypeVar("T")
STATIC = "static.safetensors"
OnStage = Callable[[str, bool, float | None], None]  # name, served from the cache, seconds (None: it starts)


@dataclass
class StageRunner:
    """Runs stages through the cache and keeps their times.

    Attributes:
        cache: where results are kept.
        on_stage: told when a stage starts and ends.
    """

    cache: StageCache
    on_stage: OnStage = lambda name, cached, seconds: None
    records: list[StageRecord] = field(default_factory=list)

    def run(
        self, name: str, inputs: Mapping[str, Any], packages: tuple[str, ...], produce: Callable[[Path], None]
    ) -> CacheEntry:
        """Run one stage; its key covers the inputs, and the versions of the packages and the code that do the work."""
        versions = {package: metadata.version(package) for package in packages}
        self.on_stage(name, False, None)
        entry = self.cache.run(name, {**inputs, "versions": versions, "ofa-edge": code_version()}, produce)
        self.records.append(
            StageRecord(
                name=name,
                seconds=entry.seconds,
                cached=entry.hit,
                key=entry.key,
                produced_seconds=entry.produced_seconds,
            )
        )
        self.on_stage(name, entry.hit, entry.seconds)
        return entry

    def timed(self, name: str, work: Callable[[], T]) -> tuple[T, float]:
        """Run what no cache can keep, because it measures; its result, and its seconds."""
        self.on_stage(name, False, None)
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        self.records.append(StageRecord(name=name, seconds=seconds, cached=False, produced_seconds=seconds))
        self.on_stage(name, False, seconds)
        return result, seconds


def require_finite(answers: NDArray[np.float32], whose: str) -> None:
    """Raise GateError for logits that hold NaN or infinity; `whose` says of which network, on what."""
    if not np.isfinite(answers).all():
        raise GateError(
            "the network's answers are not finite numbers", whose, "train it again, with a lower learning rate"
        )


def extract(runner: StageRunner, package: SupernetPackage, subnet: Subnet, calibration: Images) -> CacheEntry:
    """Slice the subnet out of the supernet and calibrate its batch norms; take a given network as it is."""
    if package.subnet is not None:
        return _adopt(runner, package)

    def produce(folder: Path) -> None:
        from ofa_edge.supernet.own_data import subnet_for
        from ofa_edge.supernet.weights import save_static

        save_static(folder / STATIC, subnet_for(package, package.load(), subnet, calibration))

    inputs = {"weights": weights_digest(package), "subnet": subnet.config(), "calibration": calibration.digest}
    return runner.run("extract", inputs, ("torch",), produce)


def _adopt(runner: StageRunner, package: SupernetPackage) -> CacheEntry:
    """The given network, read and written again: a damaged file ends here. Its statistics are its own."""

    def produce(folder: Path) -> None:
        from ofa_edge.supernet.weights import load_static, save_static

        assert package.weights is not None
        save_static(folder / STATIC, load_static(package.weights))

    return runner.run("adopt", {"weights": weights_digest(package)}, ("torch",), produce)


def run_int8_form(
    runner: StageRunner, package: SupernetPackage, static: CacheEntry, images: Images, ranges: RangesRecord
) -> NDArray[np.float32]:
    """Answers of a network in the int8 form that its training settled."""

    def run() -> NDArray[np.float32]:
        from ofa_edge.supernet.evaluate import logits
        from ofa_edge.supernet.weights import load_static
        from ofa_edge.workflows.int8_form import settled_form

        net = load_static(static.path(STATIC))
        return logits(settled_form(net, ranges), images, package.preprocessing(net.subnet.resolution))

    inputs = {"network": static.files[STATIC], "ranges": ranges.digest, "test": images.digest}
    return answers_of(runner, "run-int8-form", inputs, ("torch",), run)


def run_torch(
    runner: StageRunner, package: SupernetPackage, static: CacheEntry, images: Images, *, folded: bool
) -> NDArray[np.float32]:
    """Answers of the static network, or of the same with its batch norms folded."""

    def run() -> NDArray[np.float32]:
        from ofa_edge.supernet.evaluate import logits
        from ofa_edge.supernet.fold import fold_batch_norm
        from ofa_edge.supernet.weights import load_static

        net = load_static(static.path(STATIC))
        preprocessing = package.preprocessing(net.subnet.resolution)
        return logits(fold_batch_norm(net) if folded else net, images, preprocessing)

    inputs = {"network": static.files[STATIC], "test": images.digest}
    return answers_of(runner, "run-folded" if folded else "run-torch", inputs, ("torch",), run)


def to_network(runner: StageRunner, package: SupernetPackage, static: CacheEntry, subnet: Subnet) -> Network:
    """Fold, export, simplify, check: from here on the weights are an ONNX file."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.described import describe
        from ofa_edge.export.onnx.export import export_onnx
        from ofa_edge.supernet.fold import fold_batch_norm
        from ofa_edge.supernet.weights import load_static

        net = load_static(static.path(STATIC))
        size = net.subnet.resolution
        export_onnx(fold_batch_norm(net), (1, package.space.in_channels, size, size), folder / MODEL)
        describe(folder / MODEL, interface.record(MODEL))

    interface = Interface.of_classifier(package.preprocessing(subnet.resolution), package.labels)
    inputs = {"network": static.files[STATIC], "interface": interface.record(MODEL).model_dump(mode="json")}
    entry = runner.run("onnx", inputs, ("torch", "onnx", "onnxsim"), produce)
    return Network(
        onnx=entry.path(MODEL),
        digest=entry.files[MODEL],
        interface=interface,
        origin=Origin(
            kind="subnet" if package.subnet is None else "network",
            source=Path(package.name).name,
            trained=package.trained,
            subnet=subnet,
            space_hash=package.space.hash,
            licences=package.licences,
        ),
        macs=cost.macs(package.space, subnet),
        params=cost.params(package.space, subnet),
        ranges=package.ranges,
    )


def run_onnx(runner: StageRunner, network: Network, samples: Samples) -> NDArray[np.float32]:
    """Answers of the ONNX file."""

    def run() -> NDArray[np.float32]:
        from ofa_edge.export.onnx.run import run_onnx as answers

        return answers(network.onnx, network.inputs(samples))

    return answers_of(runner, "run-onnx", {"model": network.digest, "test": samples.digest}, ("onnxruntime",), run)


def export_of(plan: Plan, network: Network) -> Export:
    """What a network is to become by a plan."""
    meant = plan.export
    return Export(network, plan.target, meant.precision, plan.data.calibration, meant.tuning, meant.limit)


def to_artifact(runner: StageRunner, plan: Plan, export: Export) -> tuple[Converted, Artifact]:
    """Convert; the file as its stage left it, and the artifact with the program that has to travel with it."""
    runtime = plan.export.runtime
    converted = runtime.convert(runner, export)
    return converted, Artifact(converted.path, runtime, export.precision, runtime.runner(plan.target))
