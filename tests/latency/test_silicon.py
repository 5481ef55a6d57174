"""What silicon takes of a compiler's milliseconds, the same for subnets, for many at once and for a fleet's parts."""

import numpy as np
import pytest

from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.silicon import ETHOS_U, Pair, Silicon
from ofa_edge.supernet import zoo
from ofa_edge.targets import load_target

TARGET, SPACE = load_target("ethos-u55-128"), zoo.open_space(zoo.DEFAULT)


def load(silicon):
    return load_latency_model(TARGET, SPACE, "ethos-u", "int8", silicon=silicon)


def test_the_interval_is_students_prediction_interval_of_the_ratios():
    pairs = (Pair("a", "x", 1.0, 1.0), Pair("b", "x", 1.0, 2.0), Pair("c", "x", 1.0, 4.0), Pair("d", "x", 1.0, 8.0))
    found = Silicon.of(pairs)
    assert found.factor == pytest.approx(8**0.5)  # the geometric mean
    spread = np.std(np.log([1, 2, 4, 8]), ddof=1)
    reach = np.log(found.interval(1.0).high90 / found.factor)
    assert reach == pytest.approx(2.3534 * spread * (1 + 1 / 4) ** 0.5, rel=1e-3)  # t of 3 degrees of freedom, at 95 %


def test_every_question_is_answered_alike():
    raw, model = load(False), load(True)
    factor = Silicon.of(ETHOS_U).factor
    subnet = SPACE.largest()
    assert model.predict(subnet).ms == pytest.approx(factor * raw.predict(subnet).ms)
    many = model.predict_many(SPACE.genome([subnet, SPACE.smallest()]))
    assert many.at(0).to_json() == pytest.approx(model.predict(subnet).to_json())
    assert sum(part.ms for part in model.parts(subnet)) == pytest.approx(model.predict(subnet).ms)
    assert (model.key, model.provenance) == (raw.key, raw.provenance)


def test_silicon_makes_predictions_less_sure():
    raw, model = load(False).predict(SPACE.largest()), load(True).predict(SPACE.largest())
    assert model.high90 / model.low90 > 2 * raw.high90 / raw.low90
