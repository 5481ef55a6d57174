"""The fewest layers of an int8 file that have to stay in fp32."""

import numpy as np
import pytest

from ofa_edge.export.inspect.litert import ask_litert
from ofa_edge.export.tflite.choosing import choose, time_ratio
from ofa_edge.export.tflite.int8_blame import blame
from ofa_edge.export.tflite.mixed import probe
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.verify.parity import compare
from ofa_edge.vocabulary import Allowed


@pytest.fixture(scope="module")
def before(pair, images):
    return blame(pair, images).snr_db


def test_what_is_asked_for_is_reached_and_true(pair, images, before, tmp_path):
    wanted = before + 3
    content, record = choose(pair, images, None, Allowed(snr_db=wanted))
    found = compare(answers_of(probe(pair, ()), images), answers_of(content, images)).snr_db
    assert record.reached
    assert record.snr_db == pytest.approx(found)
    assert found >= wanted
    assert 0 < record.operators < record.of_operators
    assert record.int8_size != record.size == len(content)
    assert record.ratio is not None
    assert record.blame.snr_db == pytest.approx(before)
    path = tmp_path / "mixed.tflite"
    path.write_bytes(content)
    assert ask_litert(path).kept == (), "XNNPACK runs all of it"


def test_the_first_to_go_is_the_one_to_blame(pair, images, before):
    _, record = choose(pair, images, None, Allowed(snr_db=before + 1))
    worst = next(each.layer for each in record.blame.layers if each.layer != "input")
    assert record.steps[0].layers[0] == worst
    operators = [step.operators for step in record.steps]
    assert operators == sorted(operators)


def test_int8_that_keeps_it_stays_int8(pair, images, before):
    content, record = choose(pair, images, None, Allowed(snr_db=before - 1))
    assert content == pair.packed()
    assert (record.steps, record.operators, record.kept, record.ratio) == ((), 0, (), None)
    assert record.size == record.int8_size


def test_what_cannot_be_reached_is_said(pair, images):
    """Input and logits stay int8: 90 dB are out of reach."""
    _, record = choose(pair, images[:8], None, Allowed(snr_db=90.0))
    assert not record.reached
    assert record.snr_db == pytest.approx(record.steps[-1].snr_db)


def test_points_are_asked_of_labels(pair, images):
    exact = answers_of(probe(pair, ()), images)
    ranked = np.sort(exact, axis=1)
    sure = np.argsort(ranked[:, -2] - ranked[:, -1])[:30]  # the input stays int8: it decides what is nearly a tie
    _, record = choose(pair, images[sure], exact[sure].argmax(1), Allowed(drop=0.0))
    assert record.reached
    assert record.top1_drop == 0
    assert record.asked == "0 points of top-1"


def test_a_file_is_as_fast_as_itself(pair):
    assert time_ratio(pair.packed(), pair.packed()) == pytest.approx(1, abs=0.5)
