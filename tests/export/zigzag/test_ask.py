"""ZigZag's answers against counting by hand: cycles between two bounds, bytes of layers that fit on the chip."""

import math

import pytest

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator
from ofa_edge.errors import ConversionError
from ofa_edge.export.zigzag.ask import ArraySystem
from ofa_edge.target_schema import Array
from ofa_edge.targets import builtin_folder, load_target

pytest.importorskip("zigzag.stages", reason="the extra zigzag is not installed")
WORD = 30  # bytes that the memory behind a ZU3EG gives in a cycle: 240 bits
# Layers that fit on the chip as a whole, with the cycles of a mapping by hand: pixels in eights (fours where
# depthwise), channels in twelves, taps and rows one after the other.
BY_HAND = (
    (Operator("pointwise", 24, 144, 28, 28), math.ceil(24 / 12) * math.ceil(144 / 12) * math.ceil(28 / 8) * 28),
    (Operator("pointwise", 50, 30, 7, 7), 5 * 3 * 1 * 7),
    (Operator("conv", 3, 16, 32, 16, 3, 2), 1 * 2 * 2 * 16 * 9),
    (Operator("depthwise", 96, 96, 14, 14, 5), 8 * 4 * 14 * 25),
    (Operator("depthwise", 30, 30, 28, 14, 3, 2), 3 * 4 * 14 * 9),
    (Operator("dense", 320, 1000, 1, 1), 27 * 84),
)


@pytest.fixture(scope="module")
def system() -> ArraySystem:
    target = load_target("zu3eg")
    return ArraySystem(target.array, target.path.parent)


@pytest.fixture(scope="module")
def answers(system, tmp_path_factory):
    cache = StageCache(tmp_path_factory.mktemp("zigzag"))
    return [steps[0] for steps in system.ask([[operator] for operator, _ in BY_HAND], cache)], cache


def test_cycles_are_between_what_is_possible_and_a_mapping_by_hand(answers, system):
    for (operator, by_hand), found in zip(BY_HAND, answers[0], strict=True):
        engine = system.engines["depthwise" if operator.kind == "depthwise" else "pointwise"]
        read, written = operator.in_elements, operator.out_elements
        moving = (read + written + operator.weights) / WORD
        assert by_hand >= operator.macs / engine.multipliers
        assert found.cycles >= max(operator.macs / engine.multipliers, 0.98 * moving)
        # By hand nothing overlaps: all is read, computed, written. ZigZag is no worse, but for filling registers.
        assert found.cycles <= 1.05 * (by_hand + moving), operator


def test_what_fits_on_the_chip_is_moved_once(answers):
    for (operator, _), found in zip(BY_HAND, answers[0], strict=True):
        wanted = operator.in_elements + operator.out_elements + operator.weights
        assert abs(found.offchip_bytes - wanted) <= max(3 * WORD, 0.03 * wanted), operator


def test_energy_has_every_product_and_every_byte_from_off_the_chip(answers):
    for (operator, _), found in zip(BY_HAND, answers[0], strict=True):
        least = 0.23 * operator.macs + 1300 / 64 * 8 * found.offchip_bytes  # pJ: Horowitz' figures, as in the file
        assert least <= found.layers[0].energy_pj <= 3 * least, operator


def test_two_engines_at_once_take_as_long_as_the_slower_and_move_less(system, answers):
    deep, out = Operator("depthwise", 48, 48, 14, 14, 3), Operator("pointwise", 48, 24, 14, 14)
    ((both,),) = system.ask([[deep, out]], answers[1])
    apart = ArraySystem(system.array.model_copy(update={"pipelined": False}), builtin_folder())
    one, two = apart.ask([[deep, out]], answers[1])[0]
    assert both.cycles < one.cycles + two.cycles
    assert both.cycles >= max(deep.macs / 48, out.macs / 1152)
    between = 2 * deep.out_elements  # neither written nor read again
    assert one.offchip_bytes + two.offchip_bytes - both.offchip_bytes == pytest.approx(between, abs=6 * WORD)
    assert system.macs_per_cycle == apart.macs_per_cycle + 48


def test_a_shape_is_asked_about_once(answers, system, monkeypatch):
    monkeypatch.setattr("ofa_edge.export.zigzag.ask.run_worker", lambda *_: pytest.fail("asked again"))
    again = system.ask([[operator] for operator, _ in BY_HAND], answers[1])
    assert [steps[0] for steps in again] == answers[0]


def test_a_layer_that_does_not_fit_is_named(tmp_path):
    text = (builtin_folder() / "zu3eg.pointwise.yaml").read_text()
    path = tmp_path / "tiny.yaml"
    path.write_text(text.replace("size: 3538944", "size: 64"))  # of maps: not one pixel of twelve channels
    array = Array(pointwise=str(path), depthwise=str(builtin_folder() / "zu3eg.depthwise.yaml"), clock_mhz=1.0)
    with pytest.raises(ConversionError, match="no mapping of a pointwise layer of 1x24x24x7x7x1x1 on zu3eg") as caught:
        ArraySystem(array, tmp_path).ask([[Operator("pointwise", 24, 24, 7, 7)]], StageCache(tmp_path / "cache"))
    assert "larger memories" in caught.value.hint


def test_an_operator_that_no_engine_runs(system, tmp_path):
    with pytest.raises(ConversionError, match="no engine of an array runs product"):
        system.ask([[Operator("product", 8, 8, 4, 4)]], StageCache(tmp_path))
