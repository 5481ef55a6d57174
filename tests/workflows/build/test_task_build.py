"""Detectors and segmenters through a build: mAP and mIoU against a count by hand, folders as people have them."""

import contextlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from builds import Stages
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from squares import (
    CELL,
    GRID,
    INPUT,
    NAMES,
    PIXELS,
    save_coco,
    save_detector,
    save_masked,
    save_priors,
    save_segmenter,
    save_yolo,
)

from ofa_edge.builds import Build
from ofa_edge.cache import StageCache
from ofa_edge.cli.build import summary
from ofa_edge.cli.build_plan import describe
from ofa_edge.errors import ConfigError, DataError
from ofa_edge.report.page import render_report
from ofa_edge.verify.night_gates import score_gate
from ofa_edge.verify.regression import Colour
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.run import plan_build, run_build
from ofa_edge.workflows.nightly.bench import make_duel
from ofa_edge.workflows.nightly.fleet import ProtocolEntry
from ofa_edge.workflows.run_photos import run_photos
from ofa_edge.workflows.verify import verify

COUNTS = {"train": 24, "val": 60}


def plan(file, data, out=None, *, task="detect", model=None, **changes):
    given = ModelOptions(file, task=task, **{**PIXELS, **(model or {})})
    values = {"target": "raspberry-pi-4", "device": "none", "runtime": "onnxruntime", "data": data, "out": out}
    return plan_build(BuildOptions(**{**values, "model": given, **changes}))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def run(place):
    def run(*arguments, **changes):
        return run_build(plan(*arguments, **changes), StageCache(place / "cache"), ["test"], Stages())

    return run


@pytest.fixture(scope="module")
def coco(place):
    return save_coco(place / "coco", COUNTS)


@pytest.fixture(scope="module")
def masked(place):
    return save_masked(place / "masked", COUNTS)


@pytest.fixture(scope="module")
def detector(place):
    return save_detector(place / "yolo.onnx")


@pytest.fixture(scope="module")
def detected(place, run, detector, coco):
    return run(detector, coco, place / "detected", precision="int8", runtime="tflite")


def outcomes(manifest):
    return {verdict.gate: (verdict.outcome, verdict.code) for verdict in manifest.verdicts}


def by_hand(model, folder):
    """mAP of the detector's own answers, with Pillow, plain loops and COCO's evaluation, in pixels of the pictures."""
    session = onnxruntime.InferenceSession(model)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations" / "instances_val.json"))
        found = []
        for entry in coco.dataset["images"]:
            image = Image.open(folder / "val" / entry["file_name"])
            frame = Image.new("RGB", (INPUT, INPUT), (114, 114, 114))
            frame.paste(image.resize((64, 48), Image.Resampling.BILINEAR), (0, 8))
            pixels = np.asarray(frame, np.float32).transpose(2, 0, 1)[None] / 255
            (rows,) = session.run(["output0"], {"images": pixels})
            for number, category in enumerate((4, 90)):
                kept = []
                for x, y, w, h, *scores in sorted(rows[0].T.tolist(), key=lambda row: -row[4 + number]):
                    corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                    if scores[number] >= 0.001 and all(iou(corners, other) <= 0.7 for other in kept):
                        kept.append(corners)
                        x1, y1, x2, y2 = (2 * value for value in corners)
                        box = [max(x1, 0), max(y1 - 16, 0), min(x2, 128) - max(x1, 0)]
                        box.append(min(y2 - 16, 96) - box[1])
                        found.append(
                            {"image_id": entry["id"], "category_id": category, "bbox": box, "score": scores[number]}
                        )
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.params.catIds = [4, 90]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3]


def iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_map_is_what_a_count_by_hand_gives(detected, detector, coco):
    wanted = by_hand(detector, coco)
    first = detected.ladder[0]
    found = [first.score.value, first.score.others["AP50"], first.score.others["AP75"]]
    assert found == pytest.approx(wanted, abs=0.01)  # Pillow rounds single pixels otherwise
    assert 0.2 < found[0] < 0.9
    assert found[1] > found[2]


