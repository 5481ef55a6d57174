"""Functions that take turns, by the real program on this machine."""

import platform
from dataclasses import replace

import numpy as np
import pytest
from platformdirs import user_cache_path

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.measuring.turns import check_timeable, open_turns
from ofa_edge.device.runners.build import build_tvm_turns
from ofa_edge.errors import DeviceRunError, UnsupportedError
from ofa_edge.export.tvm import compile as tvm


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    import tvm as compiler
    from tvm import ir
    from tvm.script import tirx

    @tirx.prim_func(s_tir=True)
    def short(a: tirx.Buffer((64,), "float32"), b: tirx.Buffer((64,), "float32")):
        for i in range(64):
            with tirx.sblock("b"):
                j = tirx.axis.spatial(64, i)
                b[j] = a[j] * tirx.float32(2)

    path = tmp_path_factory.mktemp("turns") / "functions.so"
    target = tvm.make_target(tvm.host_target(), "llvm")
    module = ir.IRModule({"short": short.with_attr("global_symbol", "short").with_attr("tirx.is_scheduled", True)})
    compiler.compile(module, target=target).export_library(
        str(path), fcompile=tvm.find_linker(str(target.attrs["mtriple"]))
    )
    return path


@pytest.fixture(scope="module")
def turns():
    program = build_tvm_turns(platform.machine(), user_cache_path("ofa-edge"))
    with open_turns(LocalConnection(), program, 1, sample_us=5.0) as opened:
        yield opened


def line(turns, symbol: str) -> str:
    return f"{turns.place('f.so')} {symbol} float32:64 float32:64"


def test_every_turn_has_a_time_in_every_round(turns, library):
    times = turns.time({"f.so": library}, [line(turns, "short")] * 3, 4, 60.0)
    assert times.shape == (4, 3)
    assert (times > 0).all()
    assert np.isfinite(times).all()


def test_no_round_begins_after_the_limit(turns, library):
    assert turns.time({"f.so": library}, [line(turns, "short")], 10**6, 0.05).shape[0] < 10**6


@pytest.mark.parametrize("bad", ["missing float32:64 float32:64", "short float32", "short float32:8 float32:8"])
def test_a_turn_that_cannot_run_is_an_error(turns, library, bad):
    with pytest.raises(DeviceRunError, match="tvm_turns"):
        turns.time({"f.so": library}, [f"{turns.place('f.so')} {bad}"], 1, 60.0)


class Says:
    """A device that says what it is."""

    name = "board"

    def __init__(self, **facts):
        self.facts = facts

    def fingerprint(self):
        return replace(LocalConnection().fingerprint(), **self.facts)


def test_an_emulated_device_gives_no_times():
    with pytest.raises(UnsupportedError, match="an emulator gives no times"):
        check_timeable(Says(device_kind="emulated", kind_evidence="marker"), platform.machine())


def test_another_architecture_is_refused():
    with pytest.raises(UnsupportedError, match="the artifact is for aarch64"):
        check_timeable(Says(device_kind="physical", arch="riscv64"), "aarch64")


def test_this_machine_can_be_timed():
    assert check_timeable(Says(device_kind="physical"), platform.machine()).arch == platform.machine()
