"""The stages of a build, each a function of digests and options through the cache."""

import io
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge import __version__
from ofa_edge.cache import CacheEntry, StageCache, code_version
from ofa_edge.device.runners.build import RUNNER
from ofa_edge.errors import GateError
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.files import write_bytes, write_json
from ofa_edge.records.manifest import StageRecord
from ofa_edge.space import Subnet
from ofa_edge.workflows.build.plan import Plan, weights_digest

if TYPE_CHECKING:
    from ofa_edge.export.tvm.schedules import Knobs

T = TypeVar("T")
MODEL = "model.onnx"
KERNELS = "kernels.cu"
LOGITS = "logits.npy"
INSPECTION = "inspection.json"
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


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write one array atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def load_logits(entry: CacheEntry, name: str = LOGITS) -> NDArray[np.float32]:
    """The logits [N, classes] that a stage left."""
    return np.asarray(np.load(entry.path(name), allow_pickle=False), dtype=np.float32)


def require_finite(answers: NDArray[np.float32], whose: str) -> None:
    """Raise GateError for logits that hold NaN or infinity; `whose` says of which network, on what."""
    if not np.isfinite(answers).all():
        raise GateError(
            "the network's answers are not finite numbers", whose, "train it again, with a lower learning rate"
        )


def inputs_for(plan: Plan, subnet: Subnet, count: int | None = None) -> NDArray[np.float32]:
    """The test images, or a sample of `count`, as the network takes them: float32 [N, C, r, r]."""
    test = plan.data.test if count is None else plan.data.test.sample(count)
    return plan.package.preprocessing(subnet.resolution).apply(test.pixels)


def extract(runner: StageRunner, plan: Plan, subnet: Subnet) -> CacheEntry:
    """Slice the subnet out of the supernet and calibrate its batch norms; take a given network as it is."""
    if plan.package.subnet is not None:
        return _adopt(runner, plan)

    def produce(folder: Path) -> None:
        from ofa_edge.supernet.evaluate import extract_calibrated
        from ofa_edge.supernet.weights import save_static

        preprocessing = plan.package.preprocessing(subnet.resolution)
        net = extract_calibrated(plan.package.load(), subnet, plan.data.calibration, preprocessing)
        save_static(folder / STATIC, net)

    inputs = {
        "weights": weights_digest(plan),
        "subnet": subnet.config(),
        "calibration": plan.data.digests["calibration"],
    }
    return runner.run("extract", inputs, ("torch",), produce)


def _adopt(runner: StageRunner, plan: Plan) -> CacheEntry:
    """The given network, read and written again: a damaged file ends here. Its statistics are its own."""

    def produce(folder: Path) -> None:
        from ofa_edge.supernet.weights import load_static, save_static

        assert plan.package.weights is not None
        save_static(folder / STATIC, load_static(plan.package.weights))

    return runner.run("adopt", {"weights": weights_digest(plan)}, ("torch",), produce)


def run_torch(runner: StageRunner, plan: Plan, static: CacheEntry, *, folded: bool) -> CacheEntry:
    """Answers of the static network, or of the same with its batch norms folded."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.fold import fold_batch_norm
        from ofa_edge.supernet.evaluate import logits
        from ofa_edge.supernet.weights import load_static

        net = load_static(static.path(STATIC))
        preprocessing = plan.package.preprocessing(net.subnet.resolution)
        save_array(folder / LOGITS, logits(fold_batch_norm(net) if folded else net, plan.data.test, preprocessing))

    inputs = {"network": static.files[STATIC], "test": plan.data.digests["test"]}
    return runner.run("run-folded" if folded else "run-torch", inputs, ("torch",), produce)


def to_onnx(runner: StageRunner, plan: Plan, static: CacheEntry) -> CacheEntry:
    """Fold, export, simplify, check."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.export import export_onnx
        from ofa_edge.export.onnx.fold import fold_batch_norm
        from ofa_edge.supernet.weights import load_static

        net = load_static(static.path(STATIC))
        size = net.subnet.resolution
        export_onnx(fold_batch_norm(net), (1, plan.package.space.in_channels, size, size), folder / MODEL)

    return runner.run("onnx", {"network": static.files[STATIC]}, ("torch", "onnx", "onnxsim"), produce)


