"""What is decided before any work: defaults, refusals, and that a refusal leaves nothing behind."""

import json
import platform
import shutil
from importlib import util as importlib_util
from pathlib import Path

import numpy as np
import pytest
from builds import Workshop
from PIL import Image
from tiny_package import LABELS, copied_package, images

from ofa_edge.data.dataset import Images
from ofa_edge.errors import (
    ConfigError,
    DataError,
    OutputError,
    SpaceMismatchError,
    ToolMissingError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
)
from ofa_edge.files import sha256_file
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.targets import builtin_folder
from ofa_edge.workflows.build import base
from ofa_edge.workflows.build.base import BuildOptions, own_images
from ofa_edge.workflows.build.plan import input_files, make_plan, weights_digest

PUBLISHED = "ofa_mbv3_d234_e346_k357_w1.0"


@pytest.fixture
def workshop(package, tmp_path):
    return Workshop(package, tmp_path / "cache")


def planned(workshop, tmp_path, **changes):
    return make_plan(workshop.options(tmp_path / "out", **changes))


def kind(plan):
    """Of the artifact."""
    return plan.export.runtime.name, plan.export.precision, plan.export.runtime.artifact_name


def test_defaults_come_from_the_target(workshop, tmp_path):
    plan = planned(workshop, tmp_path)
    assert kind(plan) == ("tflite", "fp32", "model.tflite")
    assert plan.search.relative_budget == 0.6
    assert plan.search.budget_ms == pytest.approx(
        0.6 * float(plan.search.latency.predict(plan.package.space.largest()).ms)
    )
    assert plan.search.predictor is not None
    assert plan.data.labelled
    assert list(tmp_path.iterdir()) == []


def test_options_go_before_the_targets_defaults(workshop, tmp_path):
    plan = planned(workshop, tmp_path, precision="int8", latency_ms=0.9, seed=4)
    assert (plan.export.precision, plan.search.budget_ms, plan.search.relative_budget) == ("int8", 0.9, None)
    plan = planned(workshop, tmp_path, precision="dynamic")
    assert (plan.export.precision, plan.search.latency.provenance.kind) == ("dynamic", "analytic")
    plan = planned(workshop, tmp_path, target="raspberry-pi-5", precision="fp16-acc16")
    assert (plan.export.precision, plan.search.latency.key.precision) == ("fp16-acc16", "fp16")
    assert kind(planned(workshop, tmp_path, runtime="tvm")) == ("tvm", "fp32", "model.so")
    assert kind(planned(workshop, tmp_path, target="jetson-nano")) == ("tvm-cuda", "fp32", "model.so")


def test_a_package_without_a_predictor_is_searched_by_macs(workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "package")
    (folder / zoo.PREDICTOR).unlink()
    assert planned(workshop, tmp_path, supernet=str(folder)).search.predictor is None


def test_untrained_weights_have_images_without_meaning(tmp_path):
    plan = make_plan(BuildOptions("pixel-4", supernet=PUBLISHED, untrained=True, device="none", out=tmp_path / "out"))
    assert plan.search.predictor is None
    assert plan.data.test_labels is None
    assert plan.package.dataset is None
    assert plan.data.test.pixels.shape[1:] == (224, 224, 3)
    assert "untrained" in weights_digest(plan.package)
    assert not any(role == "weights" for _, role in input_files(plan.target, plan.package).values())


def test_input_files_are_named_without_their_folders(workshop, tmp_path):
    plan = planned(workshop, tmp_path)
    files = input_files(plan.target, plan.package)
    assert {name: role for name, (_, role) in files.items()} == {
        "targets/raspberry-pi-4.toml": "target",
        "targets/raspberry-pi-4.latency.json": "latency model",
        "supernet/supernet.safetensors": "weights",
        "supernet/predictor.safetensors": "accuracy predictor",
        "supernet/images.npz": "images",
    }
    assert weights_digest(plan.package) == sha256_file(workshop.package / zoo.WEIGHTS)


