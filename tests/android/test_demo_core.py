"""The app's core, which has no Android in it: its JUnit tests, Python's golden values, and the report's format."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ofa_edge.device.measuring import android_app
from ofa_edge.device.measuring.session import session_from
from ofa_edge.errors import DeviceRunError
from ofa_edge.records.manifest import DeviceMeasurement

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "android_demo/app/src"
JARS = (Path("/usr/share/java/junit4.jar"), Path("/usr/share/java/hamcrest-core.jar"))
REQUIRED = "OFA_EDGE_ANDROID_REQUIRED"


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    """The core and its tests, compiled."""
    missing = [str(jar) for jar in JARS if not jar.exists()]
    missing += [] if shutil.which("javac") else ["javac"]
    if missing:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"not installed: {', '.join(missing)}")
    out = tmp_path_factory.mktemp("classes")
    files = sorted([*(SOURCES / "main/java/org/ofaedge/demo/core").glob("*.java"), *(SOURCES / "test").rglob("*.java")])
    options = ["-encoding", "UTF-8", "-Xlint:all,-options", "-Werror", "-cp", _path(*JARS), "-d", str(out)]
    subprocess.run(["javac", "--release", "8", *options, *map(str, files)], check=True)
    return out


def run_java(classes: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    classpath = _path(classes, SOURCES / "test/resources", *JARS)
    argv = [
        "java",
        "-Dfile.encoding=ISO-8859-1",
        "-cp",
        classpath,
        *arguments,
    ]  # the platform's charset must not matter
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def _path(*parts: Path) -> str:
    return os.pathsep.join(map(str, parts))


def test_junit(classes):
    names = sorted(path.stem for path in (SOURCES / "test/java").rglob("*Test.java"))
    assert len(names) > 5
    done = run_java(classes, "org.junit.runner.JUnitCore", *(f"org.ofaedge.demo.core.{name}" for name in names))
    assert done.returncode == 0, done.stdout[-4000:]
    assert "OK (" in done.stdout


def test_the_golden_values_are_those_of_today(tmp_path):
    spec = importlib.util.spec_from_file_location("golden", SOURCES / "test/golden.py")
    golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden)
    golden.write(tmp_path)
    for path in sorted(golden.RESOURCES.iterdir()):
        same = (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert same, f"{path.name}: run python android_demo/app/src/test/golden.py"


def test_the_core_has_no_android_in_it():
    for path in (SOURCES / "main/java/org/ofaedge/demo/core").rglob("*.java"):
        assert "import android" not in path.read_text()


def test_reports_are_the_toolkits_device_measurements(classes, tmp_path):
    done = run_java(classes, "org.ofaedge.demo.core.PrintReports", str(tmp_path))
    assert done.returncode == 0, done.stderr
    reports = {path.stem: json.loads(path.read_bytes()) for path in tmp_path.glob("*.json")}
    measured = {
        name: DeviceMeasurement.model_validate_json(json.dumps(reports[name]["measurement"]))
        for name in ("physical", "emulated")
    }
    assert measured["physical"].latency_ms.p50 == 1.0
    assert measured["physical"].latency_ms.sessions == 5
    assert measured["physical"].connection == "android-app"
    assert measured["emulated"].latency_ms is None
    assert measured["emulated"].emulation_wall_ms == 5.0
    assert measured["physical"].runner["threads"] == 4
    assert reports["error"]["error"] == {"code": "bad-request", "reason": "threads is 0"}


def test_reports_are_what_the_toolkits_runner_reads(classes, tmp_path, monkeypatch):
    """The report that the app writes, through the program that `verify` runs on phones."""
    done = run_java(classes, "org.ofaedge.demo.core.PrintReports", str(tmp_path))
    assert done.returncode == 0, done.stderr
    reports = {path.stem: json.loads(path.read_bytes()) for path in tmp_path.glob("*.json")}
    digest = reports["physical"]["artifact"]["sha256"]
    monkeypatch.setattr(android_app, "sha256_file", lambda path: digest)
    program = android_app.AndroidAppProgram(Path("model.tflite"), 10)
    facts = program.facts(reports["physical"])
    session = session_from(facts, np.zeros(10, np.float32), "")
    assert list(session.samples_ns) == reports["physical"]["latency"]["samples_ns"][0]
    assert facts["threads"] == 4
    assert facts["app"] == "0.1.0"
    with pytest.raises(DeviceRunError) as caught:
        program.facts(reports["error"])
    assert "bad-request" in caught.value.what


def test_both_builders_make_the_same_app():
    """The SDK versions stand in the manifest, for the builder without Gradle, and in app/build.gradle."""
    gradle = (SOURCES.parent / "build.gradle").read_text()
    manifest = (SOURCES / "main/AndroidManifest.xml").read_text()
    pairs = {
        r"applicationId '([\w.]+)'": r'package="([\w.]+)"',
        r"minSdk (\d+)": r'minSdkVersion="(\d+)"',
        r"targetSdk (\d+)": r'targetSdkVersion="(\d+)"',
    }
    for here, there in pairs.items():
        assert re.search(here, gradle)[1] == re.search(there, manifest)[1]
    for folder in ("src/main/assets", "src/licences"):
        assert f"'{folder}'" in gradle
    assert "android.permission.INTERNET" not in manifest
