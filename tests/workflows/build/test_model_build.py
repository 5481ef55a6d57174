"""`build --model`: a network of one's own through every gate, whatever it is like; what is refused before any work."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from builds import Stages
from onnx import TensorProto
from onnx_text import save_model
from own_networks import NAMES, SIZE, STATISTICS, pictures, save_classifier, save_folder
from PIL import Image

from ofa_edge.builds import Build
from ofa_edge.bundle.check import check_build
from ofa_edge.cache import StageCache
from ofa_edge.cli.build import summary
from ofa_edge.cli.build_plan import describe
from ofa_edge.errors import ConfigError, DataError, ModelFileError, OfaEdgeError, UnsupportedError
from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.report.page import render_report
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.constraints import Constraints
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.nightly.bench import make_duel
from ofa_edge.workflows.nightly.fleet import ProtocolEntry
from ofa_edge.workflows.run_photos import run_photos
from ofa_edge.workflows.verify import verify

COUNTS = {"dark": 60, "dim": 25, "fair": 110, "bright": 45}  # none like another, as people's are


def options(file, out=None, *, model=None, **changes):
    given = ModelOptions(file, **{**STATISTICS, **(model or {})})
    return BuildOptions(**{"target": "raspberry-pi-4", "device": "none", "out": out, "model": given, **changes})


def build(cache, *arguments, **changes):
    stages = Stages()
    return run_build(plan_build(options(*arguments, **changes)), StageCache(cache), ["test"], stages), stages


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def labels(place):
    path = place / "labels.txt"
    path.write_text("".join(f"{name}\n" for name in NAMES))
    return path


@pytest.fixture(scope="module")
def folder(place):
    return save_folder(place / "photos", COUNTS)


@pytest.fixture(scope="module")
def classifier(place):
    return save_classifier(place / "brightness.onnx")


@pytest.fixture(scope="module")
def built(place, classifier, labels, folder):
    """The classifier in int8 for a Raspberry Pi, ranges and accuracy from a folder."""
    arguments = {"model": {"labels": labels}, "precision": "int8", "data": folder}
    manifest, stages = build(place / "cache", classifier, place / "out", **arguments)
    return manifest, stages, arguments


def outcomes(manifest):
    return {verdict.gate: (verdict.outcome, verdict.code) for verdict in manifest.verdicts}


def test_every_gate_but_latency_passes(built):
    manifest = built[0]
    assert outcomes(manifest) == {
        "parity": ("pass", "all-rungs-within-tolerance"),
        "accuracy": ("pass", "above-floor"),
        "delegation": ("pass", "all-delegated"),
        "latency": ("unverified", "no-device"),
    }
    assert [rung.name for rung in manifest.ladder] == ["given file", "onnx", "tflite int8"]
    assert manifest.network.kind == "file"
    assert manifest.network.source == "brightness.onnx"
    assert (manifest.supernet, manifest.subnet, manifest.search, manifest.statistics) == (None, None, None, None)
    assert manifest.budget_ms is None
    assert manifest.prediction is not None


def test_the_accuracy_is_what_a_count_by_hand_gives(built, classifier, folder):
    session, right = onnxruntime.InferenceSession(classifier), 0
    files = sorted((folder / "val").glob("*/*.png"))
    for path in files:
        pixels = np.asarray(Image.open(path), np.float32).transpose(2, 0, 1)[None]
        (scores,) = session.run(None, {"image": (pixels - 127.5) / 127.5})
        right += NAMES[scores.argmax()] == path.parent.name
    assert len(files) == built[0].ladder[0].images
    assert built[0].ladder[0].top1 == right / len(files)


def test_counts_of_the_network_are_those_by_hand(built):
    side = (SIZE - 3) // 2 + 1
    assert built[0].network.macs == 4 * 27 * side**2 + 4 * 4
    assert built[0].network.params == 4 * 27 + 4 * 4 + 4


def test_what_was_done_is_not_done_again(built, place, classifier):
    manifest, stages = build(place / "cache", classifier, place / "again", **built[2])
    assert stages.made == set()
    assert manifest.ladder == built[0].ladder


def test_the_report_and_the_summary_name_the_file(built, place):
    manifest = built[0]
    page, text = render_report(manifest), summary(manifest, place / "out")
    for words in ("brightness.onnx", "given file"):
        assert words in page
        assert words in text
    assert "Subnet" not in page


def test_it_is_read_back_verified_and_bundled(built, place, folder):
    opened = Build.open(place / "out")
    assert opened.subnet is None
    assert opened.labels == NAMES
    assert opened.network.preprocessing.mean == (127.5,) * 3
    found = verify(place / "out", "local", folder)
    verdicts = {verdict.gate: verdict.outcome for verdict in found.verdicts}
    assert (verdicts["parity"], verdicts["accuracy"]) == ("pass", "pass")
    entry = check_build(place / "out").entry
    assert (entry.source, entry.network) == ("brightness.onnx", built[0].network.sha256[:12])
    with pytest.raises(ConfigError, match="images are not the build's"):
        verify(place / "out", "local")


def test_run_says_what_a_photo_shows(built, place, folder, classifier, tmp_path):
    photos = [folder / "val" / "bright", folder / "val" / "dark" / "000.png"]
    found = run_photos(place / "out", photos, "local", top=2)
    assert len(found.answers) == COUNTS["bright"] + 1
    assert sum(answer.labels[0].name == "bright" for answer in found.answers[:-1]) > 0.9 * COUNTS["bright"]
    with Image.open(photos[1]) as image:
        pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    (scores,) = onnxruntime.InferenceSession(classifier).run(None, {"image": (pixels - 127.5) / 127.5})
    shares = np.exp(scores[0] - scores.max()) / np.exp(scores[0] - scores.max()).sum()
    last = found.answers[-1].labels
    assert [each.name for each in last] == [NAMES[number] for number in np.argsort(-shares)[: len(last)]]
    assert last[0].share == pytest.approx(shares.max(), abs=0.05)  # int8
    with pytest.raises(DataError, match="no photos"):
        run_photos(place / "out", [], "local")
    for photo, words in (
        (tmp_path, "no photos"),
        (tmp_path / "x.png", "no such photo"),
        (classifier, "cannot be read"),
    ):
        with pytest.raises(DataError, match=words):
            run_photos(place / "out", [photo], "local")


def test_a_night_has_the_images_and_the_network_of_the_build(built, place, folder):
    opened = Build.open(place / "out")
    duel = make_duel("net", opened, opened, "local", ProtocolEntry(images=60), folder)
    assert len(duel.images) == 60
    assert (duel.fp32.argmax(1) == duel.scorer.labels).mean() > 0.95


def test_labels_in_another_order_are_contradicted_by_the_first_rung(place, classifier, folder):
    wrong = place / "wrong.txt"
    wrong.write_text("".join(f"{name}\n" for name in NAMES[::-1]))
    manifest, _ = build(
        place / "cache", classifier, place / "w", model={"labels": wrong}, data=folder, runtime="onnxruntime"
    )
    assert outcomes(manifest)["accuracy"] == ("fail", "reference-answers-nothing")
    assert "labels and network do not belong together" in manifest.verdicts[1].reason


def test_some_of_the_classes_will_do(place, classifier, labels):
    some = save_folder(place / "some", {"dim": 20, "bright": 20})
    manifest, _ = build(
        place / "cache", classifier, place / "s", model={"labels": labels}, data=some, runtime="onnxruntime"
    )
    assert manifest.ladder[0].top1 == 1
    assert [item.name for item in manifest.classes.classes if item.test] == ["dim", "bright"]


def test_without_images_nothing_is_said_of_accuracy(place, classifier):
    manifest, _ = build(place / "cache", classifier, place / "r", runtime="onnxruntime")
    assert outcomes(manifest)["accuracy"] == ("unverified", "no-labels")
    assert outcomes(manifest)["parity"][0] == "pass"
    assert all(rung.top1 is None for rung in manifest.ladder)
    assert "accuracy: no labelled images were given" in manifest.skipped
    assert any("no names" in words for words in manifest.network.assumed)


def arrays(path, images=None, **others):
    pixels, numbers = pictures(80)
    np.savez(path, images=pixels if images is None else images, labels=numbers, **others)
    return path


DISGUISES = {
    "a free batch": ({}, {}, "input fixed to [1, 3, 24, 24]"),
    "free sizes": ({"shape": ("N", 3, "H", "W")}, {"shape": "1x3x24x24"}, "input fixed"),
    "float16 weights": ({"weights": np.float16}, {}, "float16 made float32"),
    "float16 throughout": ({"weights": np.float16, "kind": TensorProto.FLOAT16}, {}, "float16 made float32"),
    "opset 9": ({"opset": 9}, {}, "opset 9 raised to 17"),
    "the newest opset": ({"opset": 21}, {}, ""),
    "channels last": ({"shape": (1, SIZE, SIZE, 3), "nhwc": True}, {}, "images go in as [1, C, H, W]"),
    "whole pixels": ({"kind": TensorProto.UINT8}, {"mean": None, "std": None}, "input of uint8 taken as float32"),
    "whole pixels, channels last": (
        {"kind": TensorProto.UINT8, "shape": (1, SIZE, SIZE, 3), "nhwc": True},
        {"mean": None, "std": None},
        "taken as float32",
    ),
    "another output": ({"extra": True}, {"output": "scores"}, "outputs left out: p"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_any_disguise_gives_the_same_answers(place, labels, tmp_path, disguise):
    given, model, change = DISGUISES[disguise]
    file = save_classifier(tmp_path / "net.onnx", **given)
    manifest, _ = build(
        place / "cache",
        file,
        tmp_path / "out",
        model={"labels": labels, **model},
        data=arrays(tmp_path / "samples.npz"),
        runtime="onnxruntime",
    )
    assert outcomes(manifest)["parity"][0] == "pass"
    assert change in "; ".join(manifest.network.changes)
    whole = given.get("kind") == TensorProto.UINT8  # pixels 0..255 lie beyond every centre but the brightest one's
    assert (manifest.ladder[0].top1 > 0.95) != whole


def test_weights_beside_the_file_belong_to_it(place, tmp_path):
    onnx.save(
        onnx.load(save_classifier(tmp_path / "net.onnx")),
        tmp_path / "net.onnx",
        save_as_external_data=True,
        location="net.data",
        size_threshold=0,
    )
    manifest, _ = build(place / "cache", tmp_path / "net.onnx", tmp_path / "out", runtime="onnxruntime")
    assert {"model/net.onnx", "model/net.data"} <= {record.path for record in manifest.inputs}
    assert outcomes(manifest)["parity"][0] == "pass"


def test_a_rectangle_and_a_feature_map(place, tmp_path):
    file = save_classifier(tmp_path / "net.onnx", shape=(1, 3, 16, 40))
    manifest, _ = build(place / "cache", file, tmp_path / "wide", runtime="onnxruntime")
    assert manifest.network.inputs[0].shape == (1, 3, 16, 40)
    file = save_model(tmp_path / "map.onnx", "logits = Conv(input, w)", (1, 3, 16, 40), w=(5, 3, 3, 3))
    manifest, _ = build(place / "cache", file, tmp_path / "map")
    assert manifest.network.outputs[0].shape == (1, 5, 14, 38)
    assert manifest.network.outputs[0].task == "features"
    assert not any(record.role == "labels" for record in manifest.outputs)
    assert outcomes(manifest)["parity"][0] == "pass"


@pytest.mark.parametrize(
    ("runtime", "precision"), [("onnxruntime", "fp32"), ("tflite", "fp32"), ("tvm", "fp32"), ("tflite", "int8")]
)
def test_several_outputs_are_held_each_in_the_files_order(place, tmp_path, runtime, precision):
    body = "a = Conv(input, w) zz = Relu(a) logits = GlobalAveragePool(a)"
    file = save_model(tmp_path / "two.onnx", body, (1, 3, 16, 20), w=(5, 3, 3, 3))
    model = onnx.load(file)
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("zz", TensorProto.FLOAT, None))
    onnx.save(onnx.shape_inference.infer_shapes(model), file)
    manifest, _ = build(
        place / "cache", file, tmp_path / "out", runtime=runtime, precision=precision, device="local", target="host"
    )
    assert [(each.name, each.shape) for each in manifest.network.outputs] == [
        ("zz", (1, 5, 14, 18)),
        ("logits", (1, 5, 1, 1)),
    ]
    made, there = manifest.ladder[2:]
    assert list(made.outputs) == ["zz", "logits"]
    least = 12 if precision == "int8" else 100
    assert min(made.outputs.values()) == made.snr_db > least
    assert there.outcome == "pass"
    assert there.argmax_agreement is None
    found = verify(tmp_path / "out", "local")
    assert {verdict.gate: verdict.outcome for verdict in found.verdicts}["parity"] == "pass"


@pytest.mark.parametrize("runtime", ["tflite", "onnxruntime"])
def test_what_is_given_quantised_stays_so(place, classifier, labels, tmp_path, runtime):
    ready = save_classifier(tmp_path / "fixed.onnx", shape=(1, 3, SIZE, SIZE))
    images = (pictures(60)[0].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    quantise(ready, tmp_path / "int8.onnx", images)
    arguments = {"model": {"labels": labels}, "data": arrays(tmp_path / "samples.npz"), "runtime": runtime}
    with pytest.raises(ConfigError, match="quantised already"):
        plan_build(options(tmp_path / "int8.onnx", tmp_path / "out", **arguments))
    manifest, _ = build(place / "cache", tmp_path / "int8.onnx", tmp_path / "out", precision="int8", **arguments)
    given, _, made = manifest.ladder
    assert made.snr_db > 35  # single steps of the last rounding; ranges found anew would give less
    assert made.top1 == given.top1


def test_what_is_no_image_comes_as_arrays(place, tmp_path):
    file = save_model(tmp_path / "sound.onnx", "logits = MatMul(input, w)", (1, 40, 101), w=(101, 7))
    np.savez(tmp_path / "sound.npz", inputs=np.random.default_rng(1).normal(size=(30, 40, 101)))
    manifest, _ = build(
        place / "cache",
        file,
        tmp_path / "out",
        model={"mean": None, "std": None},
        runtime="onnxruntime",
        data=tmp_path / "sound.npz",
    )
    assert manifest.network.inputs[0].preprocessing is None
    assert manifest.ladder[0].images == 15
    assert outcomes(manifest)["parity"][0] == "pass"


@pytest.mark.parametrize(
    ("metadata", "mean", "std"),
    [
        ({"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]"}, (127.5,) * 3, (63.75,) * 3),
        ({"mean": "127.5", "std": "60"}, (127.5,) * 3, (60.0,) * 3),
        ({"pretrained_cfg": json.dumps({"mean": [0.5] * 3, "std": [0.5] * 3})}, (127.5,) * 3, (127.5,) * 3),
        ({"stride": "32", "imgsz": "[24, 24]", "names": str(dict(enumerate(NAMES)))}, (0.0,) * 3, (255.0,) * 3),
        ({}, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ],
)
def test_what_the_file_says_is_taken_and_what_it_does_not_say_is_assumed_aloud(tmp_path, metadata, mean, std):
    file = save_classifier(tmp_path / "net.onnx", **metadata)
    plan = plan_build(options(file, tmp_path / "out", model={"mean": None, "std": None}))
    preprocessing = plan.interface.inputs[0].preprocessing
    assert preprocessing.mean == pytest.approx(mean)
    assert preprocessing.std == pytest.approx(std)
    assert any("ImageNet" in words for words in plan.assumed) == (not metadata)
    names = NAMES if "names" in metadata else tuple(f"class {number}" for number in range(4))
    assert plan.interface.outputs[0].labels == names
    for words in plan.assumed:
        assert words in describe(plan)


REFUSED = [
    ({"shape": ("N", 3, "H", "W")}, {}, {}, ConfigError, "leaves sizes of its input free"),
    ({}, {"shape": "1x3x24x25"}, {}, ConfigError, "does not fit"),
    ({"shape": (8, 3, 24, 24)}, {}, {}, UnsupportedError, "8 samples a call"),
    ({"extra": True}, {"task": "classify"}, {}, ConfigError, "gives no row of logits"),
    ({}, {"output": "boxes"}, {}, ConfigError, "no output 'boxes'"),
    ({}, {"mean": (0.5,), "std": (0.5,)}, {}, ConfigError, "pixels 0..1"),
    ({}, {"mean": (1.0, 2.0), "std": (1.0, 1.0)}, {}, ConfigError, "do not fit"),
    ({}, {}, {"refine": 3}, UnsupportedError, "--refine"),
    ({}, {}, {"constraints": Constraints(max_macs=1e6)}, UnsupportedError, "--max-macs"),
    ({}, {}, {"latency_ms": -1.0}, ConfigError, "bad budget"),
    ({}, {"task": "features", "labels": "x"}, {}, ConfigError, "--labels with --task features"),
]


@pytest.mark.parametrize(("given", "model", "changes", "kind", "words"), REFUSED)
def test_what_does_not_fit_is_refused_before_any_work(tmp_path, given, model, changes, kind, words):
    file = save_classifier(tmp_path / "net.onnx", **given)
    with pytest.raises(kind, match=words) as caught:
        plan_build(options(file, tmp_path / "out", model=model, **changes))
    assert caught.value.why
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def damaged(tmp_path, name):
    path = tmp_path / "net.onnx"
    content = {"nothing": b"", "text": b"weights", "cut": save_classifier(path).read_bytes()[:400]}[name]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["nothing", "text", "cut"])
def test_a_damaged_file_is_refused(tmp_path, name):
    with pytest.raises(ModelFileError):
        plan_build(options(damaged(tmp_path, name), tmp_path / "out"))
    with pytest.raises(ModelFileError, match="cannot read"):
        plan_build(options(tmp_path / "none.onnx", tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"images": np.zeros((4, 24, 24, 1), np.uint8)}, "do not fit"),
        ({"inputs": np.zeros((4, 3, 24, 25), np.float32)}, "do not fit"),
        ({"images": np.zeros((4, 24, 24, 3), np.uint8), "labels": np.array([0, 1, 2, 4])}, "outside the classes"),
        ({"images": np.zeros((4, 24, 24, 3), np.uint8), "labels": np.zeros(3, int)}, "labels that do not fit"),
        ({"inputs": np.full((2, 3, 24, 24), np.nan)}, "no numbers"),
        ({"pictures": np.zeros((4, 24, 24, 3), np.uint8)}, "no inputs"),
        ({"images": np.array([{}], object)}, "cannot read the inputs"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path, content, words):
    np.savez(tmp_path / "samples.npz", **content)
    with pytest.raises(DataError, match=words):
        plan_build(options(save_classifier(tmp_path / "net.onnx"), tmp_path / "out", data=tmp_path / "samples.npz"))


def test_folders_that_are_not_the_outputs_ask_for_labels(tmp_path):
    folder = save_folder(tmp_path / "photos", {"dim": 4, "dark": 4, "fair": 4})
    with pytest.raises(ConfigError, match="has 4 outputs, photos has 3 classes") as caught:
        plan_build(options(save_classifier(tmp_path / "net.onnx"), tmp_path / "out", data=folder))
    assert "--labels FILE" in caught.value.hint
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    given = {"labels": tmp_path / "three.txt"}
    with pytest.raises(OfaEdgeError, match="3 labels for 4 outputs"):
        plan_build(options(tmp_path / "net.onnx", tmp_path / "out", model=given))
