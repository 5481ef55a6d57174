"""The benchmark that adb starts, from the intent's extras to the files that adb pulls, on a JVM with a stand-in phone.

BenchmarkActivity, BenchmarkRun and the sessions are the app's own, and so are runtime and models; android.* is the
little that they touch (java/fake). What it cannot show is whether Android behaves so.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from demo_app import PRECISIONS, TARGET, model_inputs, sample_pixels

from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.files import sha256_file
from ofa_edge.records.manifest import DeviceMeasurement

JAVA = Path(__file__).resolve().parent / "java/fake"
MAIN = Path(__file__).resolve().parents[2] / "android_demo/app/src/main"
SOURCES = ("BenchmarkRun", "DemoApplication", "DeviceFacts", "Files", "SessionService", "Sessions", "Subject")
QUICK = {"sessions": 2, "min_runs": 5, "min_seconds": 0, "warmup_limit_seconds": 1, "threads": 1}
MODEL = f"{TARGET}-int8"


@pytest.fixture(scope="module")
def classes(toolchain, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phone")
    java = (MAIN / "java/org/ofaedge/demo").resolve()
    files = [*(java / "core").glob("*.java"), *(java / f"ui/{name}.java" for name in (*SOURCES, "ThermalWatch"))]
    files += [java / "BenchmarkActivity.java", *JAVA.rglob("*.java"), _write_r(folder)]
    options = ["-encoding", "UTF-8", "-Xlint:-options", "-d", str(folder)]
    subprocess.run(["javac", "--release", "8", *options, *map(str, files)], check=True)
    return folder


def _write_r(folder: Path) -> Path:
    """R.java as the packager would make it, of what is used; and the texts, for the stand-in's getString."""
    texts = {item.get("name"): item.text for item in ElementTree.parse(MAIN / "res/values/strings.xml").getroot()}
    strings = " ".join(f"public static final int {name} = {index};" for index, name in enumerate(texts, 1))
    source = folder / "R.java"
    source.write_text(
        f"package org.ofaedge.demo; public final class R {{ public static final class string {{ {strings} }}"
        "public static final class layout { public static final int benchmark_adb = 1; }"
        "public static final class id { public static final int step = 2; } }"
    )
    lines = (f"{name}={text}\n" for name, text in texts.items())
    (folder / "texts.properties").write_text("".join(lines), encoding="utf-8")
    return source