def test_int8_keeps_what_one_step_for_boxes_and_scores_would_lose(detected):
    assert [each.name for each in detected.network.outputs] == ["output0_0", "output0_1"]
    assert detected.network.changes == ("'output0' given in 2 pieces, each with int8 steps of its own",)
    rungs = {rung.name: rung for rung in detected.ladder}
    assert list(rungs) == ["given file", "onnx", "tflite int8"]
    assert rungs["onnx"].snr_db >= 900
    assert set(rungs["tflite int8"].outputs) == {"output0_0", "output0_1"}
    assert rungs["tflite int8"].accuracy > 0.9 * rungs["given file"].accuracy
    drop = rungs["tflite int8"].drop
    assert drop.metric == "mAP"
    assert drop.low95 <= drop.drop <= drop.high95
    assert outcomes(detected)["parity"] == ("pass", "all-rungs-within-tolerance")
    assert outcomes(detected)["accuracy"][0] in ("pass", "unverified")


def test_so_do_the_pieces_of_an_output_that_is_joined_row_by_row(place, run, coco, detected, tmp_path):
    file = save_detector(tmp_path / "v5.onnx", form="yolov5 joined")
    manifest = run(file, coco, tmp_path / "out", precision="int8", runtime="tflite")
    half = GRID * GRID // 2
    assert [each.shape for each in manifest.network.outputs] == [(1, half, 2), (1, half, 2), (1, half, 3)] * 2
    rungs = {rung.name: rung for rung in manifest.ladder}
    assert rungs["onnx"].snr_db >= 900
    assert rungs["given file"].accuracy == pytest.approx(detected.ladder[0].accuracy, abs=1e-6)
    assert rungs["tflite int8"].accuracy > 0.9 * rungs["given file"].accuracy
    assert min(rungs["tflite int8"].outputs.values()) > 25
    assert outcomes(manifest)["parity"][0] == "pass"


def test_the_manifest_says_how_boxes_are_read(detected, place):
    network = Build.open(place / "detected").network
    decoding = network.interface.decoding
    assert (decoding.form, decoding.classes, decoding.size) == ("yolov8", 2, (INPUT, INPUT))
    assert decoding.shapes == ((1, 4, GRID * GRID), (1, 2, GRID * GRID))
    assert network.labels == NAMES
    assert network.preprocessing.fit == "letterbox"
    by_class = {each.name: each for each in detected.scores.classes}
    assert list(by_class) == list(NAMES)
    assert by_class["red"].truth > by_class["green"].truth > 0
    mean = np.mean([each.before for each in detected.scores.classes])
    assert mean == pytest.approx(detected.ladder[0].accuracy)


def test_report_and_summary_speak_of_map(detected, place, detector, coco):
    page, text = render_report(detected), summary(detected, place / "detected")
    for words in ("mAP", "AP50", "red", "green"):
        assert words in page
        assert words in text
    for other in ("top-1", "same top-1"):
        assert other not in text
        assert other not in page
    said = describe(plan(detector, coco))
    assert "images: coco: 60 test images" in said
    assert "yolov8" in said


def test_it_is_verified_on_the_images_of_the_build_only(detected, place, coco):
    found = verify(place / "detected", "local", coco)
    verdicts = {verdict.gate: verdict.outcome for verdict in found.verdicts}
    assert verdicts["parity"] == "pass"
    assert found.rungs[0].metric == "mAP"
    assert found.rungs[-1].accuracy == pytest.approx(detected.ladder[-1].accuracy, abs=0.02)
    annotations = coco / "annotations" / "instances_val.json"
    before = annotations.read_text()
    content = json.loads(before)
    content["annotations"][0]["bbox"][0] += 1  # the same pictures, another truth
    annotations.write_text(json.dumps(content))
    try:
        with pytest.raises(ConfigError, match="images are not the build's"):
            verify(place / "detected", "local", coco)
    finally:
        annotations.write_text(before)


def test_a_night_judges_by_map(detected, place, coco):
    opened = Build.open(place / "detected")
    duel = make_duel("net", opened, opened, "local", ProtocolEntry(images=40), coco)
    assert len(duel.images) == len(duel.scorer) == len(duel.fp32) == 40
    same = score_gate(duel.scorer, duel.fp32, duel.fp32.copy(), duel.fp32)
    assert (same.decision.colour, same.decision.code) == (Colour.GREEN, "no-drop")
    blind = duel.fp32.copy()
    blind[:, -GRID * GRID :] = 0  # green is never found
    found = score_gate(duel.scorer, duel.fp32, blind, duel.fp32)
    assert (found.decision.colour, found.decision.code) == (Colour.RED, "accuracy-dropped")
    assert found.candidate < 0.6 * found.golden


