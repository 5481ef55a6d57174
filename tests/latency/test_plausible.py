"""A latency file against the hardware's peak."""

import json

import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.plausible import beyond_peak
from ofa_edge.schema import changed
from ofa_edge.supernet.zoo import UNTRAINED
from ofa_edge.targets import list_targets, load_target, read_target

TARGETS = [target.name for target in list_targets()]


@pytest.mark.parametrize("name", TARGETS)
def test_no_shipped_model_is_surely_faster_than_its_hardware(name):
    assert [words for words, certain in beyond_peak(load_target(name)) if certain] == []


def with_peak(peak: float):
    target = load_target("raspberry-pi-4")
    hardware = changed(target.hardware, peak_gmacs_fp32=peak, peak_gmacs_int8=None)
    return changed(target, hardware=hardware)


def test_a_peak_that_every_model_beats_is_told_with_both_figures():
    found = list(beyond_peak(with_peak(2.0)))
    assert any(certain for _, certain in found)
    assert all("the hardware's peak is 2" in words for words, _ in found)
    assert {words.split()[1].rstrip(",") for words, _ in found} >= {"fp32", "int8"}


def test_a_rate_of_nothing_predicts_nothing(tmp_path):
    """Each subnet would fit each budget: neither a check nor a build lets it pass."""
    target = load_target("raspberry-pi-4")
    content = json.loads(target.latency_path.read_text())
    for model in content["models"]:
        model["coefficients"] |= dict.fromkeys(("conv", "pointwise", "depthwise"), 0.0) | {"weights": 0.0, "call": 0.0}
        model["coefficients"] |= dict.fromkeys(("activations", "elementwise", "spilled", "operators", "windows"), 0.0)
    (tmp_path / "free.toml").write_text(target.path.read_text().replace(target.latency_path.name, "free.json"))
    (tmp_path / "free.json").write_text(json.dumps(content))
    free = read_target(tmp_path / "free.toml")
    assert any("takes no time at all" in words and certain for words, certain in beyond_peak(free))
    space = next(iter(UNTRAINED.values()))
    with pytest.raises(ConfigError, match="predicts the impossible") as caught:
        load_latency_model(free, space, "tflite", "fp32")
    assert "free.json" in caught.value.why
    assert "targets validate" in caught.value.hint


def test_a_peak_inside_the_interval_is_only_doubtful():
    found = [certain for words, certain in beyond_peak(with_peak(11.0)) if words.startswith("tflite fp32")]
    assert found
    assert not any(found)
