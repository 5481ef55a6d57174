import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_nets import Network, mobilenet_v1, nasbench201, squeezenet

from ofa_edge.cost.well_known import mobilenet_v2
from ofa_edge.errors import ConfigError, SpaceMismatchError, UnsupportedError
from ofa_edge.latency import load_latency_model
from ofa_edge.latency.analytic import TERMS, AnalyticModel
from ofa_edge.latency.load import read_latency_file
from ofa_edge.runtimes import precisions_for, runtimes_for
from ofa_edge.space import Space
from ofa_edge.targets import Target, builtin_folder, load_target, read_target
from ofa_edge.vocabulary import numbers

IMAGENET = Space("ofa_mbv3_w1.0")
TINY = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
NAMES = sorted(path.stem for path in builtin_folder().glob("*.toml"))


def analytic(target: Target, runtime: str, precision: str, version: str | None = None) -> AnalyticModel:
    model = load_latency_model(target, IMAGENET, runtime, precision, version)
    assert isinstance(model, AnalyticModel)
    return model


@pytest.fixture
def copied(tmp_path: Path) -> Target:
    """The Raspberry Pi 4 under another name, with a latency file of its own."""
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("raspberry-pi-4.latency.json", "mine.latency.json"))
    shutil.copy(builtin_folder() / "raspberry-pi-4.latency.json", tmp_path / "mine.latency.json")
    return read_target(tmp_path / "mine.toml")


def edit(target: Target, **changes: Any) -> None:
    facts = json.loads(target.latency_path.read_text())
    target.latency_path.write_text(json.dumps({**facts, **changes}))


# -- what ships --


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [IMAGENET, TINY], ids=lambda space: space.name)
def test_every_offered_combination_has_a_sensible_model(name: str, space: Space) -> None:
    target = load_target(name)
    for runtime in runtimes_for(target):
        for precision in precisions_for(target, runtime):
            model = load_latency_model(target, space, runtime.name, precision)
            assert (model.key.runtime, model.key.precision) == (runtime.name, numbers(precision).base)
            small, large = model.predict(space.smallest()), model.predict(space.largest())
            assert 0 < float(small.ms) < float(large.ms) < 20_000
            # A budget of 60 % of the largest subnet's latency must leave room to search.
            assert float(small.ms) < 0.55 * float(large.ms), f"{name} {runtime} {precision}"


@pytest.mark.parametrize("name", NAMES)
def test_every_model_says_where_it_comes_from(name: str) -> None:
    for model in read_latency_file(load_target(name).latency_path).models:
        assert len(model.provenance.fitted_to) > 60
        assert model.provenance.sources
        told = model.provenance.kind in ("estimated", "modelled")  # by a compiler, or a model of arrays
        script = "fit_ethos_u.py" if told else "fit_latency.py"
        assert model.provenance.command.startswith(f"python benchmarks/{script}")
        # A runtime that nobody measured has nothing to be checked against, and does not borrow another's figures.
        assert bool(model.provenance.cross_validation) == (told or model.key.runtime == "tflite")
        assert (model.silicon is not None) == (model.provenance.kind == "estimated")
        for check in model.provenance.cross_validation:
            assert check.coverage90 >= check.coverage50


def test_targets_without_measurements_are_analytic_and_wider() -> None:
    width = {}
    for name in ("raspberry-pi-4", "raspberry-pi-5", "pixel-7", "host"):
        model = analytic(load_target(name), "tflite", "fp32")
        interval = model.predict(IMAGENET.uniform(3, 4, 3, 224))
        width[name] = float(interval.high90) / float(interval.low90)
        assert model.provenance.kind == ("published" if name.startswith("raspberry") else "analytic")
    assert width["pixel-7"] > width["raspberry-pi-5"]
    assert width["host"] > max(width["raspberry-pi-4"], width["raspberry-pi-5"])


def test_nothing_on_a_jetson_claims_to_be_measured() -> None:
    for name in ("jetson-nano", "jetson-orin-nano"):
        for model in read_latency_file(load_target(name).latency_path).models:
            assert model.provenance.kind == "analytic"
            assert "TVM" in model.provenance.fitted_to