def test_run_finds_the_squares_where_they_are_in_the_picture(detected, place, coco):
    found = run_photos(place / "detected", [coco / "val"], "local", top=20)
    assert len(found.answers) == COUNTS["val"]
    assert found.p50_ms > 0
    content = json.loads((coco / "annotations" / "instances_val.json").read_text())
    for answer, entry in list(zip(found.answers, content["images"], strict=True))[:20]:
        assert answer.photo.name == entry["file_name"]
        wanted = {
            ({4: "red", 90: "green"}[each["category_id"]], tuple(each["bbox"][:2]))
            for each in content["annotations"]
            if each["image_id"] == entry["id"]
        }
        near = {(each.name, (16 * round(each.box[0] / 16), 16 * round(each.box[1] / 16))) for each in answer.labels}
        assert near == wanted
        assert all(0 <= each.box[0] < each.box[2] <= 128 and each.share >= 0.25 for each in answer.labels)
    assert json.dumps(found.to_json())
    photos = [each.photo for each in found.answers[:3]]
    for line, answer in zip(example(place / "detected", *photos), found.answers, strict=False):
        boxes = (f"{each.name} {each.share:.3f} at {np.rint(each.box).astype(int).tolist()}" for each in answer.labels)
        assert line == f"{answer.photo}: {'; '.join(boxes)}"


def example(build, *photos):
    """What the Python example of a build prints."""
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    program = [sys.executable, build / "example/python/classify.py"]
    checked = subprocess.run([*program, "--check"], capture_output=True, text=True, env=environment, check=True)
    assert checked.stdout.startswith("ok: 8 images")
    done = subprocess.run([*program, *photos], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("form", "data"),
    [("yolov5", save_coco), ("boxes-scores", save_yolo), ("yolov8", save_yolo), ("ssd-sigmoid", save_coco)],
)
def test_forms_and_folders_give_the_same_accuracy(place, run, detected, form, data, tmp_path):
    file = save_detector(tmp_path / "d.onnx", form=form)
    model = {} if form.startswith("yolo") else {"fit": "letterbox"}
    if form == "ssd-sigmoid":
        model |= {"decode": form, "priors": save_priors(tmp_path / "priors.npz")}
    manifest = run(file, data(tmp_path / "data", COUNTS), tmp_path / "out", model=model)
    # Suppression at another overlap changes nothing: squares lie in cells of their own.
    assert manifest.network.decoding["form"] == form
    assert manifest.ladder[0].accuracy == pytest.approx(detected.ladder[0].accuracy, abs=1e-6)
    assert manifest.ladder[-1].accuracy == manifest.ladder[0].accuracy