def run_onnx(runner: StageRunner, plan: Plan, onnx: CacheEntry, subnet: Subnet) -> CacheEntry:
    """Answers of the ONNX file."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.onnx.export import run_onnx as run

        save_array(folder / LOGITS, run(onnx.path(MODEL), inputs_for(plan, subnet)))

    inputs = {"model": onnx.files[MODEL], "test": plan.data.digests["test"]}
    return runner.run("run-onnx", inputs, ("onnxruntime",), produce)


def to_tflite(runner: StageRunner, plan: Plan, onnx: CacheEntry, subnet: Subnet) -> CacheEntry:
    """Convert and add metadata."""
    preprocessing = plan.package.preprocessing(subnet.resolution)
    supernet = Path(plan.package.name).name  # no path of this machine goes into an artifact
    description = {
        "name": f"{supernet} {subnet.id}",
        "description": f"Subnet {subnet.id} of {supernet} for {plan.target.name}, {plan.precision_name}"
        + ("" if plan.package.trained else "; UNTRAINED: random weights"),
        "version": __version__,
    }
    facts = {
        "subnet": subnet.config(),
        "space_hash": plan.package.space.hash,
        "preprocessing": preprocessing.to_json(),
        "trained": plan.package.trained,
    }

    def convert(folder: Path) -> None:
        from ofa_edge.export.tflite.convert import convert

        calibration = preprocessing.apply(plan.data.calibration.pixels) if plan.precision == "int8" else None
        convert(
            onnx.path(MODEL),
            folder / "bare.tflite",
            plan.precision,
            calibration,
            fp16_accumulation=plan.fp16_accumulation,
            preprocessing=preprocessing,
        )

    def produce(folder: Path) -> None:
        from ofa_edge.export.tflite.metadata import write_metadata

        # The description names the target; the conversion, which is slow, is the same for every target of a fleet.
        bare = runner.cache.run("tflite-bare", {**shared, "versions": versions, "ofa-edge": code_version()}, convert)
        write_metadata(
            bare.path("bare.tflite"),
            folder / "model.tflite",
            preprocessing,
            plan.package.labels,
            facts=facts,
            **description,
        )

    from ofa_edge.export.tflite.rewrites import names

    shared = {
        "model": onnx.files[MODEL],
        "precision": plan.precision,
        "fp16_accumulation": plan.fp16_accumulation,
        "rewrites": names(plan.precision),
        "calibration": plan.data.digests["calibration"] if plan.precision == "int8" else None,
        "facts": facts,
    }
    packages = (_tensorflow(), "tflite-support")
    versions = {package: metadata.version(package) for package in packages}
    return runner.run("tflite", {**shared, "labels": list(plan.package.labels), **description}, packages, produce)


def run_tflite(runner: StageRunner, plan: Plan, model: CacheEntry, subnet: Subnet) -> CacheEntry:
    """Answers of the TFLite file on this machine."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.tflite.convert import run_tflite as run

        save_array(folder / LOGITS, run(model.path("model.tflite"), inputs_for(plan, subnet)))

    inputs = {"model": model.files["model.tflite"], "test": plan.data.digests["test"]}
    return runner.run("run-tflite", inputs, ("ai-edge-litert",), produce)


