"""Building the TVM runner: once, whole, for the right machine, from wheels with a known digest."""

import platform
from pathlib import Path

import pytest

from ofa_edge.device.runners import build
from ofa_edge.device.runners.build import build_tvm_runner
from ofa_edge.errors import ToolMissingError, UnsupportedError


def test_second_build_compiles_nothing(runner):
    before = (runner / build.RUNNER).stat()
    assert build_tvm_runner(platform.machine(), runner.parents[1]) == runner
    assert (runner / build.RUNNER).stat().st_ino == before.st_ino
    assert (runner / build.RUNNER).stat().st_mtime_ns == before.st_mtime_ns


def test_damaged_runner_is_built_again(runner):
    library = runner / "libtvm_ffi.so"
    whole = library.read_bytes()
    library.write_bytes(whole[:1000])
    assert build_tvm_runner(platform.machine(), runner.parents[1]) == runner
    assert library.read_bytes() == whole
    assert [path.name for path in runner.parent.iterdir()] == [runner.name]  # no scratch folder stays


def test_missing_compiler_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    with pytest.raises(ToolMissingError) as caught:
        build_tvm_runner("aarch64", tmp_path)
    assert caught.value.hint == "apt-get install g++-aarch64-linux-gnu"


def test_only_wheels_with_a_known_digest_are_fetched(tmp_path):
    with pytest.raises(UnsupportedError, match=r"apache-tvm 0\.27\.0\.post1"):
        build._download("apache-tvm", "9.9", "aarch64", tmp_path)


def test_failed_download_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(ToolMissingError, match="cannot fetch apache-tvm-ffi"):
        build._download("apache-tvm-ffi", "0.1.14.post0", "aarch64", tmp_path)


def test_every_wheel_is_pinned_for_every_library():
    pinned = {name for name, _, arch in build._WHEELS if arch == "aarch64"}
    assert pinned == {library.distribution for library in build.LIBRARIES}
    assert all(len(bytes.fromhex(digest)) == 32 for digest in build._WHEELS.values())
    for program in (build.RUNNER, build.TURNS):
        assert Path(build.__file__).with_name(f"{program}.cc").is_file()