def test_classes_in_another_order_are_contradicted_by_the_first_rung(place, run, detector, coco, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("green\nred\n")
    manifest = run(detector, coco, tmp_path / "out", model={"labels": labels})
    assert outcomes(manifest)["accuracy"][1] in ("reference-at-chance", "reference-answers-nothing")


def test_boxes_in_shares_taken_for_pixels_are_contradicted_too(run, coco, tmp_path):
    file = save_detector(tmp_path / "d.onnx", form="boxes-scores")
    model = {"decode": "boxes-scores-01", "fit": "letterbox"}
    manifest = run(file, coco, tmp_path / "out", model=model)
    assert outcomes(manifest)["accuracy"] == ("fail", "reference-answers-nothing")


def test_without_data_parity_alone_is_judged(run, detector, tmp_path):
    manifest = run(detector, None, tmp_path / "out")
    assert outcomes(manifest)["parity"][0] == "pass"
    assert outcomes(manifest)["accuracy"] == ("unverified", "no-labels")
    assert manifest.scores is None
    assert any("classes have no names" in words for words in manifest.network.assumed)


def test_what_an_export_of_ultralytics_says_is_taken(coco, tmp_path):
    said = {"stride": "8", "names": "{0: 'red', 1: 'green'}", "imgsz": "[64, 64]"}
    file = save_detector(tmp_path / "d.onnx", **said)
    made = plan(file, coco, model={"mean": None, "std": None})
    assert made.interface.inputs[0].preprocessing.std == (255.0,) * 3
    assert made.interface.outputs[0].labels == NAMES
    assert [words for words in made.assumed if "yolov8" not in words] == []


@pytest.mark.parametrize(("scores", "sigmoid"), [(3, False), (1, False), (1, True)])
def test_a_segmenter_is_judged_by_miou(run, masked, tmp_path, scores, sigmoid):
    file = save_segmenter(tmp_path / "s.onnx", scores=scores, sigmoid=sigmoid)
    data = masked
    if scores == 1:
        data = save_masked(tmp_path / "m", COUNTS)
        for path in data.glob("masks/*/*.png"):
            mask = np.asarray(Image.open(path))
            Image.fromarray(np.where(mask == 1, 255, 0).astype(np.uint8)).save(path)
    manifest = run(file, data, tmp_path / "out", task="segment")
    assert manifest.ladder[0].metric == "mIoU"
    assert manifest.network.outputs[0].threshold == (0.5 if sigmoid else 0.0)
    assert manifest.scores.unit == "pixels"
    photo = sorted((data / "images" / "val").iterdir())[0]
    (answer,) = run_photos(tmp_path / "out", [photo], "local").answers
    with Image.open(data / "masks" / "val" / photo.name) as image:
        mask = np.array(image)
    shares = {each.name: each.share for each in answer.labels}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares.get("class 1", 0) == pytest.approx((mask == (1 if scores > 1 else 255)).mean(), abs=0.03)
    (line,) = example(tmp_path / "out", photo)
    said = dict(part.rsplit(" ", 1) for part in line.removeprefix(f"{photo}: ").split(", "))
    assert {name: float(share) for name, share in said.items()} == pytest.approx(shares, abs=0.03)
    wanted = miou_by_hand(file, data, scores, 0.5 if sigmoid else 0.0)
    assert manifest.ladder[0].accuracy == pytest.approx(wanted, abs=0.01)
    assert 0.5 < manifest.ladder[0].accuracy < 1


def miou_by_hand(model, folder, scores, threshold):
    """With Pillow and plain counting: pictures squeezed, scores doubled by Pillow's bilinear filter."""
    session, table = onnxruntime.InferenceSession(model), np.zeros((max(scores, 2),) * 2)
    for path in sorted(folder.glob("images/val/*.png")):
        image = Image.open(path).resize((INPUT, INPUT), Image.Resampling.BILINEAR)
        (found,) = session.run(None, {"images": np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255})
        large = [
            np.asarray(Image.fromarray(each).resize((INPUT, INPUT), Image.Resampling.BILINEAR)) for each in found[0]
        ]
        answer = np.argmax(large, axis=0) if scores > 1 else (large[0] > threshold).astype(int)
        mask = Image.open(folder / "masks" / "val" / path.name).resize((INPUT, INPUT), Image.Resampling.NEAREST)
        truth = np.asarray(mask)
        truth = np.minimum(truth, 1) if scores == 1 else truth
        np.add.at(table, (truth, answer), 1)
    return np.mean(np.diagonal(table) / (table.sum(0) + table.sum(1) - np.diagonal(table)))


@pytest.mark.parametrize(
    ("file", "task", "data", "model", "what"),
    [
        ("detector", "detect", "masked", {}, "not a folder of images with boxes"),
        ("segmenter", "segment", "coco", {}, "not a folder of images with masks"),
        ("segmenter", "detect", "coco", {}, "gives no boxes that are known"),
        ("detector", "segment", "masked", {}, "gives no scores of classes at each place"),
        ("detector", "detect", "coco", {"decode": "detr"}, "outputs are not those of detr"),
        ("detector", "detect", "coco", {"decode": "end-to-end"}, "outputs are not those of end-to-end"),
        ("detector", "features", "coco", {"decode": "yolov8"}, "--decode with --task features"),
        ("segmenter", "segment", "masked", {"decode": "yolov8"}, "--decode with --task segment"),
    ],
)
def test_what_does_not_fit_is_told_before_work(request, place, file, task, data, model, what):
    files = {"detector": save_detector(place / "d.onnx"), "segmenter": save_segmenter(place / "s.onnx")}
    with pytest.raises((ConfigError, DataError), match=what) as caught:
        plan(files[file], request.getfixturevalue(data), task=task, model=model)
    assert caught.value.hint
    assert caught.value.why


def test_a_detector_wants_a_folder(detector, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 64, 64, 3), np.uint8))
    with pytest.raises(ConfigError, match="wants a folder"):
        plan(detector, tmp_path / "x.npz")


def test_one_part_is_split_for_ranges_and_the_test(detector, tmp_path):
    made = plan(detector, save_coco(tmp_path / "one", {"all": 30}), precision="int8", runtime="tflite")
    assert (len(made.data.calibration), len(made.data.test)) == (15, 15)
    assert made.data.truth.count == 15
    assert any("one part" in note for note in made.data.notes)
    assert CELL * GRID == INPUT
