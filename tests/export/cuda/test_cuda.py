import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from tvm_models import JETSON_NANO, mobile_net, save

from ofa_edge import elf
from ofa_edge.errors import ConfigError, ConversionError, ToolMissingError, UnsupportedError
from ofa_edge.export.cuda import compile as cuda
from ofa_edge.export.cuda import nvrtc, stubs
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.files import sha256_file

KERNELS = r"""
extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }
extern "C" __global__ void thrice(float* x) { x[threadIdx.x] *= 3; }
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save(mobile_net(), tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="module")
def nano(net):
    """The whole way for a Jetson Nano, once."""
    return cuda.compile_cuda(net, net.with_name("nano.so"), JETSON_NANO)


@pytest.fixture(scope="module")
def cubin():
    return nvrtc.compile_cubin(KERNELS, "sm_53")


def test_library_for_jetson_nano_carries_its_kernels(nano):
    data = nano.file.path.read_bytes()
    assert int.from_bytes(data[18:20], "little") == 183  # EM_AARCH64
    (found,) = elf.find_cubins(data)
    assert found.offset > 0
    assert found.arch == nano.arch == "sm_53"
    assert found.kernels == {kernel.name for kernel in nano.kernels}
    assert found.size == nano.cubin_bytes
    assert any("conv2d" in kernel.name for kernel in nano.kernels)
    assert b"__global__" not in data  # machine code, not source text
    for name in found.kernels:  # the host's code asks for them by name
        assert data[: found.offset].count(name.encode()) + data[found.offset + found.size :].count(name.encode())


def test_manifest_entry(nano):
    entry = nano.to_json()
    assert json.loads(json.dumps(entry)) == entry
    assert entry["cubin"] == {
        "arch": "sm_53",
        "kernels": len(nano.kernels),
        "bytes": nano.cubin_bytes,
        "nvrtc": "12.6",
    }
    assert len(entry["kernels"]) == len(nano.kernels)
    depthwise = next(kernel for kernel in entry["kernels"] if kernel["rule"] == "window")
    told = {"name", "arch", "rule", "own_rule", "grid", "block", "useful", "registers", "shared", "stack"}
    assert set(depthwise) == told
    assert "without a GPU" in entry["note"]


def test_parent_process_stays_clean(nano):
    assert nano.file.sha256 == sha256_file(nano.file.path)
    assert "ofa-edge-cuda-" not in Path("/proc/self/maps").read_text()


def test_runtime_reads_the_kernels_back(net, tmp_path):
    """The same for this machine's CPU: TVM's own loader gives back a module of kind cuda beside the host's code."""
    library = cuda.compile_cuda(net, tmp_path / "here.so", {**JETSON_NANO, "arch": "sm_87", "host": tvm.host_target()})
    assert library.arch == "sm_87"
    program = """
import importlib.util, json, sys
from pathlib import Path
from ofa_edge.export.cuda.stubs import load_stubs
folder = Path(importlib.util.find_spec("tvm").submodule_search_locations[0], "lib")
load_stubs(folder / "libtvm_runtime_cuda.so", Path(sys.argv[2]))
import ctypes
import tvm_ffi
for name in ("libtvm_runtime.so", "libtvm_runtime_cuda.so"):
    ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
module = tvm_ffi.load_module(sys.argv[1])
assert "tvm" not in sys.modules
tree, found = [module], []
while tree:
    module = tree.pop()
    found.append(module.kind)
    tree.extend(module.imports)
print(json.dumps(found))
mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
stand_ins = {path for path in mapped if Path(path).name.startswith(("libcuda.so", "libcudart.so"))}
assert {str(Path(path).parent) for path in stand_ins} == {sys.argv[2]}, stand_ins
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TVM_FFI_DISABLE_TORCH_C_DLPACK": "1"}
    command = [sys.executable, "-c", program, str(library.file.path), str(tmp_path)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    kinds = json.loads(done.stdout)
    assert "cuda" in kinds
    assert "relax.VMExecutable" in kinds


def test_error_of_the_child_reaches_the_caller(tmp_path):
    model = save(mobile_net("Det"), tmp_path)
    with pytest.raises(ConversionError, match="operator Det"):
        cuda.compile_cuda(model, tmp_path / "x.so", JETSON_NANO)
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


@pytest.mark.parametrize(
    ("change", "precision", "error", "words"),
    [
        ({}, "int8", UnsupportedError, "int8"),
        ({"arch": None}, "fp32", ConfigError, "names no architecture"),
        ({"arch": "53"}, "fp32", ConfigError, "names no architecture"),
    ],
)
def test_refused_before_any_work(net, tmp_path, change, precision, error, words):
    with pytest.raises(error, match=words):
        cuda.compile_cuda(net, tmp_path / "x.so", {**JETSON_NANO, **change}, precision=precision)


def test_target_without_its_cpu_is_refused():
    alone = {key: value for key, value in JETSON_NANO.items() if key != "host"}
    with pytest.raises(ConfigError, match="needs the CPU beside it"):
        tvm.make_target(alone, "cuda")


def test_missing_nvrtc_is_told_first(net, tmp_path, monkeypatch):
    monkeypatch.setattr(nvrtc, "package_folders", lambda name: [])
    with pytest.raises(ToolMissingError, match="NVRTC") as caught:
        cuda.compile_cuda(net, tmp_path / "x.so", JETSON_NANO)
    assert "ofa-edge[cuda]" in caught.value.hint


def test_missing_headers_are_told(monkeypatch):
    found = nvrtc.package_folders
    monkeypatch.setattr(nvrtc, "package_folders", lambda name: [] if name == "nvidia.cuda_cccl" else found(name))
    with pytest.raises(ToolMissingError, match="cuda/std/cstdint"):
        nvrtc.compile_cubin(KERNELS, "sm_53")


@pytest.mark.parametrize("arch", ["sm_53", "sm_87"])
def test_cubin_names_its_architecture_and_kernels(arch):
    (found,) = elf.find_cubins(b"\x7fELF of no kind" + nvrtc.compile_cubin(KERNELS, arch) + b"tail")
    assert found.arch == arch
    assert found.kernels == {"twice", "thrice"}
    assert found.offset == len(b"\x7fELF of no kind")


def test_kernel_that_does_not_compile_is_told_with_the_compilers_words():
    with pytest.raises(ConversionError, match='identifier "y" is undefined'):
        nvrtc.compile_cubin('extern "C" __global__ void f(float* x) { x[0] = y; }', "sm_53")


def test_unknown_architecture_is_told():
    with pytest.raises(ConversionError, match="sm_20"):
        nvrtc.compile_cubin(KERNELS, "sm_20")


def test_verify_passes_what_is_right(tmp_path, cubin):
    library = tmp_path / "model.so"
    library.write_bytes(b"host code" + cubin + b"more")
    found = cuda.verify_library(library, "sm_53", ["twice", "thrice"])
    assert (found.offset, found.size) == (9, len(cubin))


@pytest.mark.parametrize(
    ("arch", "kernels", "words"),
    [
        ("sm_87", ["twice", "thrice"], "holds kernels for sm_53"),
        ("sm_53", ["twice"], "thrice"),
        ("sm_53", ["twice", "thrice", "more"], "more"),
        ("sm_53", [], "twice"),
    ],
)
def test_verify_refuses_other_kernels(tmp_path, cubin, arch, kernels, words):
    library = tmp_path / "model.so"
    library.write_bytes(cubin)
    with pytest.raises(ConversionError, match=words):
        cuda.verify_library(library, arch, kernels)


@pytest.mark.parametrize("copies", [0, 2])
def test_verify_refuses_source_text_or_several_cubins(tmp_path, cubin, copies):
    library = tmp_path / "model.so"
    library.write_bytes(KERNELS.encode() + cubin * copies)
    with pytest.raises(ConversionError, match=f"cubins found: {copies}"):
        cuda.verify_library(library, "sm_53", ["twice", "thrice"])


def test_verify_refuses_a_cut_cubin(tmp_path, cubin):
    library = tmp_path / "model.so"
    library.write_bytes(cubin[: len(cubin) // 2])
    with pytest.raises(ConversionError, match="damaged"):
        cuda.verify_library(library, "sm_53", ["twice", "thrice"])


def test_elf_refuses_other_files():
    with pytest.raises(elf.ElfError):
        elf.sections(b"text")
    with pytest.raises(elf.ElfError):
        elf.sections(
            struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 999, 0, 64, 0, 0, 64, 4, 1)
        )


def test_stub_source():
    text = stubs.source(["cuInit", "cudaGetErrorString"])
    assert "int cuInit(void) { return 3; }" in text
    assert 'const char *cudaGetErrorString(void) { return "stub"; }' in text
