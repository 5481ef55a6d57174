"""Fits are judged on images that they have not seen."""

import numpy as np
import pytest

from ofa_edge.export.tflite.fitting import HELD_BACK, SEEN, fit
from ofa_edge.export.tflite.pair import WEIGHTED, constant, pair_up, set_constant


def worse(pair, images):
    """The file with the weights of a layer too small."""
    place = next(place for place, name in enumerate(pair.names) if name in WEIGHTED)
    tensor = pair.graph.tensors[pair.graph.operators[place].inputs[1]]
    set_constant(pair.quantised, tensor, (0.7 * constant(pair.quantised, tensor)).astype(np.int8))
    return [pair.packed()]


def test_what_does_not_help_is_left_out(before, twin, calibration):
    assert fit(before, lambda: twin, calibration, [worse]) == before


def test_the_nearest_of_several_stays(before, twin, calibration):
    damaged = worse(pair_up(before, twin), calibration)
    assert fit(damaged[0], lambda: twin, calibration, [lambda pair, images: [*damaged, before, *damaged]]) == before


@pytest.mark.parametrize(("count", "seen"), [(1, 1), (2, 2), (3, 2), (31, 21), (400, SEEN)])
def test_a_part_is_held_back_from_all_over_the_set(before, twin, calibration, count, seen, monkeypatch):
    """Of a set that is sorted by class, and of one whose classes take turns."""
    images = np.resize(calibration, (count, *calibration.shape[1:])).copy()
    images[:, 0, 0, 0] = np.arange(count)  # the number of each
    looked, judged = [], []

    def look(pair, images):
        looked.extend(images[:, 0, 0, 0].astype(int))
        return [before]

    monkeypatch.setattr(
        "ofa_edge.export.tflite.fitting.answers_of",
        lambda content, images: (judged.extend(images[:, 0, 0, 0].astype(int)), images[:, 0, 0, :1])[1],
    )
    fit(before, lambda: twin, images, [look])
    assert len(looked) == seen
    if count > 2:
        assert not set(looked) & set(judged)
        assert len(set(judged)) == min(count // 3, HELD_BACK)
    if count == 400:
        for every in (2, 3, 5):
            assert {number % every for number in judged} == set(range(every))
        assert np.histogram(judged, 4, (0, 400))[0].min() > 0