def inspect_tflite(runner: StageRunner, plan: Plan, model: CacheEntry) -> Inspection:
    """What `ofa-edge inspect` says of the TFLite file. LiteRT is asked, so the answer is of this machine."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.inspect import inspect_model

        write_json(folder / INSPECTION, inspect_model(model.path("model.tflite")).to_json())

    from ofa_edge.export.inspect.tflite_rules import RULES

    inputs = {
        "model": model.files["model.tflite"],
        "machine": platform.machine(),
        "rules": [rule.__name__ for rule in RULES],
    }
    entry = runner.run("inspect", inputs, ("ai-edge-litert",), produce)
    return Inspection.from_json(json.loads(entry.path(INSPECTION).read_bytes()))


def to_tvm(
    runner: StageRunner, plan: Plan, onnx: CacheEntry, knobs: Mapping[str, "Knobs"] = MappingProxyType({})
) -> CacheEntry:
    """Compile for the target: a library, and beside it what was found inside. `knobs`: of tuned functions."""

    def produce(folder: Path) -> None:
        library = folder / "model.so"
        if plan.cuda:
            from ofa_edge.export.cuda.compile import compile_cuda

            facts = compile_cuda(onnx.path(MODEL), library, plan.tvm_target, None, plan.precision, folder).to_json()
        else:
            from ofa_edge.export.tvm.compile import compile_cpu

            facts = compile_cpu(onnx.path(MODEL), library, plan.tvm_target, None, plan.precision, knobs.get).to_json()
            facts["target"] = dict(plan.tvm_target)
        write_bytes(folder / "model.json", json.dumps(facts, sort_keys=True).encode())

    inputs = {"model": onnx.files[MODEL], "target": dict(plan.tvm_target), "precision": plan.precision}
    if knobs:
        inputs["knobs"] = {key: asdict(each) for key, each in knobs.items()}
    packages = ("apache-tvm", *(("nvidia-cuda-nvrtc-cu12",) if plan.cuda else ()))
    return runner.run("tvm", inputs, tuple(p for p in packages if _installed(p)), produce)


def function_keys(runner: StageRunner, plan: Plan, onnx: CacheEntry) -> tuple[str, ...]:
    """What the functions of a library of `to_tvm` compute (`schedules.workload_key`), sorted; those that rules take."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.tvm.compile import make_target
        from ofa_edge.export.tvm.tuning.functions import network_functions

        functions = network_functions(onnx.path(MODEL), make_target(plan.tvm_target, "llvm"), plan.precision)
        write_bytes(folder / "keys.json", json.dumps(sorted(each.key for each in functions)).encode())

    inputs = {"model": onnx.files[MODEL], "target": dict(plan.tvm_target), "precision": plan.precision}
    entry = runner.run("tvm-functions", inputs, ("apache-tvm",), produce)
    return tuple(json.loads(entry.path("keys.json").read_bytes()))


def run_tvm_host(runner: StageRunner, plan: Plan, onnx: CacheEntry, subnet: Subnet) -> CacheEntry:
    """Answers of the same Relax module compiled for this machine's CPU."""
    from ofa_edge.export.tvm.compile import host_target

    target = host_target()

    def produce(folder: Path) -> None:
        from ofa_edge.export.tvm.compile import compile_cpu
        from ofa_edge.export.tvm.compile import run_tvm_host as run

        compile_cpu(onnx.path(MODEL), folder / "host.so", target, None, plan.precision)
        save_array(folder / LOGITS, run(folder / "host.so", inputs_for(plan, subnet)))

    inputs = {
        "model": onnx.files[MODEL],
        "target": target,
        "precision": plan.precision,
        "test": plan.data.digests["test"],
    }
    return runner.run("run-tvm-host", inputs, ("apache-tvm",), produce)


def run_cuda_emulated(
    runner: StageRunner, plan: Plan, model: CacheEntry, subnet: Subnet, tvm_runner: Path, images: int
) -> CacheEntry:
    """Answers of the library's own CUDA kernels to a sample of `images` images, emulated on this machine's CPU."""

    def produce(folder: Path) -> None:
        from ofa_edge.export.cuda.emulate import run_emulated

        emulation, arch = model.path(KERNELS).parent, str(plan.tvm_target["arch"])
        inputs = inputs_for(plan, subnet, images)
        save_array(folder / LOGITS, run_emulated(emulation, tvm_runner / RUNNER, inputs, arch))

    inputs = {
        "kernels": model.files[KERNELS],
        "host": model.files["emulated.so"],
        "test": plan.data.digests["test"],
        "images": images,
    }
    return runner.run("run-cuda-emulated", inputs, ("apache-tvm",), produce)


def file_size(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tensorflow() -> str:
    return "tensorflow-cpu" if _installed("tensorflow-cpu") else "tensorflow"
