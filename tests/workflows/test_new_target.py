"""A target for another board: the less is known of it, the wider its predictions."""

import pytest

from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.latency.load import load_latency_model
from ofa_edge.space import Space
from ofa_edge.targets import load_target, read_target
from ofa_edge.workflows.new_target import known_figures, new_target

SPACE = Space("tiny", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (28,))
ZERO = {"cpu": "cortex-a53", "cores": 4, "clock_ghz": 1.0, "memory_gbps": 2.0}


def interval(target, precision="fp32"):
    model = load_latency_model(target, SPACE, "tflite", precision)
    return model.predict(SPACE.largest()), model.provenance


def made(tmp_path, **known):
    return read_target(new_target("zero", "raspberry-pi-5", known_figures(**known), tmp_path))


def width(found) -> float:
    return found.high90 / found.low90


def test_a_slower_board_does_not_predict_like_the_one_it_was_made_from(tmp_path):
    target = made(tmp_path, **ZERO)
    assert target.hardware.peak_gmacs_fp32 == 4 * 1.0 * 4
    assert (target.hardware.peak_gmacs_fp16, target.hardware.peak_gmacs_int8) == (None, None)
    pi, _ = interval(load_target("raspberry-pi-5"))
    for precision in ("fp32", "int8"):
        found, provenance = interval(target, precision)
        assert found.ms > 3 * pi.ms
        assert provenance.kind == "analytic"
    assert "Nothing was measured on it" in provenance.fitted_to


def test_what_is_not_known_makes_it_wide(tmp_path):
    pi, _ = interval(load_target("raspberry-pi-5"))
    known, _ = interval(made(tmp_path / "known", **ZERO))
    part, _ = interval(made(tmp_path / "part", **{**ZERO, "memory_gbps": None}))
    nothing, provenance = interval(made(tmp_path / "nothing"))
    assert width(pi) < width(known) < width(part) < width(nothing)
    assert width(nothing) > 16  # a factor of 4 either way, at least
    assert "Not known, and taken from there: cpu, cores, peak_gmacs, memory_gbps" in provenance.fitted_to


def test_boards_of_the_other_target_are_not_this_one(tmp_path):
    for target in (made(tmp_path / "a"), made(tmp_path / "b", **ZERO)):
        assert not target.is_hardware("Raspberry Pi 5 Model B Rev 1.0", "cortex-a76")


def test_a_core_of_another_kind_is_emulated_as_itself(tmp_path):
    assert made(tmp_path / "a", **ZERO).emulation.cpu == "cortex-a53"
    assert made(tmp_path / "b", cpu="cortex-a73").emulation is None


@pytest.mark.parametrize(
    ("known", "peak"),
    [
        ({"cpu": "cortex-a76", "cores": 2, "clock_ghz": 2.0}, 32.0),
        ({"cpu": "cortex-a76", "cores": 2, "clock_ghz": 2.0, "peak_gmacs": 30.0}, 30.0),
        ({"cpu": "someones-core", "cores": 2, "clock_ghz": 2.0}, None),
        ({"cores": 2, "clock_ghz": 2.0}, None),
    ],
)
def test_the_peak_follows_from_a_known_core(known, peak):
    assert known_figures(**known).peak_gmacs == peak


def test_fewer_cores_run_fewer_threads(tmp_path):
    target = made(tmp_path, cpu="cortex-a76", cores=2, clock_ghz=2.4)
    assert target.runtime.threads == 2
    found, _ = interval(target)
    pi, _ = interval(load_target("raspberry-pi-5"))
    assert found.ms > 1.3 * pi.ms


def test_what_cannot_be_started_from(tmp_path):
    with pytest.raises(UnsupportedError, match="no board to start from"):
        new_target("mine", "jetson-nano", known_figures(), tmp_path)
    made(tmp_path)
    with pytest.raises(ConfigError, match="is there already"):
        made(tmp_path)
    with pytest.raises(ConfigError):
        new_target("../mine", "raspberry-pi-5", known_figures(), tmp_path)
