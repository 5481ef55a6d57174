"""Wrong calibrations of the embedded supernet, each contradicted by other images; sound ones, of any size, are not."""

import dataclasses
import json

import numpy as np
import pytest

from ofa_edge.cache import StageCache
from ofa_edge.data.dataset import Images
from ofa_edge.errors import GateError
from ofa_edge.metrics import top1
from ofa_edge.supernet import zoo
from ofa_edge.supernet.weights import load_static, save_static
from ofa_edge.verify.statistics import statistics_verdict
from ofa_edge.workflows.build import build as building
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.images import BuildData, package_data
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.stages import STATIC, StageRunner
from ofa_edge.workflows.build.statistics import Judged, check_statistics, other_calibrations


@pytest.fixture(scope="module")
def data() -> BuildData:
    """Some of the embedded package's own images: 200 to calibrate with, 100 to test on."""
    whole = package_data(zoo.open_supernet(zoo.DEFAULT))
    parts = {"calibration": 200, "validation": 400, "test": 100}
    return dataclasses.replace(whole, **{name: getattr(whole, name).sample(count) for name, count in parts.items()})


@pytest.fixture(scope="module")
def judge(data, tmp_path_factory):
    """The verdict on the smallest subnet, calibrated on given images."""
    runner = StageRunner(StageCache(tmp_path_factory.mktemp("cache")))

    def judged(calibration=None, **changes):
        plan = make_plan(BuildOptions(target="raspberry-pi-4", device="none", **changes), claim=False)
        plan = dataclasses.replace(plan, data=dataclasses.replace(data, calibration=calibration or data.calibration))
        subnet = plan.package.subnet or plan.package.space.smallest(20)
        judging = Judged(plan.package, subnet, plan.data, plan.search.predictor)
        static = stages.extract(runner, plan.package, subnet, plan.data.calibration)
        answers = stages.run_torch(runner, plan.package, static, plan.data.test, folded=False)
        record = check_statistics(runner, judging, static, answers)
        labels = plan.data.test_labels
        verdict = statistics_verdict(record, None if labels is None else top1(answers, labels), len(answers))
        judged.static = static.path(STATIC)
        return record, verdict

    return judged


def of(images, change):
    return Images(change(images.pixels.astype(np.int64)).astype(np.uint8), images.labels)


