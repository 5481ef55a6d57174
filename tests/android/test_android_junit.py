"""The JUnit tests of the app's core, on this machine's JVM: the same that Android Studio runs."""

import os
import re
import subprocess

import pytest
from demo_app import CORE, ROOT
from toolchain import JUNIT

TESTS = ROOT / "android_demo/app/src/test"


@pytest.fixture(scope="session")
def test_classes(toolchain, tmp_path_factory):
    """Core and tests, compiled."""
    folder = tmp_path_factory.mktemp("junit")
    sources = [*sorted((ROOT / CORE).rglob("*.java")), *sorted((TESTS / "java").rglob("*.java"))]
    path = os.pathsep.join(map(str, JUNIT))
    argv = ["javac", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-cp", path, "-d", str(folder)]
    done = subprocess.run([*argv, *map(str, sources)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_core_has_no_android_in_it():
    for source in sorted((ROOT / CORE).rglob("*.java")):
        assert not re.search(r"^import (static )?androidx?\.", source.read_text(), re.MULTILINE), source.name


def test_the_apps_junit_tests_pass(test_classes):
    sources = sorted((TESTS / "java").rglob("*Test.java"))
    assert sources
    names = [".".join(source.relative_to(TESTS / "java").with_suffix("").parts) for source in sources]
    path = os.pathsep.join([str(test_classes), str(TESTS / "resources"), *map(str, JUNIT)])
    done = subprocess.run(
        ["java", "-cp", path, "org.junit.runner.JUnitCore", *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "android_demo/app",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"^OK \((\d+) tests?\)", done.stdout, re.MULTILINE)
    assert passed, done.stdout[-1000:]
    assert int(passed[1]) >= len(names)
