"""Builds of tiny networks, as far as they are run without this package: artifact, interface, golden/, example/."""

import importlib.metadata
import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tiny_tflite import CLASSES, tiny_tflite

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.files import pretty_json
from ofa_edge.network import Interface, Network, Origin
from ofa_edge.records.interface import INTERFACE
from ofa_edge.runtimes import Artifact, Facts, runtime_named
from ofa_edge.workflows.build.account import Built
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.leave import leave

SIZE = 12
LABELS = ("cat", 'a "quoted" one', "two\\n */ // ??/", "größe", "%s %n ${x}")
HOW = Preprocessing(SIZE, 3, (120.0, 110.0, 100.0), (60.0, 58.0, 56.0))


def save_onnx(path: Path, channels: int = 3) -> Path:
    """conv 3x3 of stride 2, relu, dense: [1, C, 12, 12] -> [1, 5]; every place of the input counts."""
    random = np.random.default_rng(5)
    shapes = {"k": (6, channels, 3, 3), "d": (CLASSES, 6 * 25), "b": (CLASSES,)}
    weights = [
        numpy_helper.from_array(random.normal(size=shapes[name], scale=0.3).astype("f"), name) for name in shapes
    ]
    nodes = [
        helper.make_node("Conv", ["input", "k"], ["a"], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "d", "b"], ["logits"], transB=1),
    ]
    source = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, SIZE, SIZE])
    sink = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])
    graph = helper.make_graph(nodes, "main", [source], [sink], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def images(channels: int = 3) -> Images:
    """Ten of smooth noise."""
    random = np.random.default_rng(9)
    coarse = random.integers(0, 256, (10, 5, 5, channels), dtype=np.uint8)
    return Images(coarse.repeat(4, 1).repeat(4, 2), np.zeros(10, np.int64))


def left(out: Path, runtime: str, precision: str = "fp32", how: Preprocessing = HOW, arch: str = "") -> Path:
    """Write a folder; `arch`: of a compiled library, by default this machine's."""
    out.mkdir(parents=True)
    model, given = save_onnx(out / "model.onnx", how.channels), runtime_named(runtime)
    network = Network(model, "0" * 64, Interface.of_classifier(how, LABELS), Origin("file", "tiny", True), 1, 1)
    path = out / given.artifact_name
    if given.artifact_name.endswith(".tflite"):
        path.write_bytes(tiny_tflite(precision == "int8", how.channels))
    elif runtime == "tvm-cuda":
        _compile_cuda(out, model, path, arch or platform.machine(), precision)
    elif given.artifact_name.endswith(".so"):
        _compile(out, model, path, arch or platform.machine())
    else:
        shutil.copy(model, path)
    built = Built(network, None, Artifact(path, given, precision), Facts(), None)
    (out / INTERFACE).write_bytes(pretty_json(built.interface.model_dump(mode="json")))
    data = BuildData(*[images(how.channels)] * 3, "ten images of noise")
    written = leave(out, built, data)
    assert {each.path for each in written.files} == {
        path.relative_to(out).as_posix() for folder in ("example", "golden") for path in (out / folder).rglob("*.*")
    } | ({"example/cpp/Makefile"} if (out / "example/cpp").is_dir() else set())
    return out


def _compile(out: Path, model: Path, path: Path, arch: str) -> None:
    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.runners.build import build_tvm_runner
    from ofa_edge.export.tvm.compile import compile_cpu, host_target

    pi = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 1}
    compile_cpu(model, path, host_target() if arch == platform.machine() else pi)
    shutil.copytree(build_tvm_runner(arch, cache_folder()), out / "runner")


def _compile_cuda(out: Path, model: Path, path: Path, arch: str, precision: str) -> None:
    """For a Jetson Nano; here the same kernels with host code for this machine, and a driver that runs them as C++."""
    from tvm_models import JETSON_NANO

    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.runners.build import build_tvm_runner
    from ofa_edge.export.cuda.compile import EMULATED, compile_cuda
    from ofa_edge.export.cuda.emulated.build import build_driver, build_kernels
    from ofa_edge.export.cuda.worker import SOURCE

    emulation = out.with_name(f"{out.name}-emulated")
    emulation.mkdir()
    compile_cuda(model, path, JETSON_NANO, None, precision, emulation)
    if arch == platform.machine():
        shutil.copy(emulation / EMULATED, path)
    build_driver(emulation)
    kernels = build_kernels((emulation / SOURCE).read_text(encoding="utf-8"), emulation)
    (out.with_name(f"{out.name}-kernels")).symlink_to(kernels)
    shutil.copytree(build_tvm_runner(arch, cache_folder(), cuda=True), out / "runner")


def emulated_gpu(out: Path) -> dict[str, str]:
    """Environment in which what `left` wrote for "tvm-cuda" finds a GPU that is emulated."""
    kernels = out.with_name(f"{out.name}-kernels")
    return {
        "LD_LIBRARY_PATH": str(out.with_name(f"{out.name}-emulated")),
        "OFA_EDGE_CUDA_KERNELS": str(kernels),
        "OFA_EDGE_CUDA_ARCH": "5.3",
        "OFA_EDGE_CUDA_LOG": str(out.with_name(f"{out.name}-log")),
    }


def only(folder: Path, *distributions: str) -> Path:
    """A folder from which just these packages, and those that they need, can be imported."""
    folder.mkdir(parents=True)
    waiting, seen = list(distributions), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system
        for top in {path.parts[0] for path in found.files or () if path.parts[0] != ".."} - {"__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
        needed = [each for each in found.requires or () if "extra ==" not in each]
        waiting += [re.split(r"[^A-Za-z0-9._-]", each)[0] for each in needed]
    return folder


def wider(how: Preprocessing, **changes: object) -> Preprocessing:
    """The same with other values."""
    return replace(how, **changes)
