import numpy as np
import pytest

from ofa_edge.records.manifest import Tolerance
from ofa_edge.verify.ladder import EXACT, Answers, conversion_tolerance, device_tolerance, first_rung, rung
from ofa_edge.verify.scoring import TopOne
from ofa_edge.vocabulary import PRECISIONS

LABELS = np.arange(40) % 4
SCORER = TopOne(LABELS, 4)
CONVERTED = [conversion_tolerance(precision) for precision in PRECISIONS]
ON_DEVICE = [device_tolerance(precision) for precision in PRECISIONS]


def logits(noise: float = 0.0, wrong: int = 0) -> np.ndarray:
    """Answers that are right but for the first `wrong`, with noise of that standard deviation."""
    values = 5.0 * np.eye(4, dtype=np.float32)[LABELS]
    values[:wrong] = np.roll(values[:wrong], 1, axis=1)
    return values + noise * np.random.default_rng(0).standard_normal(values.shape).astype(np.float32)


START = Answers("supernet slice", logits())


def test_the_first_rung_is_what_the_others_are_compared_with():
    made = first_rung(Answers("supernet slice", logits(wrong=4), note="a note"), SCORER)
    assert made.top1 == 0.9
    assert made.images == 40
    assert made.outcome == "pass"
    assert made.reference is None
    assert made.note == "a note"


def test_equal_answers_pass_whatever_the_tolerance():
    made = rung(Answers("onnx", logits(), file="model.onnx", size=7), START, Tolerance(max_abs=0, snr_db=900), SCORER)
    assert made.outcome == "pass"
    assert made.max_abs == 0
    assert made.argmax_agreement == 1
    assert made.top1 == 1
    assert (made.name, made.reference, made.file, made.size) == ("onnx", "supernet slice", "model.onnx", 7)
    assert made.note == ""


@pytest.mark.parametrize(
    ("tolerance", "candidate", "words"),
    [
        (Tolerance(max_abs=1e-3), logits(1e-2), "max|diff|"),
        (Tolerance(snr_db=80), logits(1e-2), "SNR"),
        (Tolerance(accuracy_drop=0.05), logits(wrong=20), "top-1 falls by 50.00 points"),
    ],
)
def test_each_kind_of_tolerance_fails_on_its_own(tolerance, candidate, words):
    made = rung(Answers("onnx", candidate, note="a note"), START, tolerance, SCORER)
    assert made.outcome == "fail"
    assert words in made.note
    assert made.note.endswith("; a note")
    assert ";" not in made.note.removesuffix("; a note")  # that fault alone
    assert made.tolerance == tolerance


@pytest.mark.parametrize(
    ("tolerance", "candidate"),
    [
        (Tolerance(max_abs=0.1), logits(1e-2)),
        (Tolerance(snr_db=40), logits(1e-2)),
        (Tolerance(accuracy_drop=0.1), logits(wrong=4)),
        (Tolerance(accuracy_drop=0.05), logits(wrong=3)),  # 7.5 points of 40 images may be chance
        (Tolerance(), logits(wrong=40)),
    ],
)
def test_each_kind_of_tolerance_passes_within(tolerance, candidate):
    assert rung(Answers("onnx", candidate), START, tolerance, SCORER).outcome == "pass"


def test_every_fault_is_named():
    made = rung(
        Answers("onnx", logits(1.0, wrong=9)), START, Tolerance(max_abs=0.1, snr_db=80, accuracy_drop=0), SCORER
    )
    assert [part.split()[0] for part in made.note.split("; ")] == ["max|diff|", "SNR", "top-1"]


def test_a_gain_in_top1_is_no_drop():
    low = Answers("supernet slice", logits(wrong=4))
    assert rung(Answers("onnx", logits()), low, Tolerance(accuracy_drop=0.0), SCORER).outcome == "pass"


@pytest.mark.parametrize("tolerance", [EXACT, *ON_DEVICE, *CONVERTED])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_fail_every_tolerance_in_use(tolerance, value):
    broken = logits()
    broken[3, 1] = value
    for scorer in (SCORER, None):
        made = rung(Answers("on device", broken), START, tolerance, scorer)
        assert made.outcome == "fail"
        assert np.isfinite([made.max_abs, made.snr_db]).all()  # the manifest is JSON


@pytest.mark.parametrize("tolerance", [EXACT, *ON_DEVICE, *CONVERTED])
def test_the_tolerances_in_use_tell_a_wrong_network_from_a_sound_one(tolerance):
    assert rung(Answers("on device", logits(1e-6)), START, tolerance, SCORER).outcome == "pass"
    shuffled = Answers("on device", np.roll(logits(), 1, axis=0))
    assert rung(shuffled, START, tolerance, SCORER).outcome == "fail"
    assert rung(shuffled, START, tolerance, None).outcome == "fail"  # untrained weights are no way around it


