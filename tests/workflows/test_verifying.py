"""Verification after the fact: what was changed since the build is refused; this machine is measured once."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from builds import Workshop, cached_file, content
from tiny_package import copied_package

from ofa_edge.builds import Build
from ofa_edge.cache import CacheEntry
from ofa_edge.data.dataset import Images
from ofa_edge.errors import (
    ConfigError,
    DeviceBusyError,
    DeviceLostError,
    DeviceRebootedError,
    UnknownNameError,
    UsageError,
)
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.files import sha256_file
from ofa_edge.records.manifest import OWN_IMAGES, DeviceMeasurement, Inconclusive
from ofa_edge.runtimes import Converted, runtime_named
from ofa_edge.runtimes.tflite import TFLite
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.zoo import UNTRAINED, load_images, save_images
from ofa_edge.targets import builtin_folder, machine_architecture
from ofa_edge.workflows import verify as verifying
from ofa_edge.workflows.build.on_device import DeviceResult
from ofa_edge.workflows.verify import Limits, check_runs_there, images_of, verify


def test_verify_on_this_machine(first):
    out, manifest = first
    before = content(out)
    result = verify(out, "local")
    assert content(out) == before
    assert [(item.gate, item.outcome, item.code) for item in result.verdicts] == [
        ("statistics", "pass", "as-other-calibrations"),
        ("parity", "pass", "all-rungs-within-tolerance"),
        ("accuracy", "unverified", "too-few-images"),
        ("delegation", "pass", "all-delegated"),
        ("latency", "unverified", "not-the-target"),
    ]
    assert result.outcome == "unverified"
    assert result.rungs[-1].top1 == manifest.ladder[-1].top1
    assert result.classes.matrix == manifest.classes.matrix
    assert (result.classes.start, result.classes.artifact) == ("onnx", "on device")
    assert result.device.kind == "physical"
    latency = result.device.latency_ms
    assert 0 < latency.min <= latency.p50 <= latency.p90
    assert latency.sessions == 3
    assert json.loads(json.dumps(result.to_json()))["outcome"] == "unverified"
    assert 2**20 < result.device.peak_memory < 2**31
    assert "load" in "".join(result.device.conditions)


def told(monkeypatch, **changes):
    """A device that answers like this machine, and whose record says what it is told to."""

    def measure(device, trial, release):
        logits = run_tflite(trial.artifact.path, trial.network.inputs(trial.images))
        record = DeviceMeasurement(name="pi", kind="physical", connection="ssh", fingerprint={})
        return DeviceResult(logits, record.model_copy(update=changes), True)

    monkeypatch.setattr(verifying, "measure_artifact", measure)


def outcomes(result):
    return {item.gate: (item.outcome, item.code) for item in result.verdicts}


def test_limits_of_size_and_memory_are_gates(first, monkeypatch):
    out, _ = first
    told(monkeypatch, peak_memory=30 * 2**20)
    size = (out / "model.tflite").stat().st_size
    found = outcomes(verify(out, "local", limits=Limits(size, 30 * 2**20)))
    assert found["size"] == found["memory"] == ("pass", "within-limit")
    result = verify(out, "local", limits=Limits(size - 1, 30 * 2**20 - 1))
    assert outcomes(result)["size"] == outcomes(result)["memory"] == ("fail", "over-limit")
    assert result.outcome == "fail"
    assert not {"size", "memory", "instructions"} & set(outcomes(verify(out, "local")))


def test_a_throttled_latency_is_inconclusive_and_the_rest_holds(first, monkeypatch):
    told(monkeypatch, no_latency=Inconclusive(code="throttled", reason="4 of 4 sessions"))
    result = verify(first[0], "local")
    assert outcomes(result)["latency"] == ("inconclusive", "throttled")
    assert outcomes(result)["parity"][0] == outcomes(result)["statistics"][0] == "pass"
    assert result.outcome == "inconclusive"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceLostError("the connection broke", "pi", "again"), "device-lost"),
        (DeviceRebootedError("pi restarted", "its boot id", "again"), "device-rebooted"),
        (DeviceBusyError("pi is taken", "by another", "wait", reason="leased"), "leased"),
    ],
)
def test_a_device_that_fails_is_inconclusive(first, monkeypatch, error, code):
    def fails(*_):
        raise error

    monkeypatch.setattr(verifying, "measure_artifact", fails)
    result = verify(first[0], "local")
    assert (result.outcome, result.device, result.verdicts[0].code) == ("inconclusive", None, code)
    assert json.loads(json.dumps(result.to_json()))["device"] is None


def test_instructions_are_held_against_the_builds_own(first, monkeypatch):
    out, manifest = first
    same = {"emulator": "QEMU 7.2", "cpu": "cortex-a72"}
    record = DeviceMeasurement(
        name="emulated", kind="emulated", connection="emulated", fingerprint=same, instructions_per_inference=1000
    )
    built = manifest.model_copy(update={"measurements": (record,)})
    monkeypatch.setattr("ofa_edge.builds.read_built", lambda _: built)
    for count, fingerprint, expected in (
        (1010, same, ("pass", "within-limit")),
        (1011, same, ("fail", "more-instructions")),
        (9999, {**same, "emulator": "QEMU 8"}, ("unverified", "no-baseline")),
    ):
        told(monkeypatch, kind="emulated", fingerprint=fingerprint, instructions_per_inference=count)
        assert outcomes(verify(out, "local"))["instructions"] == expected


@pytest.fixture
def copied(first, tmp_path, monkeypatch):
    """A copy of the first build; nothing is measured on it."""
    monkeypatch.setattr(verifying, "measure_artifact", lambda *_: pytest.fail("it was measured"))
    return Path(shutil.copytree(first[0], tmp_path / "copied"))


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt", "report.html"])
def test_verify_refuses_what_was_changed_since(copied, name):
    with (copied / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ConfigError, match=f"{name} was changed"):
        verify(copied, "local")
    (copied / name).unlink()
    with pytest.raises(ConfigError, match=f"{name} is missing"):
        verify(copied, "local")


def test_an_example_may_be_changed(copied):
    with (copied / "example/python/classify.py").open("a") as file:
        file.write("# mine\n")
    (copied / "README.md").unlink()
    assert Build.open(copied).manifest.interface is not None
    with (copied / "golden/1.ppm").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ConfigError, match=r"golden/1\.ppm was changed"):
        Build.open(copied)


def test_verify_refuses_what_is_no_build(copied, tmp_path):
    (copied / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="no build in"):
        verify(copied, "local")
    with pytest.raises(ConfigError, match="no build in"):
        verify(tmp_path / "nowhere", "local")


def test_verify_needs_a_device(first, copied):
    with pytest.raises(UnknownNameError):
        verify(copied, "my-pi")


def edited(folder: Path, **supernet: object) -> Path:
    """Another supernet in a build's manifest."""
    facts = json.loads((folder / "manifest.json").read_bytes())
    facts["supernet"].update(supernet)
    (folder / "manifest.json").write_text(json.dumps(facts))
    return folder