# Published latencies in ms, as facts. XNNPACK: google/XNNPACK README.md, "Performance", Raspberry Pi 4 (ARM64).
# Ruy: MLPerf Inference v1.0, Krai, rpi4coral-fan.on-tflite-v2.4.1-ruy, p50. Pixel 4: tensorflow/lite/g3doc/performance/
# benchmarks.md.
RUY, OWN = "TensorFlow Lite 2.4.1 (ruy)", "TensorFlow Lite 2020 (own kernels)"
PUBLISHED: list[tuple[str, str | None, str, Network, float]] = [
    ("raspberry-pi-4", None, "fp32", mobilenet_v1(), 77),
    ("raspberry-pi-4", None, "fp32", mobilenet_v2(), 46),
    ("raspberry-pi-4", None, "int8", mobilenet_v1(), 24),
    ("raspberry-pi-4", None, "int8", mobilenet_v2(), 17),
    ("raspberry-pi-4", RUY, "fp32", mobilenet_v1(0.25, 128), 4.743),
    ("raspberry-pi-4", RUY, "fp32", mobilenet_v2(0.35, 96), 5.677),
    ("raspberry-pi-4", RUY, "fp32", mobilenet_v2(1.4, 224), 90.897),
    ("raspberry-pi-4", RUY, "int8", mobilenet_v1(0.25, 128), 2.094),
    ("raspberry-pi-4", RUY, "int8", mobilenet_v2(1.0, 224), 24.078),
    ("pixel-4", OWN, "fp32", mobilenet_v1(), 14.0),
    ("pixel-4", OWN, "fp32", squeezenet(), 23.9),
    ("pixel-4", OWN, "int8", mobilenet_v1(), 5.0),
]


@pytest.mark.parametrize(("name", "version", "precision", "network", "ms"), PUBLISHED)
def test_published_latencies_lie_in_the_90_percent_interval(
    name: str, version: str | None, precision: str, network: Network, ms: float
) -> None:
    interval = analytic(load_target(name), "tflite", precision, version).coefficients.predict(network)
    assert float(interval.low90) <= ms <= float(interval.high90)


def test_runtimes_are_not_mixed() -> None:
    """MobileNetV2 on a Raspberry Pi 4 takes 46 ms with XNNPACK and 57 ms with ruy; the models tell them apart."""
    target = load_target("raspberry-pi-4")
    xnnpack, ruy = (
        float(analytic(target, "tflite", "fp32", version).coefficients.predict(mobilenet_v2()).ms)
        for version in (None, RUY)
    )
    assert xnnpack < 52 < ruy


def test_int8_pays_more_where_the_core_has_dot_products() -> None:
    subnet = IMAGENET.uniform(5, 4, 3, 224)
    gain = {
        name: float(analytic(load_target(name), "tflite", "fp32").predict(subnet).ms)
        / float(analytic(load_target(name), "tflite", "int8").predict(subnet).ms)
        for name in ("raspberry-pi-4", "raspberry-pi-5")
    }
    assert 1 < gain["raspberry-pi-4"] < gain["raspberry-pi-5"]


def test_ten_thousand_genomes_rank_as_one_by_one() -> None:
    model = load_latency_model(load_target("pixel-4"), TINY, "tflite", "fp32")
    genomes = TINY.sample(np.random.default_rng(3), 10_000)
    many = model.predict_many(genomes)
    assert np.asarray(many.ms).shape == (10_000,)
    fastest = int(np.argmin(np.asarray(many.ms)))
    assert many.at(fastest).ms == pytest.approx(float(model.predict(TINY.subnet(genomes[fastest])).ms))


# -- what is refused --


def test_a_file_of_another_space_is_refused(copied: Target) -> None:
    edit(copied, space=TINY.hash)
    assert load_latency_model(copied, TINY, "tflite", "fp32").predict(TINY.smallest()).ms
    with pytest.raises(SpaceMismatchError) as caught:
        load_latency_model(copied, IMAGENET, "tflite", "fp32")
    assert IMAGENET.hash[:12] in caught.value.why
    assert TINY.hash[:12] in caught.value.why


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', "\x00"])
def test_a_damaged_file_is_refused(copied: Target, damage: str) -> None:
    copied.latency_path.write_text(damage)
    with pytest.raises(ConfigError, match=r"mine\.latency\.json"):
        load_latency_model(copied, IMAGENET, "tflite", "fp32")


