import shutil

import pytest

from ofa_edge.device.measuring.counting import find_counter, instructions_from_marks
from ofa_edge.errors import DeviceRunError, ToolMissingError


def marks(*executed):
    return "".join(f"MARK {number} {value}\n" for number, value in enumerate(executed))


def test_the_marks_own_cost_is_taken_off():
    # two runs of 1,000 and 1,010 with marks that cost 30, then two empty ones
    found = instructions_from_marks(marks(0, 1030, 1100, 2140, 2200, 2230, 2300, 2330), "QEMU")
    assert (found.per_inference, found.counted, found.threads) == (1005, 2, 1)
    assert found.spread == pytest.approx(10 / 1005)


@pytest.mark.parametrize(
    "text", ["", "MARK 0 5\n", "nonsense\n", "MARK 0 1\nMARK 1 2\n", marks(0, 9, 10, 19), marks(*["9" * 5000] * 4)]
)
def test_too_few_marks_are_no_count(text):
    with pytest.raises(DeviceRunError, match="no instructions"):
        instructions_from_marks(text, "QEMU")


@pytest.mark.skipif(
    shutil.which("qemu-aarch64") is None or shutil.which("gcc") is None, reason="qemu-user or gcc is not installed"
)
def test_the_plugin_compiles_without_a_warning_and_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr("ofa_edge.device.measuring.counting.cache_folder", lambda: tmp_path)
    first = find_counter().plugin
    stamp = first.stat().st_mtime_ns
    assert find_counter().plugin == first
    assert first.stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="qemu-user"):
        find_counter()
    (tmp_path / "qemu-aarch64").write_text("#!/bin/sh\n")
    (tmp_path / "qemu-aarch64").chmod(0o755)
    with pytest.raises(ToolMissingError, match="gcc"):
        find_counter()


def test_a_plugin_that_does_not_compile_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("ofa_edge.device.measuring.counting.cache_folder", lambda: tmp_path / "cache")
    broken = tmp_path / "gcc"
    broken.write_text("#!/bin/sh\necho no headers >&2\nexit 1\n")
    broken.chmod(0o755)
    qemu = tmp_path / "qemu-aarch64"
    qemu.write_text("#!/bin/sh\n")
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="no headers"):
        find_counter()
    assert list((tmp_path / "cache").iterdir()) == []
