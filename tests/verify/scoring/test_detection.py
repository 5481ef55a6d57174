"""mAP beside COCO's own evaluation, on detections as bad as they come; and what its interval says."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ofa_edge.data.annotations import Boxes
from ofa_edge.data.decoding import Decoding
from ofa_edge.verify.scoring.detection import MeanAveragePrecision
from ofa_edge.verify.scoring.matching import RECALLS, average_precisions, match
from ofa_edge.verify.scoring.resampling import DRAWS, draws

SIZE, CLASSES = 200, 3


def random_case(seed, images=25):
    """Truth with crowds and empty images; answers [N, 300 x 6] of end-to-end detectors: near, far, double, tied."""
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(images):
        for _ in range(int(rng.integers(0, 7)) if image % 6 else 0):
            low = rng.uniform(0, SIZE - 60, 2)
            crowd = rng.random() < 0.15
            rows.append([image, *low, *(low + rng.uniform(8, 60, 2)), rng.integers(0, CLASSES), crowd])
    table = np.array(rows)
    truth = Boxes(
        table[:, 0].astype(np.int64),
        table[:, 1:5],
        table[:, 5].astype(np.int64),
        table[:, 6].astype(bool),
        np.tile([0.0, 0.0, SIZE, SIZE], (images, 1)),
    )
    answers = np.zeros((images, 300, 6), np.float32)
    for image in range(images):
        mine = truth.images == image
        near = np.repeat(truth.corners[mine], 3, axis=0) + rng.normal(0, 4, (3 * mine.sum(), 4))
        kinds = np.repeat(truth.classes[mine], 3)
        low = rng.uniform(0, SIZE - 70, (40, 2))
        far = np.concatenate([low, low + rng.uniform(5, 70, (40, 2))], axis=1)
        near = np.concatenate([near[:, :2], np.maximum(near[:, 2:], near[:, :2] + 1)], axis=1)
        boxes = np.concatenate([near, far])
        classes = np.concatenate([kinds, rng.integers(0, CLASSES, 40)])
        classes = np.where(rng.random(len(classes)) < 0.1, 1, classes)
        scores = np.round(rng.random(len(boxes)), 2)  # ties
        order = np.argsort(-scores, kind="stable")
        answers[image, : len(boxes)] = np.column_stack([boxes, scores, classes])[order]
    return truth, answers.reshape(images, -1)


def cocos(truth, answers, decoding):
    """[mAP, AP50, AP75] and each class's, by pycocotools."""
    objects = [
        {
            "id": place + 1,
            "image_id": int(image),
            "category_id": int(number) + 1,
            "bbox": [*box[:2], *(box[2:] - box[:2])],
            "area": float(np.prod(box[2:] - box[:2])),
            "iscrowd": int(crowd),
        }
        for place, (image, box, number, crowd) in enumerate(
            zip(truth.images, truth.corners, truth.classes, truth.crowd, strict=True)
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image, "width": SIZE, "height": SIZE} for image in range(truth.count)],
            "annotations": objects,
            "categories": [{"id": number + 1, "name": str(number)} for number in range(CLASSES)],
        }
        coco.createIndex()
        found = []
        for image, row in enumerate(answers):
            seen = truth.inside(image, decoding.decode(row))
            for box, score, number in zip(seen.corners, seen.scores, seen.classes, strict=True):
                extent = [*box[:2], *(box[2:] - box[:2])]
                seen_as = {"image_id": image, "category_id": int(number) + 1, "score": float(score)}
                found.append({**seen_as, "bbox": extent})
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        precision = evaluation.eval["precision"][:, :, :, 0, 2]  # all sizes, 100 detections
    return evaluation.stats[:3], precision.mean(axis=(0, 1))


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_cocos_own_evaluation_gives(seed):
    truth, answers = random_case(seed)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    scorer = MeanAveragePrecision(truth, ["a", "b", "c"], decoding)
    score = scorer.figures(answers)["score"]
    wanted, by_class = cocos(truth, answers, decoding)
    assert [score.value, score.others["AP50"], score.others["AP75"]] == pytest.approx(wanted, abs=1e-12)
    assert [each.before for each in scorer.by_class(answers, answers)] == pytest.approx(by_class, abs=1e-12)
    assert 0.02 < score.value < 0.9


def test_a_draw_of_images_is_what_a_set_of_those_images_gives():
    truth, answers = random_case(7)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    scorer = MeanAveragePrecision(truth, ["a", "b", "c"], decoding)
    drawn = np.repeat(np.arange(truth.count), draws(truth.count)[3].astype(int))
    again = scorer.take(drawn).figures(answers[drawn])["score"].value
    assert scorer.found(answers).resampled[3] == pytest.approx(again, abs=1e-12)