def test_a_missing_file_is_refused(copied: Target) -> None:
    copied.latency_path.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        load_latency_model(copied, IMAGENET, "tflite", "fp32")


def _negative(model: dict[str, Any]) -> None:
    model["coefficients"]["conv"] = -1.0


def _not_finite(model: dict[str, Any]) -> None:
    model["coefficients"]["conv"] = float("nan")


def _short(model: dict[str, Any]) -> None:
    del model["coefficients"]["call"]


def _not_covariance(model: dict[str, Any]) -> None:
    model["log_covariance"][0][0] = -5.0


def _not_symmetric(model: dict[str, Any]) -> None:
    model["log_covariance"][0][1] += 0.5


def _ragged(model: dict[str, Any]) -> None:
    model["log_covariance"].pop()


def _unknown(model: dict[str, Any]) -> None:
    model["colour"] = "blue"


def _never_validated(model: dict[str, Any]) -> None:
    model["provenance"]["cross_validation"][0]["networks"] = 0


def _validated_with_more(model: dict[str, Any]) -> None:
    model["provenance"]["cross_validation"][0]["colour"] = "blue"


def _narrowed(model: dict[str, Any]) -> None:
    model["reach90"] = 0.05


def _crossed(model: dict[str, Any]) -> None:
    model["reach50"] = model["reach90"] + 1.0


@pytest.mark.parametrize(
    "spoil",
    [
        _negative,
        _not_finite,
        _short,
        _not_covariance,
        _not_symmetric,
        _ragged,
        _unknown,
        _never_validated,
        _validated_with_more,
        _narrowed,
        _crossed,
    ],
)
def test_a_spoiled_model_is_refused(copied: Target, spoil: Any) -> None:
    _refused(copied, spoil)


ABSURD: tuple[tuple[tuple[str | int, ...], float], ...] = (
    (("coefficients", "conv"), 1e300),
    (("log_scatter",), 1e3),
    (("log_scatter",), -1.0),
    (("reach90",), 1e300),
    (("log_covariance", 0, 0), 1e6),
    (("depthwise_taps",), 10**30),
    (("key", "threads"), 0),
    (("key", "threads"), 10**9),
    (("provenance", "cross_validation", 0, "mape"), -0.1),
    (("provenance", "cross_validation", 0, "spearman"), 2.0),
    (("provenance", "cross_validation", 0, "bias"), 1e300),
    (("provenance", "cross_validation", 0, "coverage90"), 1.5),
)


@pytest.mark.parametrize(("place", "value"), ABSURD)
def test_a_figure_that_fits_the_type_and_not_the_world_is_refused(
    copied: Target, place: tuple[str | int, ...], value: float
) -> None:
    def spoil(model: Any) -> None:
        for part in place[:-1]:
            model = model[part]
        model[place[-1]] = value

    _refused(copied, spoil)


def _refused(copied: Target, spoil: Any) -> None:
    facts = json.loads(copied.latency_path.read_text())
    spoil(facts["models"][0])
    copied.latency_path.write_text(json.dumps(facts))
    with pytest.raises(ConfigError) as caught:
        load_latency_model(copied, IMAGENET, "tflite", "fp32")
    assert str(copied.latency_path) in caught.value.why


def test_another_number_of_threads_is_refused(tmp_path: Path, copied: Target) -> None:
    text = copied.path.read_text().replace("threads = 4", "threads = 1")
    copied.path.write_text(text)
    with pytest.raises(ConfigError, match="another number of threads"):
        load_latency_model(read_target(copied.path), IMAGENET, "tflite", "fp32")


def test_a_model_used_outside_its_key_is_wider_and_says_so(copied: Target) -> None:
    known = load_latency_model(copied, IMAGENET, "tflite", "fp32")
    assert known.outside == ()
    copied.path.write_text(copied.path.read_text().replace("threads = 4", "threads = 1"))
    found = load_latency_model(read_target(copied.path), IMAGENET, "tflite", "fp32", outside_key=True)
    assert found.outside == ("threads 1 is asked for, the model holds for 4",)
    subnet = IMAGENET.smallest()
    before, after = known.predict(subnet), found.predict(subnet)
    assert 1.5 < float(after.ms) / float(before.ms) < 4  # one thread in place of four
    widths = [np.log(float(item.high90) / float(item.ms)) for item in (before, after)]
    assert widths[1] > 1.02 * widths[0]
    many = found.predict_many(IMAGENET.genome([subnet]))
    assert many.at(0).high90 == pytest.approx(after.high90)