def test_verify_refuses_a_supernet_of_another_space(first, copied):
    facts = first[1].supernet.space
    other = Space.from_json({**facts, "resolutions": [*facts["resolutions"], 4096]})
    with pytest.raises(ConfigError, match="supernet is not the build's"):
        verify(edited(copied, space=other.to_json(), space_hash=other.hash), "local")
    with pytest.raises(ConfigError, match="another search space"):
        verify(edited(copied, space_hash="a" * 64), "local")


def test_a_build_of_random_weights_stays_one_where_its_space_has_more_sizes_now(first):
    """Published spaces had steps of 16 pixels once; sizes shape no weights."""
    folder, manifest = first
    name = "ofa_mbv3_d234_e346_k357_w1.0"

    def images(space: Space) -> Images:
        said = {"name": name, "space": space.to_json(), "space_hash": space.hash}
        parts = {"supernet": manifest.supernet.model_copy(update=said)}
        parts["network"] = manifest.network.model_copy(update={"trained": False})
        return images_of(Build(folder, manifest.model_copy(update=parts)), None).test

    before = dataclasses.replace(UNTRAINED[name], resolutions=tuple(range(128, 225, 16)))
    assert images(before).digest == images(UNTRAINED[name]).digest
    with pytest.raises(ConfigError, match="supernet is not the build's"):
        images(dataclasses.replace(before, width_mult=0.75))


