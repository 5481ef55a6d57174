"""Detectors whose artifact suppresses its boxes itself: through a build, a verification and photos."""

import numpy as np
import onnx
import pytest
from builds import Stages
from heads import ANCHORS
from onnx import TensorProto, helper, numpy_helper
from squares import PIXELS, save_coco, save_detector, save_segmenter

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.cli.build import summary
from ofa_edge.data.forms import FINISHED
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.report.page import render_report
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.run_photos import run_photos
from ofa_edge.workflows.verify import verify

COUNTS = {"train": 24, "val": 60}
BUILDS = [("tflite", "int8"), ("tflite", "fp32"), ("onnxruntime", "int8"), ("onnxruntime", "fp32")]


def plan(file, data, out=None, *, task="detect", suppress="inside", model=None, **changes):
    given = ModelOptions(file, task=task, suppress=suppress, **{**PIXELS, **(model or {})})
    values = {"target": "raspberry-pi-4", "device": "none", "runtime": "onnxruntime", "data": data, "out": out}
    return plan_build(BuildOptions(**{**values, "model": given, **changes}))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("suppression")


@pytest.fixture(scope="module")
def coco(place):
    return save_coco(place / "coco", COUNTS)


@pytest.fixture(scope="module")
def few(place):
    """For heads drawn at random, which find hundreds of boxes in each picture."""
    return save_coco(place / "few", {"train": 24, "val": 12})


@pytest.fixture(scope="module")
def detector(place):
    return save_detector(place / "yolo.onnx")


@pytest.fixture(scope="module")
def run(place):
    def run(*arguments, **changes):
        return run_build(plan(*arguments, **changes), StageCache(place / "cache"), ["test"], Stages())

    return run


@pytest.fixture(scope="module")
def built(place, run, detector, coco):
    return {
        (runtime, precision): run(detector, coco, place / (runtime + precision), runtime=runtime, precision=precision)
        for runtime, precision in BUILDS
    }


@pytest.mark.parametrize("kind", BUILDS)
def test_the_ladder_goes_by_raw_outputs_then_by_boxes(built, kind):
    manifest = built[kind]
    raw, words = manifest.ladder[2], " ".join(kind)
    names = ["given file", "onnx", words, "onnx, suppression inside", f"{words}, suppression inside"]
    assert [rung.name for rung in manifest.ladder] == names
    assert raw.snr_db > 30
    assert raw.boxes is None
    for rung in manifest.ladder[3:]:
        assert rung.outcome == "pass"
        assert rung.snr_db is None
        assert rung.reference.endswith("suppressed outside")
        assert min(rung.boxes.reference, rung.boxes.candidate) > 150
        assert rung.boxes.share == 1
    assert manifest.ladder[4].accuracy == pytest.approx(raw.accuracy, abs=1e-6)
    assert manifest.ladder[3].accuracy == pytest.approx(manifest.ladder[0].accuracy, abs=1e-6)
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"
    assert [rung.file for rung in manifest.ladder[:3]] == [None] * 3


@pytest.mark.parametrize("kind", BUILDS)
def test_the_manifest_has_what_the_artifact_gives(built, place, kind):
    manifest = built[kind]
    assert tuple(each.name for each in manifest.network.outputs) == FINISHED
    assert manifest.network.decoding["form"] == "suppressed"
    assert manifest.network.changes[-1] == "boxes are decoded and suppressed inside the graph"
    assert "decoding and suppression inside the artifact are not in it" in manifest.prediction.outside
    network = Build.open(place / "".join(kind)).network
    assert network.finished.shapes == ((1, 300, 4), (1, 300), (1, 300), (1,))
    assert network.labels == ("red", "green")
    page, text = render_report(manifest), summary(manifest, place)
    assert "The artifact decodes and suppresses its boxes itself" in page
    assert "100.00 % of" in text


@pytest.mark.parametrize("kind", BUILDS[::3])
def test_it_is_verified_and_finds_the_squares(built, place, coco, kind):
    folder = place / "".join(kind)
    found = verify(folder, "local", coco)
    outcomes = {verdict.gate: verdict.outcome for verdict in found.verdicts}
    assert outcomes["parity"] == "pass"
    assert outcomes.get("delegation", "pass") == "pass"
    assert found.rungs[-1].boxes.share > 0.9
    assert found.rungs[-1].accuracy == pytest.approx(built[kind].ladder[-1].accuracy, abs=0.02)
    photos = run_photos(folder, [coco / "val"], "local", top=20)
    assert len(photos.answers) == COUNTS["val"]
    assert sum(len(answer.labels) for answer in photos.answers) > 150
    for answer in photos.answers:
        for label in answer.labels:
            x1, y1, x2, y2 = label.box
            assert 10 < x2 - x1 < 24
            assert 10 < y2 - y1 < 24


