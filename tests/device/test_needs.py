"""What a device lacks is told first, for that device: each lack on a simulated board, some behind a real sshd."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lacking import NO_MODULE, Board, elf
from ssh_rig import Server, needs_sshd

from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.device.connections.userland import read_userland
from ofa_edge.device.measuring.loadable import check_loadable
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.needs import LEAST_ROOM, Needs, lacks, require
from ofa_edge.device.protocol import Request
from ofa_edge.elf import image
from ofa_edge.errors import DeviceRunError, ToolMissingError, UnsupportedError
from ofa_edge.runtimes import runtime_named
from ofa_edge.targets import load_target
from ofa_edge.testing.sim import SimConnection, SimDevice

LITERT = "ai_edge_litert.interpreter"
PI = load_target("raspberry-pi-4")
PACKAGES = {of for name in PI.runtimes for of in runtime_named(name).needs(PI, Board().fingerprint()).modules.values()}
NONE = {"numpy": NO_MODULE.format("numpy"), LITERT: NO_MODULE.format("ai_edge_litert")}


def needs(runtime, board):
    return runtime_named(runtime).needs(PI, board.fingerprint())


def test_a_whole_board_lacks_nothing():
    for runtime in PI.runtimes:
        require(Board(), needs(runtime, Board()))


CASES = {
    "32-bit system, TVM": ("tvm", {"programs": "armv7l"}, UnsupportedError, "32-bit system", "64-bit system"),
    "32-bit system, TFLite": (
        "tflite",
        {"programs": "armv7l", "missing": NONE},
        ToolMissingError,
        "no wheel of numpy for armv7l",
        "install a 64-bit system on pi",
    ),
    "another machine": ("tvm", {"programs": "x86_64"}, UnsupportedError, "it is x86_64", "--target"),
    "an old C library, TVM": ("tvm", {"glibc": "glibc 2.23"}, UnsupportedError, "glibc 2.23", "glibc 2.27"),
    "musl, TVM": ("tvm", {"glibc": "musl 1.2.3"}, UnsupportedError, "musl 1.2.3", "glibc 2.27"),
    "no Python": ("tflite", {"version": None}, ToolMissingError, "exit status 127", "apt install python3"),
    "an old Python": ("tflite", {"version": (3, 7, 3)}, ToolMissingError, "Python 3.7.3", "[devices.pi]"),
    "no LiteRT": (
        "tflite",
        {"missing": {LITERT: NO_MODULE.format("ai_edge_litert")}},
        ToolMissingError,
        "No module named 'ai_edge_litert'",
        "on pi: python3 -m pip install ai-edge-litert==2.3.0",
    ),
    "no LiteRT, an older Python": (
        "tflite",
        {"version": (3, 9, 2), "missing": {LITERT: NO_MODULE.format("ai_edge_litert")}},
        ToolMissingError,
        "Python 3.9.2",
        "pip install ai-edge-litert==2.1.0",
    ),
    "a Python without a wheel": (
        "tflite",
        {"version": (3, 15, 0), "missing": {LITERT: NO_MODULE.format("ai_edge_litert")}},
        ToolMissingError,
        "no wheel of ai-edge-litert for Python 3.15",
        "another Python on pi",
    ),
    "a C library without a wheel": (
        "tflite",
        {"version": (3, 13, 1), "glibc": "glibc 2.24", "missing": {LITERT: NO_MODULE.format("ai_edge_litert")}},
        ToolMissingError,
        "no wheel of ai-edge-litert for glibc 2.24; there are some for glibc 2.27",
        "--runtime tvm",
    ),
    "musl without a wheel": (
        "onnxruntime",
        {"glibc": "musl 1.2.3", "missing": {"onnxruntime": NO_MODULE.format("onnxruntime")}},
        ToolMissingError,
        "no wheel of onnxruntime for musl 1.2.3",
        "--runtime tvm",
    ),
    "no ONNX Runtime, a Python that the system keeps": (
        "onnxruntime",
        {"managed": True, "missing": {"onnxruntime": NO_MODULE.format("onnxruntime")}},
        ToolMissingError,
        "No module named 'onnxruntime'",
        "python3 -m venv litert && litert/bin/python -m pip install onnxruntime==1.31.1",
    ),
    "no NumPy": (
        "onnxruntime",
        {"missing": {"numpy": NO_MODULE.format("numpy")}},
        ToolMissingError,
        "has no numpy",
        "pip install numpy==2.4.6",
    ),
    "a package that does not load": (
        "tflite",
        {"missing": {LITERT: "ImportError: libm.so.6: version `GLIBC_2.29' not found"}, "glibc": "glibc 2.28"},
        ToolMissingError,
        "cannot load ai-edge-litert",
        "pip install",
    ),
    "a full disk": ("tflite", {"free_kib": 900}, DeviceRunError, "900 KiB are free in /tmp", "df -h /tmp"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_board_lacks_is_told_for_that_board(case):
    runtime, has, kind, why, fix = CASES[case]
    board = Board(**has)
    with pytest.raises(kind) as told:
        require(board, needs(runtime, board))
    assert told.value.what.startswith("pi ")
    assert why in f"{told.value.what}: {told.value.why}"
    assert fix in told.value.hint
    assert "doctor" not in told.value.hint  # that looks at this machine, and the fault is there
    assert not board.pushed


def test_all_lacks_are_told_at_once():
    board = Board(missing=NONE, free_kib=900)
    with pytest.raises(ToolMissingError) as told:
        require(board, needs("tflite", board))
    assert told.value.why.endswith("besides, it has no ai-edge-litert, has no room for a run")


def test_a_64_bit_python_on_a_32_bit_system_is_judged_by_itself():
    board = Board(programs="armv7l", python_machine="aarch64")
    has = read_userland(board, board.fingerprint(), needs("tflite", board).names)
    assert (has.machine, has.programs, has.python.machine) == ("aarch64", "armv7l", "aarch64")
    assert not lacks(board, has, needs("tflite", board))
    assert [each.kind for each in lacks(board, has, needs("tvm", board))] == ["machine"]


def test_what_a_device_does_not_tell_is_held_against_nobody():
    board = Board()
    board.programs = {"df -P -k /tmp/private": "df: bad\n"}  # neither od nor getconf, as on a small BusyBox
    require(board, Needs(machine="aarch64", glibc=(2, 27)))
    has = read_userland(board, board.fingerprint(), {})
    assert (has.programs, has.free) == (None, None)
    with pytest.raises(UnsupportedError):
        require(board, Needs(machine="x86_64"))


@pytest.mark.parametrize("answer", ["", "Python 2.7", '{"version": 3}', '{"version": [3, 11], "header": "zz"}', "[]"])
def test_a_python_that_answers_something_else_is_none(answer):
    board = Board()
    board.answer = lambda argv, line: (0, answer) if argv[0] == "python3" else Board.answer(board, argv, line)
    has = read_userland(board, board.fingerprint(), {})
    assert has.python is None
    assert "it answers" in has.no_python


# -- wheels ------------------------------------------------------------------------------------------------------------


def test_the_newest_wheels_are_those_of_the_pinned_versions():
    pins = dict(line.split("==") for line in Path("constraints.txt").read_text().splitlines() if "==" in line)
    assert len(PACKAGES) == 3
    for package in PACKAGES:
        assert package.wheels[0].version == pins[package.name].strip()
        assert [row.glibc for row in package.wheels] == sorted((row.glibc for row in package.wheels), reverse=True)


def test_installed_wheels_are_in_the_table():
    """What pip itself installed here, by its own metadata, held to the row that the table gives this Python."""

    for package in PACKAGES:
        found, row = importlib.metadata.distribution(package.name), package.wheels[0]
        if found.version != row.version:  # an installation by hand
            continue
        tags = re.findall(r"^Tag: cp(\d)(\d+)-\S+-manylinux_(\d+)_(\d+)_", found.read_text("WHEEL"), re.MULTILINE)
        assert {(int(major), int(minor)) for major, minor, *_ in tags} == {sys.version_info[:2]}
        assert row.glibc == min((int(major), int(minor)) for *_, major, minor in tags)


# -- machine code ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machine", ["aarch64", "armv7l", "x86_64"])
def test_readelf_reads_the_same_of_these_files(tmp_path, machine):
    path = elf(tmp_path, machine)
    said = subprocess.run(["readelf", "-hlW", str(path)], capture_output=True, text=True, check=True).stdout
    names = {"aarch64": "AArch64", "armv7l": "ARM", "x86_64": "X86-64"}
    found = image(path.read_bytes())
    assert (found.machine, found.page) == (machine, 0x10000)
    assert f"ELF{found.bits}" in said
    assert names[machine] in said
    assert "0x10000" in said


@pytest.mark.parametrize(
    ("board", "machine", "page", "why"),
    [
        ({"programs": "armv7l"}, "aarch64", 0x10000, "the programs there are armv7l, its kernel aarch64"),
        ({}, "armv7l", 0x10000, "it is for armv7l (32 bit)"),
        ({}, "x86_64", 0x10000, "it is for x86_64"),
        ({"page": 16384}, "aarch64", 4096, "aligned to pages of 4096 bytes; those there have 16384"),
    ],
)
def test_code_that_a_board_cannot_load_is_refused(tmp_path, board, machine, page, why):
    found = Board(**board)
    with pytest.raises(UnsupportedError) as told:
        check_loadable(found, found.fingerprint(), [elf(tmp_path, machine, page)])
    assert why in told.value.why


def test_code_that_fits_and_files_that_are_none_pass(tmp_path):
    text = tmp_path / "runner.py"
    text.write_text("print()")
    board = Board(page=16384)
    check_loadable(board, board.fingerprint(), [elf(tmp_path, "aarch64"), text])


def test_nothing_is_pushed_of_a_library_for_another_machine(tmp_path):
    device = SimDevice()
    connection = SimConnection(device)
    model, runner = elf(tmp_path, "x86_64"), tmp_path / "runner"
    runner.mkdir()
    for name in ("tvm_runner", "libtvm_runtime.so", "libtvm_ffi.so"):
        elf(runner, "aarch64", name=name)
    request = Request(model, runtime_named("tvm").program, np.zeros((1, 3, 4, 4), np.float32), 10, runner=runner)
    pushed = []
    device.store = lambda path, data: pushed.append(path)
    try:
        with (
            pytest.raises(UnsupportedError, match=r"model\.so does not run on sim"),
            open_artifact(connection, request),
        ):
            pytest.fail("it was opened")
    finally:
        device.remove()
    assert not pushed


# -- behind a real sshd ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("sshd"))
    yield running
    running.stop()


@needs_sshd
def test_behind_a_real_sshd(server, tmp_path):
    """A real Python without LiteRT: `-I -S` sees no packages. Then the one at hand, which has all."""
    bare = SshConnection("board", server.address(), python=(sys.executable, "-I", "-S"))
    whole = SshConnection("board", server.address(), python=(sys.executable,))
    try:
        with pytest.raises(ToolMissingError) as told:
            require(bare, runtime_named("tflite").needs(PI, bare.fingerprint()))
        assert told.value.what == "board has no numpy"
        assert told.value.hint.startswith(f"ssh -p {server.port} -i ")
        assert "-m pip install numpy==" in told.value.hint
        wanted = runtime_named("tflite").needs(PI, whole.fingerprint())
        has = read_userland(whole, whole.fingerprint(), wanted.names)
        assert not lacks(whole, has, wanted)
        assert [each.kind for each in lacks(whole, has, Needs(machine="riscv64"))] == ["machine"]
        assert has.page == os.sysconf("SC_PAGE_SIZE")
        assert has.glibc == tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")))
        assert has.programs == os.uname().machine == has.python.machine
        assert has.python.versions["numpy"] == np.__version__
    finally:
        bare.close()
        whole.close()


def test_room_is_measured_in_whole_units():
    board = Board(free_kib=LEAST_ROOM >> 10)
    require(board, needs("tflite", board))
    assert json.dumps(read_userland(board, board.fingerprint(), {}).to_json())