@pytest.mark.parametrize(("key", "value"), [("outputs", []), ("ladder", []), ("verdicts", [])])
def test_verify_refuses_a_manifest_of_nothing(copied, key, value):
    facts = json.loads((copied / "manifest.json").read_bytes())
    (copied / "manifest.json").write_text(json.dumps({**facts, "classes": None, key: value}))
    with pytest.raises(ConfigError, match="not a build"):
        verify(copied, "local")


def test_verify_refuses_a_subnet_outside_its_space(copied):
    facts = json.loads((copied / "manifest.json").read_bytes())
    facts["subnet"]["resolution"] += 1
    (copied / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match="is not of space"):
        verify(copied, "local")


def test_only_the_builds_own_network_is_what_accuracy_is_held_against(first, copied, monkeypatch):
    """An fp32 network that lies beside a build whose manifest does not name it is somebody else's."""
    facts = json.loads((copied / "manifest.json").read_bytes())
    facts["outputs"] = [item for item in facts["outputs"] if item["path"] != "model.onnx"]
    (copied / "manifest.json").write_text(json.dumps(facts))
    (copied / "model.onnx").write_bytes(b"not a network at all")
    told(monkeypatch)
    assert "onnx" not in [rung.reference for rung in verify(copied, "local").rungs]


def test_verify_refuses_other_images_than_the_builds(first, copied, workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "changed")
    splits = {split: load_images(folder / zoo.IMAGES, split) for split in zoo.SPLITS}
    splits["test"] = splits["test"].sample(40)
    save_images(folder / zoo.IMAGES, splits)
    with pytest.raises(ConfigError):
        verify(edited(copied, name=str(folder)), "local")


def test_verify_asks_for_the_images_that_a_folder_gave_the_build(copied):
    facts = json.loads((copied / "manifest.json").read_bytes())
    facts["inputs"].append({"path": "data/test", "role": OWN_IMAGES, "sha256": "0" * 64, "size": 9})
    (copied / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match="images are not the build's") as caught:
        verify(copied, "local")
    assert "--data" in caught.value.hint


def test_verify_finds_the_target_file_of_the_build(first, own_cache, tmp_path, monkeypatch):
    for suffix in ("toml", "latency.json"):
        shutil.copy(builtin_folder() / f"raspberry-pi-4.{suffix}", tmp_path / f"mine.{suffix}")
    text = (tmp_path / "mine.toml").read_text().replace("raspberry-pi-4.latency", "mine.latency")
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.setattr(TFLite, "convert", functools.partial(made_before, own_cache))
    own_cache.build(tmp_path / "out", target=str(tmp_path / "mine.toml"))
    monkeypatch.setattr(verifying, "measure_artifact", lambda *_: pytest.fail("found"))
    with pytest.raises(pytest.fail.Exception, match="found"):
        verify(tmp_path / "out", "local")


def made_before(workshop: Workshop, *_: object) -> Converted:
    """The conversion of the first build, without its stage."""
    file = cached_file(workshop.cache, "tflite", "model.tflite")
    entry = CacheEntry("tflite", "", file.parent, {file.name: sha256_file(file)}, True, 0.0, 0.0)
    return Converted(entry, file)


@pytest.mark.parametrize(
    ("arch", "runtime", "said"),
    [("riscv64", "tvm", "compiled for riscv64; this is"), (None, "tvm-cuda", "and its GPU")],
)
def test_a_library_for_another_machine_is_refused_here(arch, runtime, said):
    hardware = SimpleNamespace(arch=arch or machine_architecture())
    target = SimpleNamespace(name="board", hardware=hardware)
    build = SimpleNamespace(runtime=runtime_named(runtime), target=target)
    with pytest.raises(UsageError, match="does not run on this machine") as caught:
        check_runs_there(build, "local")
    assert said in caught.value.why
