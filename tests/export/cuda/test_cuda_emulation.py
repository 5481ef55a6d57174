"""CUDA kernels on this machine's CPU: the emulation itself, and the kernels of a small network with every operator."""

import ctypes
import platform
from dataclasses import replace

import numpy as np
import pytest
from platformdirs import user_cache_path
from tvm_models import CLASSES, JETSON_NANO, Graph, images, reference, save

from ofa_edge.device.runners.build import RUNNER, build_tvm_runner
from ofa_edge.errors import ConversionError, UnsupportedError
from ofa_edge.export.cuda import compile as cuda
from ofa_edge.export.cuda import nvrtc
from ofa_edge.export.cuda.emulate import run_emulated
from ofa_edge.export.cuda.emulated.build import build_kernels, translate
from ofa_edge.export.cuda.limits import check
from ofa_edge.export.cuda.resources import read_resources
from ofa_edge.export.cuda.schedules.apply import FALLBACK
from ofa_edge.verify.parity import compare

GOOD = """
extern "C" __global__ void __launch_bounds__(64) shift_kernel(float* __restrict__ y_ptr, float* __restrict__ x_ptr) {
  __shared__ alignas(64) float all_ptr[64];
  all_ptr[threadIdx.x] = x_ptr[blockIdx.x * 64 + threadIdx.x];
  __syncthreads();
  y_ptr[blockIdx.x * 64 + threadIdx.x] = all_ptr[(threadIdx.x + 1) % 64];
}
extern "C" __global__ void __launch_bounds__(256) round_kernel(half* __restrict__ y_ptr, float* __restrict__ x_ptr) {
  y_ptr[blockIdx.x * 256 + threadIdx.x] = (half)x_ptr[blockIdx.x * 256 + threadIdx.x];
}
extern "C" __global__ void __launch_bounds__(256) widen_kernel(float* __restrict__ y_ptr, half* __restrict__ x_ptr) {
  y_ptr[blockIdx.x * 256 + threadIdx.x] = (float)x_ptr[blockIdx.x * 256 + threadIdx.x];
}
"""


class Kernels:
    """A library of emulated kernels, called as the driver calls it."""

    def __init__(self, source, folder):
        self.library = ctypes.CDLL(str(build_kernels(source, folder)))
        self.library.emulated_launch.restype = ctypes.c_char_p

    def __call__(self, name, grid, block, *arrays, reverse=False):
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        places = (ctypes.c_void_p * len(arrays))(*(ctypes.addressof(pointer) for pointer in pointers))
        sizes = [(ctypes.c_uint * 3)(*size, *[1] * (3 - len(size))) for size in (grid, block)]
        return self.library.emulated_launch(name.encode(), *sizes, places, int(reverse)).decode()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return Kernels(GOOD, tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("reverse", [False, True])
def test_barriers_and_shared_memory(good, reverse):
    x, y = np.arange(128, dtype=np.float32), np.zeros(128, np.float32)
    assert good("shift_kernel", (2,), (64,), y, x, reverse=reverse) == ""
    np.testing.assert_array_equal(y, np.roll(x.reshape(2, 64), -1, axis=1).ravel())


def test_a_missing_barrier_shows_in_one_of_the_orders(tmp_path):
    racy = Kernels(GOOD.replace("  __syncthreads();\n", ""), tmp_path)
    x, answers = np.arange(64, dtype=np.float32), []
    for reverse in (False, True):
        y = np.zeros(64, np.float32)
        racy("shift_kernel", (1,), (64,), y, x, reverse=reverse)
        answers.append(y)
    assert np.isnan(answers[0]).sum() == 63  # all but the last thread read ahead of their neighbour's write
    assert not np.array_equal(*answers, equal_nan=True)


def test_a_barrier_that_some_threads_skip_is_told(tmp_path):
    broken = Kernels(GOOD.replace("  __syncthreads", "  if (threadIdx.x < 7) __syncthreads"), tmp_path)
    x = np.zeros(64, np.float32)
    assert broken("shift_kernel", (1,), (64,), x, x) == "shift_kernel: some threads of a block skip a __syncthreads"


def test_float16_is_rounded_as_numpy_does(good):
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = np.empty(65536, np.float32)
    good("widen_kernel", (256,), (256,), wide, every)
    np.testing.assert_array_equal(wide, every.astype(np.float32))
    wide, random = wide[np.isfinite(wide)], np.random.default_rng(0)
    wide = np.append(wide, np.zeros(65536 - wide.size, np.float32))
    between = np.nextafter(wide, np.where(random.random(65536) < 0.5, -np.inf, np.inf).astype(np.float32))
    spread = (random.normal(size=65536) * 10.0 ** random.integers(-9, 6, 65536)).astype(np.float32)
    ties = (wide[:-1] + wide[1:]) / 2
    for values in (wide, between, spread, np.append(ties, 65520).astype(np.float32)):
        rounded = np.empty(65536, np.float16)
        good("round_kernel", (256,), (256,), rounded, np.ascontiguousarray(values))
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_array_equal(rounded, values.astype(np.float16))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("__syncthreads()", "__shfl_down_sync(1, 2, 3)", "it uses __shfl_down_sync"),
        ("__shared__ alignas(64) float all_ptr[64]", "extern __shared__ float all_ptr[]", "__shared__"),
    ],
)
def test_what_the_emulation_does_not_know_is_refused(old, new, words):
    with pytest.raises(UnsupportedError, match=words):
        translate(GOOD.replace(old, new))