def test_without_labels_there_is_no_top1():
    assert first_rung(START, None).top1 is None
    made = rung(Answers("onnx", logits(wrong=40)), START, Tolerance(accuracy_drop=0.0), None)
    assert made.top1 is None
    assert made.outcome == "pass"  # a drop that means nothing is not judged
    assert made.argmax_agreement == 0


def test_the_more_a_precision_gives_up_the_more_it_is_allowed():
    allowed = [conversion_tolerance(each).snr_db for each in ("fp32", "fp16", "fp16-acc16", "dynamic", "int8")]
    assert allowed == sorted(allowed, reverse=True)
    assert len(set(allowed)) == 5


def test_a_drop_comes_with_its_interval():
    worse = Answers("tflite int8", logits(wrong=4))
    made = rung(worse, START, Tolerance(accuracy_drop=0.5), SCORER, with_drop=True)
    assert (made.drop.drop, made.drop.lost, made.drop.won, made.drop.images) == (pytest.approx(0.1), 4, 0, 40)
    assert made.drop.low95 < 0.1 < made.drop.high95
    assert rung(worse, START, Tolerance(), SCORER).drop is None
    assert rung(worse, START, Tolerance(), None, with_drop=True).drop is None


def test_each_of_several_outputs_is_judged_and_the_worst_is_named():
    values = logits()
    start = Answers("given file", np.hstack([values, 100 * values]))
    noisy = Answers("tflite", np.hstack([logits(noise=1.0), 100 * values]))  # lost in the larger output as a whole
    parts = {"boxes": slice(0, 4), "scores": slice(4, 8)}
    assert rung(noisy, start, Tolerance(snr_db=30.0), None).outcome == "pass"
    found = rung(noisy, start, Tolerance(snr_db=30.0), None, parts=parts)
    assert found.outcome == "fail"
    assert "of output 'boxes'" in found.note
    assert found.snr_db == found.outputs["boxes"] < 20
    assert found.outputs["scores"] == 999
    assert found.argmax_agreement is None


@pytest.mark.parametrize(
    ("own", "outcome"),
    [
        ({}, "fail"),  # not asked
        ({"": 60.0}, "fail"),  # it agrees with itself far better than the candidate does with it
        ({"": 45.0}, "unverified"),
        ({"": 20.0}, "unverified"),
    ],
)
def test_answers_as_near_as_the_reference_is_to_itself_are_no_fault_and_no_proof(own, outcome):
    first = Answers("given file", logits(), own=own)
    candidate = Answers("onnx", logits(1e-2))  # 48 dB
    made = rung(candidate, first, EXACT, None)
    assert made.outcome == outcome
    assert ("these inputs cannot tell" in made.note) == (outcome == "unverified")
    assert first_rung(first, None).own_db == next(iter(own.values()), None)


def test_rounding_noise_excuses_no_fall_of_accuracy():
    first = Answers("given file", logits(), own={"": -20.0})
    made = rung(Answers("onnx", logits(wrong=20)), first, EXACT, SCORER)
    assert made.outcome == "fail"
    assert "top-1 falls" in made.note


@pytest.mark.parametrize(
    ("own", "outcome"), [({"a": 20.0, "b": 100.0}, "fail"), ({"a": 20.0, "b": 50.0}, "unverified")]
)
def test_of_several_outputs_each_is_excused_by_its_own_noise(own, outcome):
    parts = {"a": slice(0, 2), "b": slice(2, 4)}
    first = Answers("given file", logits(), own=own)
    made = rung(Answers("onnx", logits(1e-2)), first, EXACT, None, parts=parts)
    assert made.outcome == outcome
    assert first_rung(first, None).outputs == own


def test_good_answers_need_no_excuse():
    made = rung(Answers("onnx", logits()), Answers("given file", logits(), own={"": 20.0}), EXACT, None)
    assert (made.outcome, made.note) == ("pass", "")


@pytest.mark.parametrize(("said", "outcome"), [(1e-8, "unverified"), (1e-3, "fail")])
def test_beside_zeros_only_next_to_nothing_is_excused(said, outcome):
    dark = np.zeros((4, 4), np.float32)
    made = rung(Answers("tflite", dark + np.float32(said)), Answers("given file", dark, own={"": -999.0}), EXACT, None)
    assert made.outcome == outcome