def test_a_model_of_another_device_is_refused_or_labelled(copied: Target) -> None:
    text = copied.path.read_text().replace("Raspberry Pi 4 Model B", "Raspberry Pi 3 Model B")
    copied.path.write_text(text)
    other = read_target(copied.path)
    with pytest.raises(ConfigError, match="holds for another device"):
        load_latency_model(other, IMAGENET, "tflite", "fp32")
    found = load_latency_model(other, IMAGENET, "tflite", "fp32", outside_key=True)
    assert len(found.outside) == 1
    assert "Raspberry Pi 4 Model B" in found.outside[0]


def test_a_file_older_than_a_term_is_completed_and_not_sure_of_it(copied: Target) -> None:
    facts = json.loads(copied.latency_path.read_text())
    place = TERMS.index("grouped")
    for model in facts["models"]:
        model["coefficients"].pop("grouped", None)
        matrix = np.array(model["log_covariance"])
        if len(matrix) == len(TERMS):
            matrix = np.delete(np.delete(matrix, place, 0), place, 1)
        model["log_covariance"] = matrix.tolist()
    copied.latency_path.write_text(json.dumps(facts))
    coefficients = analytic(copied, "tflite", "fp32").coefficients
    depthwise = TERMS.index("depthwise")
    assert coefficients.ms[place] == coefficients.ms[depthwise]
    assert coefficients.log_covariance[place, place] > coefficients.log_covariance[depthwise, depthwise] + 0.3


def test_outside_the_key_the_nearest_model_is_taken(copied: Target) -> None:
    found = load_latency_model(copied, IMAGENET, "tflite", "int8", "TensorFlow Lite 1.0", outside_key=True)
    assert (found.key.runtime, found.key.precision, found.key.threads) == ("tflite", "int8", 4)
    assert len(found.outside) == 1


def test_a_table_without_a_space_is_refused(copied: Target) -> None:
    edit(copied, kind="table")
    with pytest.raises(ConfigError, match=r"mine\.latency\.json"):
        load_latency_model(copied, IMAGENET, "tflite", "fp32")


def test_an_unknown_version_names_those_at_hand(copied: Target) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load_latency_model(copied, IMAGENET, "tflite", "fp32", "TensorFlow Lite 1.0")
    assert RUY in caught.value.why


# -- descriptions of published networks --


@pytest.mark.parametrize(
    ("network", "mmacs", "mweights"),
    [
        (mobilenet_v1(), 569, 4.2),  # arXiv 1704.04861, table 8
        (mobilenet_v2(), 300, 3.4),  # arXiv 1801.04381, table 4
        (mobilenet_v2(1.4), 585, 6.9),  # the same
    ],
)
def test_networks_weigh_what_their_papers_say(network: Network, mmacs: float, mweights: float) -> None:
    assert sum(item.macs for item in network) / 1e6 == pytest.approx(mmacs, rel=0.01)
    assert sum(item.weights for item in network) / 1e6 == pytest.approx(mweights, rel=0.13)


def test_a_cell_without_operations_costs_only_the_frame() -> None:
    bare = nasbench201("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    busy = nasbench201("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
    assert len(busy) - len(bare) == 30
    assert bare[0] == busy[0]


@pytest.mark.parametrize(
    "cell",
    [
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|none~2|",  # nodes 1 and 2 are used by none
        "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|",  # node 1 comes of nothing
    ],
)
def test_what_no_node_uses_and_what_comes_of_nothing_is_not_computed(cell: str) -> None:
    assert nasbench201(cell) == nasbench201("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")


def test_a_cell_of_the_published_ones_weighs_what_a_count_by_hand_says() -> None:
    """Number 7767: a 3x3 and two 1x1 lead to the last node; those into node 2 lead nowhere. Stages have one C x S."""
    cells = 15 * (9 + 1 + 1) * (16 * 32) ** 2
    reductions = 2 * (9 * 2 + 9 * 4 + 2) * 16 * 16 * 16 * 16
    found = nasbench201("|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|")
    assert sum(each.macs for each in found) == 3 * 16 * 9 * 32 * 32 + cells + reductions + 64 * 10