def test_the_whole_accuracy_of_an_artifact_is_without_the_option_the_same(built, run, place, detector, coco):
    outside = run(detector, coco, place / "outside", suppress="outside")
    assert outside.network.decoding["form"] == "yolov8"
    assert outside.ladder[-1].accuracy == pytest.approx(built["onnxruntime", "fp32"].ladder[-1].accuracy, abs=1e-6)


def test_without_data_parity_alone_is_judged(run, detector, tmp_path):
    manifest = run(detector, None, tmp_path / "out")
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"
    assert manifest.scores is None


@pytest.mark.parametrize(
    ("changes", "error", "what", "hint"),
    [
        ({"runtime": "tvm"}, UnsupportedError, "--suppress inside with --runtime tvm", "--runtime tflite"),
        ({"task": "features"}, ConfigError, "--suppress inside with --task features", "--task detect"),
        ({"task": "segment"}, ConfigError, "--suppress inside with --task segment", "--task detect"),
        ({"finished": True}, ConfigError, "--suppress inside with outputs of rt-detr", "yolov8"),
    ],
)
def test_what_cannot_be_suppressed_is_told_before_work(place, detector, changes, error, what, hint):
    if changes.get("task") == "segment":
        detector = save_segmenter(place / "s.onnx")
    model = None
    if "finished" in changes:
        changes, model = {}, {"decode": "rt-detr"}
        detector = save_detector(place / "e.onnx", form="boxes-scores")
    with pytest.raises(error, match=what) as caught:
        plan(detector, None, model=model, **changes)
    assert hint in caught.value.hint
    assert caught.value.why


def test_it_is_not_for_a_race(detector):
    with pytest.raises(UnsupportedError, match="--suppress inside with --runtime fastest") as caught:
        plan(detector, None, runtime="fastest", target="host", device="local")
    assert "--runtime onnxruntime" in caught.value.hint


def save_heads(path, form):
    """A network of three scales whose raw heads are the outputs, with weights drawn at random."""
    rng = np.random.default_rng(0)
    channels = 64 + 2 if form == "yolov8-raw" else 3 * 7
    nodes, outputs, values = [], [], {}
    for stride in (8, 16, 32):
        size = 64 // stride
        weights = rng.normal(0, 4 / stride, (channels, 3, stride, stride))
        values[f"w{stride}"] = weights.astype(np.float32)
        name, shape = f"head{stride}", [1, channels, size, size]
        nodes.append(helper.make_node("Conv", ["images", f"w{stride}"], [name], f"conv{stride}", strides=[stride] * 2))
        if form == "yolov5-raw":  # as its own export has them
            values[f"s{stride}"] = np.array([1, 3, 7, size, size])
            nodes.append(helper.make_node("Reshape", [name, f"s{stride}"], [f"five{stride}"], f"apart{stride}"))
            nodes.append(helper.make_node("Transpose", [f"five{stride}"], [f"out{stride}"], perm=[0, 1, 3, 4, 2]))
            name, shape = f"out{stride}", [1, 3, size, size, 7]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    graph = helper.make_graph(
        nodes,
        "anybody's",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("form", ["yolov8-raw", "yolov5-raw"])
@pytest.mark.parametrize("suppress", ["outside", "inside"])
def test_heads_that_are_cut_early_are_built(run, few, tmp_path, form, suppress):
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\n")
    file = save_heads(tmp_path / "h.onnx", form)
    model = {"labels": labels, **({"anchors": ANCHORS} if form == "yolov5-raw" else {})}
    manifest = run(
        file, few, tmp_path / "out", model=model, suppress=suppress, runtime="tflite", precision="int8", task="detect"
    )
    assert {verdict.gate: verdict.outcome for verdict in manifest.verdicts}["parity"] == "pass"
    if suppress == "outside":
        assert manifest.network.decoding["form"] == form
        assert len(manifest.ladder[2].outputs) == 3
    else:
        assert manifest.ladder[4].boxes.share > 0.99
        assert manifest.ladder[4].boxes.reference > 100


def test_anchors_are_asked_for_and_refused_elsewhere(detector, coco, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\n")
    file = save_heads(tmp_path / "h.onnx", "yolov5-raw")
    with pytest.raises(ConfigError, match="needs the anchors of its 3 outputs"):
        plan(file, coco, model={"labels": labels})
    with pytest.raises(ConfigError, match="--anchors with outputs of yolov8"):
        plan(detector, coco, model={"anchors": ANCHORS})
    with pytest.raises(ConfigError, match="--anchors with --task features"):
        plan(detector, coco, task="features", model={"anchors": ANCHORS})