@pytest.fixture
def phone(classes, host_shim, toolchain, unpacked, tmp_path):
    """Starts the activity; (the result's JSON, what the screen said, the folder that adb sees)."""

    def start(extras, options=(), out="benchmark", assets=unpacked / "assets", home=tmp_path / "phone"):
        kinds = {bool: "ez", int: "ei", str: "es", Exception: "bad"}
        words = []
        for key, value in extras.items():
            kind = kinds[value if isinstance(value, type) else type(value)]
            words += [key, kind, str(value).lower() if kind == "ez" else str(value)]
        paths = os.pathsep.join([str(host_shim.parent), str(toolchain / "linux")])
        flags = [f"-Djava.library.path={paths}", *(f"-Dphone.{name}={value}" for name, value in dict(options).items())]
        main = ["org.ofaedge.demo.FakePhone", str(assets), str(home), str(classes / "texts.properties")]
        argv = ["java", *flags, "-cp", str(classes), *main, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "finished"
        return json.loads((home / f"files/{out}.json").read_bytes()), done.stdout, home / "files"

    return start


def error(report):
    assert report["status"] == "error"
    return report["error"]["code"], report["error"]["reason"]


@pytest.fixture(scope="module")
def reference(unpacked):
    """Python's logits of an artifact over the bundled images."""

    def answer(demo, precision):
        model = unpacked / f"assets/models/{TARGET}-{precision}/model.tflite"
        size = demo.manifest(precision).subnet.resolution
        return run_tflite(model, model_inputs(model, sample_pixels(unpacked / "assets", "fashion-mnist"), size))

    return answer


def test_a_whole_run(phone, demo, reference):
    report, said, files = phone({"model": MODEL, "out": "night-1", "id": "n.1", **QUICK}, out="night-1")
    assert report["status"] == "ok"
    assert report["id"] == "n.1"
    measurement = DeviceMeasurement.model_validate_json(json.dumps(report["measurement"]))
    assert measurement.kind == "physical"
    assert measurement.name == "Nobody Phone"
    assert measurement.latency_ms.sessions == 2
    assert measurement.latency_ms.runs == sum(map(len, report["latency"]["samples_ns"])) == 10
    assert measurement.runner["delegated_operators"] == measurement.runner["operators"]
    built = next(record for record in demo.manifest("int8").outputs if record.path == "model.tflite")
    assert report["artifact"]["sha256"] == built.sha256
    assert report["artifact"]["manifest_sha256"] == sha256_file(demo.build("int8") / "manifest.json")
    logits = np.fromfile(files / "night-1.logits.f32", "<f4").reshape(500, 10)
    assert np.array_equal(logits, reference(demo, "int8"))
    assert report["outputs"]["sha256"] == sha256_file(files / "night-1.logits.f32")
    assert report["accuracy"]["answers"] == logits.argmax(1).tolist()
    wrong = [list(row) for row in report["accuracy"]["mistakes"]]
    truths, answers = report["accuracy"]["truths"], report["accuracy"]["answers"]
    assert wrong == [[i, t, a] for i, (t, a) in enumerate(zip(truths, answers, strict=True)) if t != a]
    assert report["accuracy"]["top1"] == (500 - len(wrong)) / 500
    pids = [session["pid"] for session in report["conditions"]["sessions"]]
    assert len(set(pids)) == 2
    assert [line for line in said.splitlines() if line.startswith("killed")] == [f"killed {pid}" for pid in pids]
    assert report["conditions"]["battery_before"] == {"celsius": 25.1, "charging": False, "percent": 80}
    assert "Latency: session 2 of 2" in said
    assert sorted(path.name for path in files.iterdir()) == ["night-1.json", "night-1.logits.f32"]


def test_pushed_model_and_inputs(phone, demo, reference, unpacked, tmp_path):
    folder = tmp_path / "phone/files"
    folder.mkdir(parents=True)
    model = demo.build("fp32") / "model.tflite"
    (folder / "Candidate.tflite").write_bytes(model.read_bytes())
    inputs = model_inputs(model, sample_pixels(unpacked / "assets", "fashion-mnist"), 28)[:7]
    inputs.transpose(0, 2, 3, 1).astype("<f4").tofile(folder / "seven.f32")
    extras = {"file": "Candidate.tflite", "inputs": "seven.f32", "sha256": sha256_file(model), **QUICK}
    report, _, files = phone(extras)
    assert report["status"] == "ok"
    assert report["accuracy"] is None
    assert report["artifact"]["manifest_sha256"] is None
    assert report["measurement"]["latency_ms"]["sessions"] == 2
    logits = np.fromfile(files / "benchmark.logits.f32", "<f4").reshape(7, 10)
    np.testing.assert_allclose(logits, reference(demo, "fp32")[:7], atol=2e-5)
    (folder / "seven.f32").write_bytes(b"\0" * 99)
    code, reason = error(phone(extras)[0])
    assert code == "bad-request"
    assert "99 bytes" in reason
    (folder / "Candidate.tflite").write_bytes(model.read_bytes()[:-1])
    assert error(phone(extras)[0])[0] == "wrong-artifact"


def test_an_emulator_gives_no_milliseconds(phone):
    report, _, _ = phone({"model": MODEL, "images": 20, **QUICK}, {"hardware": "ranchu"})
    measurement = DeviceMeasurement.model_validate_json(json.dumps(report["measurement"]))
    assert measurement.kind == "emulated"
    assert measurement.latency_ms is None
    assert measurement.emulation_wall_ms > 0
    assert report["latency"] is None
    assert report["accuracy"]["images"] == 20


@pytest.mark.parametrize(
    ("extras", "code", "word"),
    [
        ({"model": MODEL, "threads": 0}, "bad-request", "threads"),
        ({"model": MODEL, "threads": "4"}, "bad-request", "--ei"),
        ({"model": MODEL, "thread": 4}, "bad-request", "thread"),
        ({"model": MODEL, "parcel": Exception}, "bad-request", "unreadable"),
        ({"model": MODEL, "images": 501}, "bad-request", "500"),
        ({}, "bad-request", "--es model"),
        ({"model": "other"}, "unknown-model", MODEL),
        ({"model": MODEL, "sha256": "0" * 64}, "wrong-artifact", "SHA-256"),
        ({"file": "none.tflite", "sha256": "0" * 64}, "bad-request", "no such file"),
        ({"model": MODEL, "out": "../../x"}, "bad-request", "out"),
    ],
)
def test_a_wrong_request_is_an_error_in_the_json(phone, extras, code, word):
    report, _, files = phone(extras)
    found, reason = error(report)
    assert found == code
    assert word in reason
    assert [path.name for path in files.iterdir()] == ["benchmark.json"]


def test_an_old_result_does_not_pass_for_the_new_one(phone, tmp_path):
    phone({"model": MODEL, "run": "accuracy", "images": 5})
    assert (tmp_path / "phone/files/benchmark.logits.f32").is_file()
    report, _, files = phone({"model": MODEL, "threads": 99})
    assert report["status"] == "error"
    assert not (files / "benchmark.logits.f32").exists()


def test_a_damaged_model_is_an_error_and_the_others_run(phone, unpacked, tmp_path):
    assets = tmp_path / "assets"
    subprocess.run(["cp", "-r", unpacked / "assets", assets], check=True)
    victim = assets / f"models/{MODEL}/model.tflite"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    assert error(phone({"model": MODEL, **QUICK}, assets=assets)[0])[0] == "damaged"
    other = f"{TARGET}-{PRECISIONS[1]}"
    report, _, _ = phone({"model": other, "run": "accuracy", "images": 5, **QUICK}, assets=assets)
    assert report["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "code"), [({"battery": 20}, "battery-low"), ({"thermal": 2}, "too-hot")], ids=["battery", "heat"]
)
def test_an_unfit_phone_is_inconclusive(phone, options, code):
    report, _, _ = phone({"model": MODEL, "cool_wait_seconds": 0, **QUICK}, options)
    assert report["status"] == "inconclusive"
    assert report["error"]["code"] == code
    report, _, _ = phone({"model": MODEL, "preflight": False, "images": 5, **QUICK}, options)
    assert report["status"] == "ok"
    assert "not looked at" in report["measurement"]["note"]


def test_an_old_android_tells_no_thermal_status(phone):
    report, _, _ = phone({"model": MODEL, "images": 5, **QUICK}, {"api": 26, "thermal": 3})
    assert report["status"] == "ok"
    assert report["conditions"]["thermal_before"] == -1


def test_leaving_the_screen_ends_the_run(phone):
    assert error(phone({"model": MODEL, **QUICK}, {"leave": 1})[0])[0] == "interrupted"


def test_a_run_that_the_system_ended_says_so(phone):
    assert error(phone({"model": MODEL, **QUICK}, {"recreated": 1})[0])[0] == "interrupted"


def test_a_second_request_is_refused_in_its_own_file(phone):
    report, _, files = phone({"model": MODEL, "images": 5, **QUICK}, {"second": "two"})
    assert report["status"] == "ok"
    assert error(json.loads((files / "two.json").read_bytes()))[0] == "busy"


def test_the_readme_names_every_extra_and_every_code():
    readme = (MAIN.parents[2] / "README.md").read_text()
    request = (MAIN / "java/org/ofaedge/demo/core/BenchmarkRequest.java").read_text()
    extras = re.findall(r'extras\.(?:text|whole|flag)\("(\w+)"', request)
    assert len(extras) == 15
    codes = re.findall(r'= "([a-z-]+)";', (MAIN / "java/org/ofaedge/demo/core/Fault.java").read_text())
    for name in (*(f"--e[siz] {extra}" for extra in extras), *(f"`{code}`" for code in codes)):
        assert re.search(name, readme), name