# -- refusals --


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"target": "jetson-nano", "precision": "int8"}, UnsupportedError, "Maxwell"),
        ({"refine": 3, "device": "emulated"}, UnsupportedError, "an emulator gives no times"),
        ({"refine": 3, "device": "emulated-adb"}, UnsupportedError, "an emulator gives no times"),
        ({"refine": 3}, UnsupportedError, "nothing to measure on"),
        ({"refine": -1, "device": "local"}, ConfigError, "--refine -1"),
        ({"refine": 2, "device": "local", "target": "host", "sustained": True}, UnsupportedError, "measured cold"),
        ({"target": "jetson-nano", "runtime": "tflite"}, UnsupportedError, "tvm"),
        ({"target": "jetson-nano", "device": "emulated"}, UnsupportedError, "GPU"),
        ({"precision": "int8", "runtime": "tvm"}, UnsupportedError, "TFLite path"),
        ({"precision": "fp16-acc16"}, UnsupportedError, "Armv8.0"),
        ({"precision": "fp16-acc16", "target": "raspberry-pi-5", "runtime": "tvm"}, UnsupportedError, "fp32, fp16"),
        ({"target": "rasberry-pi"}, UnknownNameError, "raspberry-pi-4"),
        ({"target": "nowhere.toml"}, ConfigError, "nowhere.toml"),
        ({"latency_ms": 0.0}, ConfigError, "0"),
        ({"latency_ms": float("nan")}, ConfigError, "nan"),
        ({"latency_ms": float("inf")}, ConfigError, "inf"),
        ({"supernet": "fashon-mnist"}, UnknownNameError, "fashion-mnist"),
        ({"supernet": PUBLISHED}, WeightsError, "do not ship"),
        ({"supernet": "fashion-mnist", "untrained": True}, UnknownNameError, "ofa_resnet50"),
        ({"device": "my-pi"}, UnknownNameError, "emulated"),
        ({"supernet": PUBLISHED, "untrained": True, "data": Path("mine")}, ConfigError, "accuracy"),
    ],
)
def test_refusals_leave_nothing_behind(workshop, tmp_path, monkeypatch, changes, error, words):
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    (tmp_path / "devices.toml").write_text("schema = 1\n")
    with pytest.raises(error) as caught:
        planned(workshop, tmp_path, **changes)
    assert words in caught.value.why
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["devices.toml"]


def test_a_device_of_the_users_own_is_known(workshop, tmp_path, monkeypatch):
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    (tmp_path / "devices.toml").write_text('schema = 1\n[devices.my-pi]\nkind = "ssh"\nhost = "pi.local"\n')
    assert planned(workshop, tmp_path, device="my-pi").device.name == "my-pi"


def test_an_output_folder_of_somebody_elses_is_refused(workshop, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="not an output folder"):
        planned(workshop, tmp_path)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("module", ["tensorflow", "tensorflow_lite_support"])
def test_a_missing_package_is_told_before_any_work(workshop, tmp_path, monkeypatch, module):
    real = importlib_util.find_spec
    monkeypatch.setattr(importlib_util, "find_spec", lambda name: None if name == module else real(name))
    with pytest.raises(ToolMissingError) as caught:
        planned(workshop, tmp_path)
    assert module in caught.value.what
    assert "pip install" in caught.value.hint
    if module == "tensorflow":
        assert planned(workshop, tmp_path, runtime="tvm").export.runtime.name == "tvm"  # which does not need it