def test_source_without_kernels_is_refused():
    with pytest.raises(ConversionError, match="no kernel"):
        translate("int nothing;")


def every_operator():
    """Depthwise 3, 5, 7 of both strides, a first, a dense and pointwise convolutions, pooling, a gate, residuals."""
    g = Graph()
    x = g.node("HardSwish", g.conv("input", 3, 24, kernel=3))
    for kernel, stride in ((3, 1), (5, 1), (7, 1), (3, 2), (5, 2)):
        deep = g.node("HardSwish", g.conv(x, 24, 24, kernel=kernel, stride=stride, groups=24))
        x = g.node("Add", deep, x) if stride == 1 else deep
    x = g.node("Relu", g.conv(x, 24, 40))
    gate = g.node("Relu", g.conv(g.node("GlobalAveragePool", x), 40, 8))
    x = g.node("Mul", x, g.node("HardSigmoid", g.conv(gate, 8, 40), alpha=1 / 6, beta=0.5))
    x = g.node("Relu", g.conv(x, 40, 24, kernel=3))
    x = g.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = g.node("Add", g.conv(x, 24, 24, kernel=7, stride=2, groups=24), g.conv(x, 24, 24, stride=2))
    flat = g.node("Flatten", g.node("GlobalAveragePool", x))
    return g.model(g.node("Gemm", flat, g.weight((CLASSES, 24), 0.5), g.weight((CLASSES,), 0.1), transB=1))


@pytest.fixture(scope="module")
def runner():
    return build_tvm_runner(platform.machine(), user_cache_path("ofa-edge"), cuda=True) / RUNNER


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save(every_operator(), tmp_path_factory.mktemp("emulated"))


@pytest.fixture(scope="module", params=[("fp32", "sm_53", 90), ("fp16", "sm_72", 40)], ids=["fp32", "fp16"])
def built(request, net):
    """(the library, the folder of its emulation, the least SNR)."""
    precision, arch, floor = request.param
    folder = net.parent / precision
    target = {**JETSON_NANO, "arch": arch}
    return cuda.compile_cuda(net, folder / "model.so", target, None, precision, folder), folder, floor


def test_kernels_of_every_operator_answer_as_the_network_does(net, built, runner):
    library, folder, floor = built
    inputs = images(3)
    logits = run_emulated(folder, runner, inputs, library.arch)
    assert compare(reference(net, inputs), logits).snr_db > floor
    np.testing.assert_array_equal(run_emulated(folder, runner, inputs, library.arch, reverse=True), logits)


def test_every_operator_has_a_rule(built):
    library, _, _ = built
    assert all(kernel.own_rule for kernel in library.kernels)
    rules = {kernel.rule for kernel in library.kernels}
    assert rules == {"elementwise", "product", "vector", "window"}
    assert FALLBACK not in rules
    for kernel in library.kernels:
        assert kernel.launch.useful > 0.45, kernel
        assert kernel.resources.stack == 0, kernel  # nothing spilled
        if "conv2d" in kernel.name:
            assert 64 <= kernel.threads <= 512, kernel


@pytest.mark.parametrize("arch", ["sm_53", "sm_72", "sm_87"])
def test_kernels_compile_for_every_jetson_within_its_limits(built, arch):
    library, folder, _ = built
    taken = read_resources(nvrtc.compile_cubin((folder / "kernels.cu").read_text(encoding="utf-8"), arch))
    assert set(taken) == {kernel.name for kernel in library.kernels}
    for kernel in library.kernels:
        here = replace(kernel, resources=taken[kernel.name])
        check(here, arch)
        assert here.resources.stack == 0, here


def test_a_kernel_outside_its_memory_is_told(built, runner, tmp_path):
    library, folder, _ = built
    source = (folder / "kernels.cu").read_text(encoding="utf-8")
    (tmp_path / "kernels.cu").write_text(source.replace("_ptr[(", "_ptr[100000000 + (", 1))
    (tmp_path / "emulated.so").write_bytes((folder / "emulated.so").read_bytes())
    if source == (tmp_path / "kernels.cu").read_text():
        pytest.fail("no access was moved")
    with pytest.raises(ConversionError, match="went outside its memory"):
        run_emulated(tmp_path, runner, images(1), library.arch)
