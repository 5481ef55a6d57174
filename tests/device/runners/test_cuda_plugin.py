"""The runner on a CUDA library, against a driver of ours that keeps account of all calls and runs kernels as C++."""

import json
import os
import platform
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from runner_net import CLASSES, SHAPE

from ofa_edge import elf
from ofa_edge.device.runners.build import CUDA_PLUGIN, RUNNER, build_tvm_runner
from ofa_edge.errors import ToolMissingError
from ofa_edge.export.cuda import compile as cuda
from ofa_edge.export.cuda.emulated.build import build_driver, build_kernels
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.targets import load_target

# Calls of a run, in their order of first use; each in turn is made to fail.
CALLS = (
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuMemAlloc_v2",
    "cuMemcpyHtoD_v2",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuLaunchKernel",
    "cuStreamSynchronize",
    "cuMemcpyDtoH_v2",
    "cuMemFree_v2",
    "cuModuleUnload",
    "cuDevicePrimaryCtxRelease",
)


@pytest.fixture(scope="module")
def runner(folder):
    return build_tvm_runner(platform.machine(), folder / "cache", cuda=True)


@pytest.fixture(scope="module")
def library(net):
    """A library for sm_53 whose host code is for this machine, with what drives it: model.so, driver, kernels."""
    target = dict(load_target("jetson-nano").runtime.tvm.target)
    place = net.parent / "cuda"
    built = cuda.compile_cuda(net, place / "model.so", target, None, "fp32", place)
    (place / "model.json").write_text(json.dumps(built.to_json()))
    build_driver(place)
    build_kernels((place / "kernels.cu").read_text(), place)
    return place