def test_a_missing_compiler_is_told_before_any_work(workshop, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(ToolMissingError) as caught:
        planned(workshop, tmp_path, runtime="tvm")
    assert "g++-aarch64-linux-gnu" in caught.value.hint


def test_no_emulator_is_a_reason_not_an_error(workshop, tmp_path, monkeypatch):
    from ofa_edge.device.emulation import emulated

    monkeypatch.setattr(emulated, "emulation_available", lambda arch: "no QEMU here")
    device = planned(workshop, tmp_path, device="auto").device
    assert device.name == "none"
    assert "no QEMU here" in device.why
    with pytest.raises(ToolMissingError, match="no QEMU here"):  # asked for by name
        planned(workshop, tmp_path, device="emulated")
    monkeypatch.setattr(emulated, "emulation_available", lambda arch: None)
    assert planned(workshop, tmp_path, device="auto").device.name == "emulated"
    assert planned(workshop, tmp_path, device="auto", target="host").device.name == "local"
    assert "cannot be emulated" in planned(workshop, tmp_path, device="auto", target="jetson-nano").device.why


# -- foreign and damaged files --


def test_damaged_weights_are_refused(workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "package")
    weights = folder / zoo.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged") as caught:
        planned(workshop, tmp_path, supernet=str(folder))
    assert str(weights) in caught.value.why
    weights.unlink()
    with pytest.raises(WeightsError, match="no weights"):
        planned(workshop, tmp_path, supernet=str(folder))


def test_a_predictor_of_another_space_is_refused(workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "package")
    other = Space("other", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (28,))
    genomes = other.sample(np.random.default_rng(0), 30)
    AccuracyPredictor.fit(other, genomes, np.linspace(0.5, 0.9, 30)).save(folder / zoo.PREDICTOR)
    with pytest.raises(SpaceMismatchError) as caught:
        planned(workshop, tmp_path, supernet=str(folder))
    assert other.hash[:12] in caught.value.why


def test_a_latency_file_of_another_space_is_refused(workshop, tmp_path):
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("raspberry-pi-4.latency.json", "mine.latency.json"))
    facts = json.loads((builtin_folder() / "raspberry-pi-4.latency.json").read_text())
    (tmp_path / "mine.latency.json").write_text(json.dumps({**facts, "space": "a" * 64}))
    with pytest.raises(SpaceMismatchError, match=r"mine\.latency\.json"):
        planned(workshop, tmp_path, target=str(tmp_path / "mine.toml"))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # numpy leaves a file open that is no zip
def test_damaged_images_are_refused(workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "package")
    whole = (folder / zoo.IMAGES).read_bytes()
    for damaged in (whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:], whole[:-500], b"no images"):
        (folder / zoo.IMAGES).write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            planned(workshop, tmp_path, supernet=str(folder))
        assert zoo.IMAGES in caught.value.why
        del caught
    (folder / zoo.IMAGES).unlink()
    with pytest.raises(DataError, match="no images"):
        planned(workshop, tmp_path, supernet=str(folder))


def test_empty_images_are_refused(workshop, tmp_path):
    folder = copied_package(workshop.package, tmp_path / "package")
    (folder / zoo.IMAGES).write_bytes(b"")
    with pytest.raises(DataError):
        planned(workshop, tmp_path, supernet=str(folder))


@pytest.mark.parametrize("label", [-1, len(LABELS), 1000, 10**18])
@pytest.mark.parametrize("split", zoo.SPLITS)
def test_labels_outside_the_classes_are_refused_wherever_the_images_come_from(
    workshop, tmp_path, monkeypatch, split, label
):
    package = workshop.package
    splits = {name: zoo.load_images(package / zoo.IMAGES, name) for name in zoo.SPLITS}
    bad = splits[split]
    splits[split] = Images(bad.pixels, np.where(np.arange(len(bad)) == len(bad) - 1, label, bad.labels))
    monkeypatch.setattr("ofa_edge.supernet.zoo.SupernetPackage.images", lambda _, name: splits[name])
    with pytest.raises(DataError, match="outside the classes"):
        planned(workshop, tmp_path)


# -- a folder of the user's own images --


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory):
    """520 training and 30 test images, in folders named after the package's labels."""
    folder = tmp_path_factory.mktemp("bands")
    for split, count in (("train", 520), ("val", 30)):
        made = images(count, 7)
        for name in LABELS:
            (folder / split / name).mkdir(parents=True)
        for index, (pixels, label) in enumerate(zip(made.pixels, made.labels, strict=True)):
            Image.fromarray(pixels[..., 0]).save(folder / split / LABELS[label] / f"{index:03}.png")
    return folder