def test_a_drop_counts_images_and_is_as_wide_as_few_images_are():
    truth, answers = random_case(8)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    scorer = MeanAveragePrecision(truth, ["a", "b", "c"], decoding)
    same = scorer.drop(answers, answers.copy())
    assert (same.metric, same.drop, same.lost, same.won) == ("mAP", 0.0, 0, 0)
    assert same.high95 == pytest.approx(scorer.found(answers).value * 3.8415 / (truth.count + 3.8415), rel=1e-3)
    worse = answers.copy()
    worse[1:4] = 0  # three images without an answer
    drop = scorer.drop(answers, worse)
    wanted = scorer.found(answers).value - scorer.found(worse).value
    assert drop.drop == pytest.approx(wanted)
    assert (drop.lost, drop.won) == ((scorer.found(answers).own[1:4] > 0).sum(), 0)
    assert drop.lost > 1
    assert drop.low95 <= drop.drop <= drop.high95


def test_an_image_without_objects_and_a_class_without_detections_count():
    content = np.tile([0.0, 0.0, SIZE, SIZE], (2, 1))
    corners = np.array([[10.0, 10, 30, 30], [50, 50, 90, 90]])
    truth = Boxes(np.array([0, 0]), corners, np.array([0, 1]), np.zeros(2, bool), content)
    decoding = Decoding.of("end-to-end", [(1, 2, 6)], 3, (SIZE, SIZE))
    row = np.array([[10, 10, 30, 30, 0.9, 0], [0, 0, 0, 0, 0, 0]], np.float32).ravel()
    wrong = np.array([[10, 10, 30, 30, 0.95, 0], [0, 0, 0, 0, 0, 0]], np.float32).ravel()
    scorer = MeanAveragePrecision(truth, ["a", "b", "c"], decoding)
    scores = scorer.by_class(np.stack([row, np.zeros_like(row)]), np.stack([row, wrong]))
    assert [(each.truth, each.before, each.after) for each in scores] == [
        (1, pytest.approx(1.0), pytest.approx(0.5)),
        (1, 0.0, 0.0),
        (0, None, None),
    ]


def test_what_is_no_number_finds_nothing():
    truth, answers = random_case(9)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    scorer = MeanAveragePrecision(truth, ["a", "b", "c"], decoding)
    assert scorer.figures(np.full_like(answers, np.nan))["score"].value == 0.0


def test_draws_are_the_same_every_time_and_of_all_images():
    first = draws(9)
    assert first.shape == (DRAWS, 9)
    assert (first.sum(axis=1) == 9).all()
    draws.cache_clear()
    np.testing.assert_array_equal(first, draws(9))


def test_detections_of_a_class_are_matched_by_certainty():
    truth, answers = random_case(10)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    detections = [decoding.decode(row) for row in answers]
    (first, *_) = match(detections, truth, CLASSES)
    assert first.right.shape == first.ignored.shape == (10, len(first.images))
    assert not (first.right & first.ignored).any()
    assert (first.found <= first.objects).all()


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_the_curve_read_at_101_recalls(seed):
    """Point by point, for images drawn any number of times; places that no threshold is right at are on the curve."""
    truth, answers = random_case(seed)
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], CLASSES, (SIZE, SIZE))
    weights = draws(len(answers))[seed]
    for each in match([decoding.decode(row) for row in answers], truth, CLASSES):
        wanted = []
        for right, ignored in zip(each.right, each.ignored, strict=True):
            curve, hits, misses = [], 0.0, 0.0
            for image, hit, left_out in zip(each.images, right, ignored, strict=True):
                hits += weights[image] * hit
                misses += weights[image] * (not hit and not left_out)
                curve.append((hits / (weights @ each.objects), hits / max(hits + misses, 1e-12)))
            read = [max((high for recall, high in curve if recall >= level), default=0.0) for level in RECALLS]
            wanted.append(np.mean(read))
        assert average_precisions(each, weights) == pytest.approx(wanted, abs=1e-12)
        assert max(wanted) > 0.02


def test_the_worst_images_are_in_order_and_have_objects():
    truth, answers = random_case(3)
    found = MeanAveragePrecision(truth, list("abc"), Decoding.of("end-to-end", [(1, 300, 6)], 3, (200, 200))).worst(
        answers, 100
    )
    shares = [each.share for each in found]
    assert shares == sorted(shares)
    assert len({each.image for each in found} - set(truth.images[~truth.crowd].tolist())) == 0