def answers(net, inputs):
    """ONNX Runtime's logits of the first three images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(net, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": inputs[i : i + 1]})[0] for i in range(3)])


class Run:
    """One run of the runner: its exit status, what it said, and the driver's account."""

    def __init__(self, runner, library, folder, *arguments, model=None, **settings):
        self.log, self.out = folder / "log", folder / "out.f32"
        environment = {
            "LD_LIBRARY_PATH": str(library),
            "OFA_EDGE_CUDA_LOG": str(self.log),
            "OFA_EDGE_CUDA_KERNELS": str(library / "libkernels.so"),
            "OFA_EDGE_CUDA_ARCH": "5.3",
        } | settings
        command = [runner / RUNNER, model or library / cuda.EMULATED, folder / "in.f32", self.out]
        command += ["--shape", ",".join(map(str, (1, *SHAPE))), *arguments]
        environment = {**os.environ, **{key: value for key, value in environment.items() if value}}
        self.done = subprocess.run(
            [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        lines = self.log.read_text().splitlines() if self.log.is_file() else []
        self.calls = [json.loads(line) for line in lines]

    def of(self, name):
        return [call for call in self.calls if call["call"] == name]

    @property
    def leaks(self):
        (end,) = self.of("exit")
        return end["memory"], end["modules"], end["contexts"]


@pytest.fixture
def place(tmp_path, inputs):
    inputs[:3].tofile(tmp_path / "in.f32")
    return tmp_path


def test_one_documented_command_runs_the_kernels(runner, library, place, net, inputs):
    run = Run(runner, library, place)
    assert run.done.returncode == 0, run.done.stderr
    assert json.loads(run.done.stdout)["device"] == "cuda"
    logits = np.fromfile(run.out, np.float32).reshape(-1, CLASSES)
    np.testing.assert_allclose(logits, answers(net, inputs), atol=1e-5)


def test_everything_is_given_back_and_every_launch_is_the_compilers(runner, library, place):
    run = Run(runner, library, place)
    assert run.leaks == (0, 0, 0)
    assert {call["status"] for call in run.calls if "status" in call} == {"CUDA_SUCCESS"}
    assert len(run.of("cuMemAlloc_v2")) == len(run.of("cuMemFree_v2")) > 0
    assert [len(run.of(name)) for name in ("cuInit", "cuModuleLoadData", "cuModuleUnload")] == [1, 1, 1]
    launches = run.of("cuLaunchKernel")
    order = [call["kernel"] for call in launches]
    assert len(order) % 3 == 0
    assert order == order[: len(order) // 3] * 3  # three images, the same kernels
    told = {kernel["name"]: kernel for kernel in json.loads((library / "model.json").read_text())["kernels"]}
    declared = (library / "kernels.cu").read_text()
    for call in launches:
        x, y, z = call["block"]
        assert f"__launch_bounds__({x * y * z}) {call['kernel']}(" in declared
        assert (call["grid"], call["block"]) == (told[call["kernel"]]["grid"], told[call["kernel"]]["block"])
        assert call["shared"] == 0
        assert call["parameters"] == declared.split(f" {call['kernel']}(", 1)[1].split(")")[0].count("*")
    kinds = [re.sub(r"\d", "", name.removeprefix("fused_").split("_")[0]) for name in order[: len(order) // 3]]
    assert kinds.index("convd") < kinds.index("mean") < kinds.index("matmul")


def test_latency_waits_for_the_gpu(runner, library, place):
    run = Run(runner, library, place, "--latency", "--min-runs", 5, "--min-seconds", 0, "--warmup-seconds", 0)
    facts = json.loads(run.done.stdout)
    assert len(facts["latency_ns"]) == 5
    assert len(run.of("cuStreamSynchronize")) >= 1 + facts["warmup_runs"] + 5
    assert run.leaks == (0, 0, 0)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_named_and_nothing_leaks(runner, library, place, call):
    run = Run(runner, library, place, OFA_EDGE_CUDA_FAIL=f"{call}:1")
    assert run.done.returncode == 1, run.done.stderr
    assert not run.done.stdout
    assert re.search(rf"tvm_runner: .*{call.removesuffix('_v2')}.* failed: CUDA_ERROR_UNKNOWN \(999\)", run.done.stderr)
    left = run.leaks
    if call in ("cuMemFree_v2", "cuModuleUnload", "cuDevicePrimaryCtxRelease"):  # what it would have given back
        assert sum(left) > 0
    else:
        assert left == (0, 0, 0)


@pytest.mark.parametrize(("call", "number"), [("cuMemAlloc_v2", 5), ("cuLaunchKernel", 4), ("cuMemcpyDtoH_v2", 2)])
def test_a_failure_in_the_middle_leaks_nothing(runner, library, place, call, number):
    run = Run(runner, library, place, OFA_EDGE_CUDA_FAIL=f"{call}:{number}")
    assert run.done.returncode == 1, run.done.stderr
    assert f"{call.removesuffix('_v2')}" in run.done.stderr
    assert "CUDA_ERROR_UNKNOWN" in run.done.stderr
    assert run.leaks == (0, 0, 0)


def test_kernels_for_another_gpu_are_told(runner, library, place):
    run = Run(runner, library, place, OFA_EDGE_CUDA_ARCH="8.7")
    assert "cuModuleLoadData of the library's kernels failed: CUDA_ERROR_NO_BINARY_FOR_GPU (209)" in run.done.stderr
    assert run.leaks == (0, 0, 0)


def test_without_a_driver_the_reason_is_told(runner, library, place):
    run = Run(runner, library, place, LD_LIBRARY_PATH="")
    assert run.done.returncode == 1
    assert "no NVIDIA driver: libcuda.so.1" in run.done.stderr


@pytest.mark.parametrize(
    ("option", "words"), [("cuda", "no GPU can be used: libofa_edge_cuda.so"), ("cpu", "load_from_bytes.cuda")]
)
def test_without_the_plugin_the_reason_is_told(runner, library, place, option, words):
    bare = place / "bare"
    shutil.copytree(runner, bare)
    (bare / CUDA_PLUGIN).unlink()
    run = Run(bare, library, place, "--device", option)
    assert run.done.returncode == 1
    assert words in run.done.stderr


def test_a_library_without_kernels_runs_on_the_cpu(runner, library, place, net):
    model = tvm.compile_cpu(net, place / "cpu.so", {"kind": "llvm", "num-cores": 1}).file.path
    run = Run(runner, library, place, model=model)
    assert json.loads(run.done.stdout)["device"] == "cpu"
    assert run.calls == []
    refused = Run(runner, library, place, "--device", "cuda", model=model)
    assert "holds no CUDA kernels" in refused.done.stderr


def damage(data, what):
    """A library whose CUDA module says something else than TVM wrote."""
    at = data.index(struct.pack("<Q", 5) + b"cubin")
    count = at + 13
    changes = {
        "format": (at + 8, b"fatbi"),
        "count": (count, struct.pack("<Q", 2**62)),
        "name": (count + 8, struct.pack("<Q", 2**63)),
        "types": (data.index(struct.pack("<HBB", 1, 3, 64)[2:], count), b"\x07\x40"),
        "tag": (data.index(b"blockIdx.x", count), b"clusterIdx"),
    }
    start, bytes_ = changes[what]
    return data[:start] + bytes_ + data[start + len(bytes_) :]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("format", "CUDA code as fatbi"),
        ("count", "is damaged"),
        ("name", "is damaged"),
        ("types", "unknown type"),
        ("tag", "clusterIdx"),
    ],
)
def test_a_damaged_module_is_refused(runner, library, place, what, words):
    model = place / "damaged.so"
    model.write_bytes(damage((library / cuda.EMULATED).read_bytes(), what))
    run = Run(runner, library, place, model=model)
    assert run.done.returncode == 1
    assert words in run.done.stderr
    assert run.calls == []  # refused before the GPU is touched


def newest(versions, prefix):
    return max(tuple(map(int, name.removeprefix(prefix).split("."))) for name in versions if name.startswith(prefix))


def check_jetpack_4(folder):
    """JetPack 4 is Ubuntu 18.04: glibc 2.27, the C++ library of GCC 8."""
    files = [path for path in folder.iterdir() if path.suffix != ".json"]
    assert len(files) == 4
    for path in files:
        versions = elf.links(path.read_bytes()).versions
        assert newest(versions, "GLIBC_") <= (2, 27), path.name
        assert newest(versions, "GLIBCXX_") <= (3, 4, 25), path.name
        assert newest(versions, "CXXABI_") <= (1, 3, 11), path.name


def test_the_runner_starts_on_jetpack_4(runner):
    check_jetpack_4(runner)


def test_the_runner_for_aarch64_starts_on_jetpack_4():
    from platformdirs import user_cache_path

    try:
        check_jetpack_4(build_tvm_runner("aarch64", user_cache_path("ofa-edge"), cuda=True))
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")


def test_the_artifact_itself_runs_on_an_emulated_aarch64(library, place, net, inputs):
    """The very files that go to a Jetson: its runner, and model.so. Only the driver and the kernels are ours."""
    from platformdirs import user_cache_path

    qemu, system = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static"), Path("/usr/aarch64-linux-gnu")
    if qemu is None or not (system / "lib" / "libstdc++.so.6").is_file():
        pytest.skip("no QEMU, or no C++ library for aarch64: apt-get install qemu-user g++-aarch64-linux-gnu")
    try:
        runner = build_tvm_runner("aarch64", user_cache_path("ofa-edge"), cuda=True)
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    build_driver(place, "aarch64")
    build_kernels((library / "kernels.cu").read_text(), place, "aarch64")
    settings = {
        "LD_LIBRARY_PATH": str(place),
        "OFA_EDGE_CUDA_KERNELS": str(place / "libkernels.so"),
        "OFA_EDGE_CUDA_LOG": str(place / "log"),
        "OFA_EDGE_CUDA_ARCH": "5.3",
    }
    command = [qemu, "-L", str(system), *(word for key, value in settings.items() for word in ("-E", f"{key}={value}"))]
    command += [str(runner / RUNNER), str(library / "model.so"), str(place / "in.f32"), str(place / "out.f32")]
    done = subprocess.run(
        [*command, "--shape", ",".join(map(str, (1, *SHAPE)))], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["device"] == "cuda"
    wanted = answers(net, inputs)
    np.testing.assert_allclose(np.fromfile(place / "out.f32", np.float32).reshape(-1, CLASSES), wanted, atol=1e-5)
    assert json.loads((place / "log").read_text().splitlines()[-1]) == {
        "call": "exit",
        "memory": 0,
        "modules": 0,
        "contexts": 0,
    }


def test_only_the_plugin_asks_for_the_driver(runner):
    assert Path(runner, CUDA_PLUGIN).is_file()
    for path in runner.iterdir():
        if path.suffix != ".json":
            assert not [name for name in elf.undefined_symbols(path.read_bytes()) if re.match("cu[A-Z]", name)]
