"""What is read from a cubin, and what an architecture allows."""

from dataclasses import replace

import pytest

from ofa_edge import elf
from ofa_edge.errors import ConversionError
from ofa_edge.export.cuda import nvrtc
from ofa_edge.export.cuda.launches import Launch, read_launches
from ofa_edge.export.cuda.limits import Kernel, check
from ofa_edge.export.cuda.resources import Resources, read_resources
from ofa_edge.export.cuda.schedules import window
from ofa_edge.export.cuda.schedules.nest import read_nest

# Shared memory of 4000 bytes; an array that is indexed by a parameter cannot live in registers; a plain kernel.
SOURCE = r"""
extern "C" __global__ void shares(float* x) {
  __shared__ float all[1000];
  all[threadIdx.x] = x[threadIdx.x]; __syncthreads(); x[threadIdx.x] = all[999 - threadIdx.x];
}
extern "C" __global__ void spills(float* x, int n) {
  float own[64];
  for (int i = 0; i < 64; ++i) own[i] = x[i * n];
  for (int i = 0; i < 64; ++i) own[(i * n) & 63] += own[(i + n) & 63];
  x[n] = own[n & 63];
}
extern "C" __global__ void plain(float* x) { x[threadIdx.x] *= 2; }
"""
FINE = Kernel("k", "window", Launch((8, 1, 1), (128, 1, 1), 1.0), Resources(32, 4096, 0))


@pytest.mark.parametrize("arch", ["sm_53", "sm_72", "sm_87"])
def test_resources_of_a_cubin(arch):
    found = read_resources(nvrtc.compile_cubin(SOURCE, arch))
    assert set(found) == {"shares", "spills", "plain"}
    assert (found["shares"].shared, found["plain"].shared) == (4000, 0)
    assert found["spills"].stack == 256
    assert (found["shares"].stack, found["plain"].stack) == (0, 0)
    assert all(2 <= taken.registers <= 255 for taken in found.values())


def test_more_accumulators_take_more_registers():
    def source(count):
        sums = "".join(f"float a{i} = x[{i}];" for i in range(count))
        loop = "".join(f"a{i} = a{i} * y + a{(i + 1) % count};" for i in range(count))
        ends = "".join(f"x[{i}] = a{i};" for i in range(count))
        return f'extern "C" __global__ void f(float* x, float y, int n) {{ {sums} while (n--) {{ {loop} }} {ends} }}'

    few, many = (read_resources(nvrtc.compile_cubin(source(n), "sm_53"))["f"].registers for n in (4, 64))
    assert few < 32
    assert 64 < many < 128


@pytest.mark.parametrize("size", [0, 40, 3000])
def test_a_cut_cubin_is_refused(size):
    with pytest.raises(elf.ElfError):
        read_resources(nvrtc.compile_cubin(SOURCE, "sm_53")[:size])


def test_a_kernel_within_the_limits_passes():
    for arch in ("sm_53", "sm_72", "sm_87"):
        check(FINE, arch)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"launch": Launch((1, 65536, 1), (1, 1, 1), 1.0)}, "grid y: 65536, allowed: 65535"),
        ({"launch": Launch((1, 1, 1), (1, 1, 65), 1.0)}, "block z: 65, allowed: 64"),
        ({"launch": Launch((1, 1, 1), (64, 32, 1), 1.0)}, "threads a block: 2048"),
        ({"launch": Launch((0, 1, 1), (64, 1, 1), 1.0)}, "grid x: 0"),
        ({"resources": Resources(32, 49153, 0)}, "bytes of shared memory: 49153"),
        ({"resources": Resources(256, 0, 0)}, "registers a thread: 256"),
        (
            {"launch": Launch((1, 1, 1), (1024, 1, 1), 1.0), "resources": Resources(33, 0, 0)},
            "registers a block: 40960",
        ),
    ],
)
def test_a_kernel_beyond_a_limit_is_named_with_it(change, words):
    with pytest.raises(ConversionError, match=words):
        check(replace(FINE, **change), "sm_53")


def test_orin_has_twice_the_registers_of_a_nano():
    wide = replace(FINE, launch=Launch((1, 1, 1), (1024, 1, 1), 1.0), resources=Resources(33, 0, 0))
    check(wide, "sm_87")
    with pytest.raises(ConversionError):
        check(wide, "sm_53")


def test_launches_are_read_from_loops():
    """150 elements in blocks of 64: three blocks, and 150 of 192 threads with work."""
    from tvm import s_tir, te

    x = te.placeholder((150,), name="x")
    sch = s_tir.Schedule(te.create_prim_func([x, te.compute((150,), lambda i: x[i] * 2, name="y")]))
    (loop,) = sch.get_loops(sch.get_sblock("y"))
    block, thread = sch.split(loop, [None, 64])
    sch.bind(block, "blockIdx.x")
    sch.bind(thread, "threadIdx.x")
    (launch,) = read_launches(sch.mod["main"])
    assert launch == Launch((3, 1, 1), (64, 1, 1), 150 / 192)


def test_tvms_default_depthwise_leaves_most_threads_idle():
    """What the `window` rule is for: one block of 256 threads for each output, 25 with a tap to add."""
    from tvm import te, topi
    from tvm.s_tir.dlight import gpu
    from tvm.target import Target

    x, w, b = (te.placeholder(shape, name="p") for shape in ((1, 28, 28, 24), (5, 5, 1, 24), (1, 1, 1, 24)))
    y = topi.nn.relu(topi.add(topi.nn.group_conv2d_nhwc(x, w, 1, 2, 1, 24), b))
    target = Target({"kind": "cuda", "arch": "sm_53", "max_threads_per_block": 1024, "thread_warp_size": 32})
    done = gpu.GeneralReduction().apply(te.create_prim_func([x, w, b, y]), target, False)
    (default,) = read_launches(done.mod["main"])
    assert (default.grid, default.block) == ((28 * 28 * 24, 1, 1), (256, 1, 1))
    assert default.useful < 0.1
    (ours,) = read_launches(window.schedule(read_nest(te.create_prim_func([x, w, b, y]))).mod["main"])
    assert ours.grid[0] * ours.block[0] < default.grid[0]
    assert ours.useful > 0.9
