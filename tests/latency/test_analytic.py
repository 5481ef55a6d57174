import dataclasses
import itertools

import numpy as np
import pytest

from ofa_edge.cost import Operator, operators
from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.tflite.rewrites.crop_kernels import crop_kernels
from ofa_edge.export.tflite.rewrites.split_depthwise import MAX_TAPS, split_depthwise
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients, Lowering, amounts
from ofa_edge.latency.protocol import Z50, Z90, Interval, Key, LatencyModel, Provenance
from ofa_edge.space import Space

SPACE = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
KEY = Key("a board", "tflite", "1", "fp32", 4)
PROVENANCE = Provenance("analytic", "nothing", (), "none")


def coefficients(**ms: float) -> Coefficients:
    values = np.array([ms.get(term, 0.0) for term in TERMS])
    return Coefficients(values, 0.01 * np.eye(len(TERMS)), 0.1, Z50, Z90, Lowering(4, 4))


def model(**ms: float) -> AnalyticModel:
    return AnalyticModel(SPACE, coefficients(**ms), KEY, PROVENANCE)


EVERYTHING = dict(zip(TERMS, (0.05, 0.04, 0.2, 0.25, 0.3, 0.5, 0.1, 0.3, 0.2, 0.2, 0.006, 0.07), strict=True))


def test_amounts_of_a_depthwise_convolution_by_hand() -> None:
    operator = Operator("depthwise", 8, 8, 10, 5, 3, 2)
    taken = dict(zip(TERMS, amounts([operator], Lowering(1, 4)), strict=True))
    assert taken["depthwise"] == pytest.approx(9 * 8 * 25 * 1e-6)
    assert taken["activations"] == pytest.approx((8 * 100 + 8 * 25) * 1e-6)
    assert taken["weights"] == pytest.approx(9 * 8 * 4 * 1e-6)
    assert taken["operators"] == 1
    assert taken["windows"] == pytest.approx(9 * 25 * 1e-6)  # whatever the channels
    assert taken["spilled"] == 0  # it fits a cache
    assert taken["conv"] == taken["pointwise"] == taken["wide_depthwise"] == taken["elementwise"] == taken["call"] == 0


def test_a_depthwise_convolution_of_more_than_25_taps_is_a_term_of_its_own() -> None:
    five, seven = (amounts([Operator("depthwise", 8, 8, 9, 9, k)], Lowering(4, 4)) for k in (5, 7))
    assert five[TERMS.index("wide_depthwise")] == 0 < five[TERMS.index("depthwise")]
    assert seven[TERMS.index("depthwise")] == 0 < seven[TERMS.index("wide_depthwise")]