@pytest.mark.parametrize("count", [20, 50, 200])
def test_a_sound_calibration_passes_whatever_its_size(judge, data, count):
    record, verdict = judge(data.validation.sample(count, seed=9))
    assert (verdict.outcome, verdict.code) == ("pass", "as-other-calibrations")
    assert record.images == min(count, 100)
    assert record.expected is not None  # the training run's own figure is asked too


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("one class", "one-class"),
        ("two classes", "worse-than-other-images"),
        ("black", "no-content"),
        ("0..1", "no-content"),
        ("divided by 16", "other-pixels"),
        ("inverted", "worse-than-other-images"),
        ("turned", "worse-than-other-images"),
        ("noise", "worse-than-other-images"),
    ],
)
def test_a_wrong_calibration_fails_with_the_reason(judge, data, name, code):
    calibration = data.calibration
    random = np.random.default_rng(0).integers(0, 256, calibration.pixels.shape)
    wrong = {
        "one class": calibration.take(np.flatnonzero(calibration.labels == 3)),
        "two classes": calibration.take(np.flatnonzero(calibration.labels < 2)),
        "black": of(calibration, lambda pixels: 0 * pixels),
        "0..1": of(calibration, lambda pixels: pixels // 255),
        "divided by 16": of(calibration, lambda pixels: pixels // 16),
        "inverted": of(calibration, lambda pixels: 255 - pixels),
        "turned": of(calibration, lambda pixels: np.rot90(pixels, 1, (1, 2))),
        "noise": of(calibration, lambda pixels: random),
    }[name]
    _, verdict = judge(wrong)
    assert (verdict.outcome, verdict.code) == ("fail", code)
    if "class" in name:
        assert "of 10 classes" in verdict.reason


def test_a_given_network_with_wrong_statistics_fails_too(judge, data, tmp_path):
    for name, calibration, outcome in (
        ("sound", data.calibration, "pass"),
        ("turned", of(data.calibration, lambda pixels: np.rot90(pixels, 1, (1, 2))), "fail"),
    ):
        judge(calibration)
        net, folder = load_static(judge.static), tmp_path / name
        folder.mkdir()
        package = zoo.open_supernet(zoo.DEFAULT)
        facts = {"labels": package.labels, "mean": package.mean, "std": package.std}
        header = {key: json.dumps(value) for key, value in facts.items()}
        save_static(folder / zoo.NETWORK, net, {**header, "dataset": "fashion-mnist"})
        (folder / zoo.IMAGES).write_bytes(package.file(zoo.IMAGES).read_bytes())
        _, verdict = judge(supernet=str(folder))
        assert verdict.outcome == outcome, verdict


def test_a_network_that_answers_with_nan_is_an_error_of_the_network(judge, data, monkeypatch, tmp_path):
    plan = dataclasses.replace(
        make_plan(BuildOptions(target="raspberry-pi-4", device="none"), claim=False), data=data, out=tmp_path
    )
    nan = np.full((len(data.test), 10), np.nan, np.float32)
    monkeypatch.setattr(stages, "run_torch", lambda *_, **__: nan)

    def find(*_):
        return plan.package.space.smallest(20), None

    with pytest.raises(GateError, match="not finite") as caught:
        building.build(plan, StageCache(tmp_path / "cache"), [], lambda *_: None, find)
    assert "fashion-mnist" in caught.value.why


def test_balanced_accuracy_of_the_training_run_is_not_held_against_top1(data, tmp_path):
    """On uneven classes a sound network has a top-1 far below what its balanced accuracy says."""
    runner = StageRunner(StageCache(tmp_path))
    options = BuildOptions(target="raspberry-pi-4", device="none")
    plan = dataclasses.replace(make_plan(options, claim=False), data=data)
    for metric, asked in (("top1", True), ("balanced", False)):
        predictor = dataclasses.replace(plan.search.predictor, metric=metric)
        subnet = plan.package.space.smallest(20)
        static = stages.extract(runner, plan.package, subnet, data.calibration)
        answers = stages.run_torch(runner, plan.package, static, data.test, folded=False)
        judging = Judged(plan.package, subnet, data, predictor)
        assert (check_statistics(runner, judging, static, answers).expected is not None) == asked


def test_random_weights_are_asked_without_labels(tmp_path):
    options = BuildOptions(target="pixel-4", device="none", untrained=True, supernet="ofa_mbv3_d234_e346_k357_w1.0")
    plan, runner = make_plan(options, claim=False), StageRunner(StageCache(tmp_path))
    few = {name: getattr(plan.data, name).sample(16) for name in ("calibration", "validation", "test")}
    plan = dataclasses.replace(plan, data=dataclasses.replace(plan.data, **few))
    subnet = plan.package.space.smallest(128)
    static = stages.extract(runner, plan.package, subnet, plan.data.calibration)
    answers = stages.run_torch(runner, plan.package, static, plan.data.test, folded=False)
    judging = Judged(plan.package, subnet, plan.data, None)
    record = check_statistics(runner, judging, static, answers)
    assert (record.top1, record.drop, record.expected) == ((), None, None)
    assert statistics_verdict(record, None, len(answers)).outcome == "pass"


def test_other_calibrations_share_no_image_with_the_networks_own(data):
    others = other_calibrations(data)
    assert [len(part) for part in others] == [100] * 5  # 500 images for five sets
    sets = [{image.tobytes() for image in part.pixels} for part in (data.calibration, *others)]
    assert len(set.union(*sets)) == sum(map(len, sets))
    for part in others:
        assert np.bincount(part.labels, minlength=10).min() >= 8
    small = dataclasses.replace(data, validation=data.validation.sample(10), test=data.test.sample(20))
    assert [len(part) for part in other_calibrations(small)] == [6] * 5
    few = dataclasses.replace(data, calibration=data.calibration.sample(20))
    assert [len(part) for part in other_calibrations(few)] == [20] * 5
