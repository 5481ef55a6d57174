"""The app, built once for all tests of a run: a copy of the sources, three models of the default supernet, one APK."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock
from tiny_package import shared_folder

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "android_demo/tools"))

import demo_app  # noqa: E402  (needs the tools' folder on the path)
import toolchain as chain  # noqa: E402  (this too)

REQUIRED = "OFA_EDGE_ANDROID_REQUIRED"  # set by `make test-android`: what is missing is an error there


@pytest.fixture(scope="session")
def toolchain() -> Path:
    """The toolchain's folder; tests that need it are skipped with the reason where it is not complete."""
    missing = [chain.unsupported_machine() or "", *chain.missing_packages("test")]
    missing += [item.name for item in chain.missing_downloads("test")]
    missing = [item for item in missing if item]
    if missing and os.environ.get(REQUIRED):
        pytest.fail(f"the Android toolchain lacks: {', '.join(missing)}")
    if missing:
        pytest.skip(
            f"the Android toolchain lacks {', '.join(missing)}: python android_demo/tools/fetch_toolchain.py --tests"
        )
    return chain.toolchain_folder()


@pytest.fixture(scope="session")
def demo(toolchain, tmp_path_factory) -> demo_app.Demo:
    """The built app. Do not change anything in it: copy."""
    demo = demo_app.Demo(shared_folder(tmp_path_factory) / "android", toolchain)
    demo.folder.mkdir(exist_ok=True)
    with FileLock(demo.folder.with_suffix(".lock")):
        if not (demo.folder / "done").is_file():
            demo.make()
            (demo.folder / "done").touch()
    return demo


@pytest.fixture(scope="session")
def unpacked(demo, tmp_path_factory) -> Path:
    """What is inside the signed APK."""
    folder = tmp_path_factory.mktemp("apk")
    with zipfile.ZipFile(demo.apk) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def core_classes(toolchain, tmp_path_factory) -> Path:
    """The app's core and the program of these tests, compiled for this machine's JVM."""
    folder = tmp_path_factory.mktemp("classes")
    sources = sorted((ROOT / demo_app.CORE).rglob("*.java"))
    argv = ["javac", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d", str(folder)]
    subprocess.run([*argv, *map(str, sources), str(ROOT / "tests/android/java/RunBundle.java")], check=True)
    return folder


@pytest.fixture(scope="session")
def host_shim(toolchain, tmp_path_factory) -> Path:
    """The app's shim, compiled for this machine."""
    return demo_app.compile_host_shim(toolchain, tmp_path_factory.mktemp("shim"))