@pytest.mark.parametrize(
    ("kernel", "size", "parts"), [(3, 9, 1), (5, 9, 1), (7, 9, 3), (7, 4, 3), (7, 3, 1), (9, 9, 5)]
)
def test_large_depthwise_kernels_are_split_as_the_exporter_splits_them(kernel: int, size: int, parts: int) -> None:
    channels, lowering = 8, Lowering(4, 4, depthwise_taps=MAX_TAPS)
    operator = Operator("depthwise", channels, channels, size, size, kernel)
    weight = np.ones((channels, 1, kernel, kernel), np.float32)
    attributes = {"group": channels, "pads": [kernel // 2] * 4}
    node = Node("Conv", "conv", ("x", "w"), "y", attributes)
    graph = Graph((node,), {"w": weight}, "x", "y", (1, channels, size, size), {"x": (channels, size, size)})
    exported = [each.op for each in split_depthwise(crop_kernels(graph)).nodes]
    assert (lowering.parts(operator), parts) == (exported.count("Conv"), parts)
    taken = dict(zip(TERMS, amounts([operator], lowering), strict=True))
    assert taken["wide_depthwise"] == 0 < taken["depthwise"]
    assert taken["operators"] == len(exported)
    # Every part reads the input and writes a map; every addition reads two and writes one.
    assert taken["activations"] == pytest.approx((2 * parts + 3 * (parts - 1)) * channels * size**2 * 4e-6)


def test_hard_swish_counts_once_for_each_operator_that_it_becomes() -> None:
    swish = [Operator("h_swish", 8, 8, 9, 9)]
    one, two = (amounts(swish, Lowering(1, 1, hard_swish=number)) for number in (1, 2))
    np.testing.assert_allclose(two, 2 * one)


def test_a_dense_layer_counts_as_pointwise_and_its_weights_as_traffic() -> None:
    taken = dict(zip(TERMS, amounts([Operator("dense", 100, 10, 1, 1)], Lowering(4, 1)), strict=True))
    assert taken["pointwise"] == pytest.approx(1000e-6)
    assert taken["weights"] == pytest.approx(1000e-6)


def test_prediction_is_the_sum_of_its_terms() -> None:
    subnet = SPACE.smallest()
    taken = amounts(operators(SPACE, subnet), Lowering(4, 4))
    assert model(operators=0.5).predict(subnet).ms == pytest.approx(0.5 * taken[TERMS.index("operators")])
    assert model(call=2.0).predict(subnet).ms == pytest.approx(2.0)
    both = model(pointwise=3.0, activations=0.2).predict(subnet).ms
    assert both == pytest.approx(3.0 * taken[TERMS.index("pointwise")] + 0.2 * taken[TERMS.index("activations")])


def test_one_by_one_and_many_at_once_agree() -> None:
    subject = model(**EVERYTHING)
    genomes = SPACE.sample(np.random.default_rng(0), 40)
    many = subject.predict_many(genomes)
    for index, genome in enumerate(genomes):
        one = subject.predict(SPACE.subnet(genome))
        for field in dataclasses.fields(Interval):
            assert getattr(many.at(index), field.name) == pytest.approx(getattr(one, field.name), rel=1e-12)


def test_no_genomes_give_empty_arrays() -> None:
    many = model(**EVERYTHING).predict_many(SPACE.sample(np.random.default_rng(0), 0))
    assert np.asarray(many.ms).shape == np.asarray(many.high90).shape == (0,)


def test_intervals_nest() -> None:
    many = model(**EVERYTHING).predict_many(SPACE.sample(np.random.default_rng(1), 200))
    ladder = [np.asarray(value) for value in (many.low90, many.low50, many.ms, many.high50, many.high90)]
    assert all((low < high).all() for low, high in itertools.pairwise(ladder))
    assert (ladder[0] > 0).all()


def test_an_unsure_term_widens_the_interval_only_of_networks_that_lean_on_it() -> None:
    covariance = np.zeros((len(TERMS), len(TERMS)))
    call = TERMS.index("call")
    covariance[call, call] = 1.0
    unsure = dataclasses.replace(coefficients(pointwise=1.0, call=1.0), log_covariance=covariance, log_scatter=0.05)
    small = unsure.predict([Operator("pointwise", 10, 10, 10, 10)])
    large = unsure.predict([Operator("pointwise", 1000, 1000, 100, 100)])
    assert float(small.high90) / float(small.ms) > 3
    assert float(large.high90) / float(large.ms) < 1.2


def test_a_longer_reach_widens_its_interval_and_leaves_the_rest() -> None:
    plain = coefficients(**EVERYTHING)
    wide = dataclasses.replace(plain, reach90=2 * Z90)
    network = operators(SPACE, SPACE.largest())
    before, after = plain.predict(network), wide.predict(network)
    assert (after.ms, after.high50) == (before.ms, before.high50)
    assert np.log(float(after.high90) / float(after.ms)) == pytest.approx(2 * np.log(float(before.high90) / before.ms))


def test_more_of_anything_is_never_faster() -> None:
    subject = model(**EVERYTHING)
    latency = [float(subject.predict(SPACE.uniform(3, 4, depth, 24)).ms) for depth in SPACE.depths]
    assert latency == sorted(set(latency))
    for name, values in (("kernel", SPACE.kernels), ("expand", SPACE.expands), ("resolution", SPACE.resolutions)):
        default = {"kernel": 3, "expand": 4, "resolution": 24}
        latency = [float(subject.predict(SPACE.uniform(depth=3, **{**default, name: v})).ms) for v in values]
        assert latency == sorted(set(latency)), name


def test_it_fulfils_the_protocol() -> None:
    assert isinstance(model(**EVERYTHING), LatencyModel)


def test_a_part_of_a_network_pays_no_call() -> None:
    part = [Operator("pointwise", 10, 10, 10, 10)]
    subject = coefficients(pointwise=1.0, call=7.0)
    assert float(subject.predict(part).ms) - float(subject.predict(part, whole=False).ms) == pytest.approx(7.0)


def test_interval_to_json_is_plain() -> None:
    assert Interval(2.0, 1.5, 2.5, 1.0, 3.0).to_json() == {
        "ms": 2.0,
        "low50": 1.5,
        "high50": 2.5,
        "low90": 1.0,
        "high90": 3.0,
    }


def test_only_what_a_cache_does_not_hold_spills() -> None:
    small, large = ([Operator("pointwise", 16, 16, size, size)] for size in (56, 112))
    taken = [dict(zip(TERMS, amounts(part, Lowering(4, 4)), strict=True)) for part in (small, large)]
    assert [item["spilled"] for item in taken] == pytest.approx([0, (2 * 16 * 112**2 * 4 + 16 * 16 * 4 - 2**19) * 1e-6])


def test_the_parts_of_a_subnet_add_up_to_its_median() -> None:
    subject, subnet = model(**EVERYTHING), SPACE.uniform(5, 4, 2, 24)
    parts = subject.parts(subnet)
    assert sum(part.ms for part in parts) == pytest.approx(float(subject.predict(subnet).ms))
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    assert [part.name for part in parts][:2] == ["stem", "stage 1 block 1"]
    assert len(parts) == 3 + sum(subnet.depths)
    assert parts[-1].bound == "call"


def test_widening_keeps_the_median_and_adds_deviations_in_squares() -> None:
    plain = coefficients(**EVERYTHING).predict(operators(SPACE, SPACE.largest()))
    wide = plain.widened(0.4).at(())
    assert wide.ms == plain.ms
    for name, reach in (("high50", Z50), ("high90", Z90)):
        before, after = (np.log(getattr(item, name) / item.ms) / reach for item in (plain, wide))
        assert after == pytest.approx(np.hypot(before, 0.4))