def test_a_users_images_are_split_into_three(workshop, tmp_path, image_folder):
    data = planned(workshop, tmp_path, data=image_folder).data
    assert [len(part) for part in (data.calibration, data.validation, data.test)] == [260, 260, 30]
    calibration = {image.tobytes() for image in data.calibration.pixels}
    assert not calibration & {image.tobytes() for image in data.validation.pixels}
    # Folders are sorted by name, the package's labels are not: each image must keep its own class.
    wanted = images(30, 7)
    by_pixels = {image.tobytes(): label for image, label in zip(wanted.pixels, wanted.labels, strict=True)}
    assert [by_pixels[image.tobytes()] for image in data.test.pixels] == data.test.labels.tolist()
    again = planned(workshop, tmp_path, data=image_folder).data
    assert again.digests == data.digests
    other = planned(workshop, tmp_path, data=image_folder, seed=1).data
    assert other.digests["calibration"] != data.digests["calibration"]
    assert other.digests["test"] == data.digests["test"]


def test_a_users_small_folder_calibrates_with_what_there_is(workshop, tmp_path, image_folder):
    folder = tmp_path / "own"
    shutil.copytree(image_folder, folder)
    for label in LABELS:
        for path in sorted((folder / "train" / label).iterdir())[20:]:
            path.unlink()
    data = planned(workshop, tmp_path, data=folder).data
    assert [len(part) for part in (data.calibration, data.validation, data.test)] == [60, 60, 30]
    assert np.bincount(data.calibration.labels).tolist() == [20, 20, 20]


def test_a_users_images_are_inputs_by_their_content(workshop, tmp_path, image_folder):
    assert own_images(planned(workshop, tmp_path).data) == ()
    plan = planned(workshop, tmp_path, data=image_folder)
    records = own_images(plan.data)
    assert {record.path: record.sha256 for record in records} == {
        f"data/{split}": getattr(plan.data, split).digest for split in ("calibration", "validation", "test")
    }
    assert records[2].size == plan.data.test.pixels.size


def test_a_users_images_that_do_not_fit_are_refused(workshop, tmp_path, image_folder):
    folder = tmp_path / "own"
    shutil.copytree(image_folder, folder)
    for split in ("train", "val"):
        (folder / split / "below").rename(folder / split / "beside")
    with pytest.raises(DataError, match="classes") as caught:
        planned(workshop, tmp_path, data=folder)
    assert "beside" in caught.value.why
    with pytest.raises(DataError, match="not an image folder"):
        planned(workshop, tmp_path, data=tmp_path / "nowhere")


def test_a_digest_covers_shape_pixels_and_labels():
    made = images(6, 0)
    assert made.digest == images(6, 0).digest
    other = images(6, 0)
    other.labels[0] = (other.labels[0] + 1) % 3
    assert made.digest != other.digest
    other = images(6, 0)
    other.pixels[0, 0, 0, 0] ^= 1
    assert made.digest != other.digest


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"runtime": "tflite"}, "--tune does nothing for tflite"),
        ({"runtime": "tvm", "device": "none"}, "without a device"),
        ({"target": "jetson-nano"}, "CUDA kernels"),
    ],
)
def test_tuning_is_refused_where_there_is_nothing_to_turn_or_to_time(workshop, tmp_path, changes, what):
    with pytest.raises(UnsupportedError, match=what) as caught:
        planned(workshop, tmp_path, tune="5m", **changes)
    assert caught.value.why
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["emulated", "emulated-ssh"])
def test_tuning_on_an_emulated_device_is_refused(workshop, tmp_path, monkeypatch, name):
    monkeypatch.setattr(base, "chosen_device", lambda *_: base.DevicePlan(name))
    with pytest.raises(UnsupportedError, match="an emulator gives no times"):
        planned(workshop, tmp_path, runtime="tvm", tune="5m", device="auto")


def test_a_bad_tuning_budget_is_refused(workshop, tmp_path):
    with pytest.raises(ConfigError, match="90s, 5m or 1h"):
        planned(workshop, tmp_path, runtime="tvm", tune="five")


def test_a_tuning_budget_is_part_of_the_plan(workshop, tmp_path):
    assert (
        planned(workshop, tmp_path, target="host", runtime="tvm", device="local", tune="5m").export.tuning.seconds
        == 300.0
    )
    assert planned(workshop, tmp_path, runtime="tvm", tune="0").export.tuning.seconds == 0.0
