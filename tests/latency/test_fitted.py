"""A fitted model against simulated devices whose truth is known."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ofa_edge.errors import ConfigError, SpaceMismatchError
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients, Lowering, amounts
from ofa_edge.latency.fitted import FittedModel, NetworkSample, UnitSample, fit_fitted, prior_of
from ofa_edge.latency.load import FittedFacts, load_latency_model, read_latency_file
from ofa_edge.latency.lookup_yaml import tables_of
from ofa_edge.latency.protocol import Z50, Z90, Key, LatencyModel, OutsideKey, Provenance
from ofa_edge.latency.table import TableModel
from ofa_edge.latency.units import UnitTable
from ofa_edge.metrics import spearman
from ofa_edge.space import Genomes, Space
from ofa_edge.targets import load_target

SPACE = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
KEY = Key("a board", "tflite", "1", "fp32", 1)
PROVENANCE = Provenance("measured", "a simulation", (), "pytest")
MS = np.array((0.05, 0.04, 0.2, 0.25, 0.3, 0.5, 0.1, 0.3, 0.2, 0.2, 0.006, 0.07))
PRIOR = Coefficients(MS, 0.1 * np.eye(len(TERMS)) + 0.2, 0.2, Z50, Z90, Lowering(4, 4))


class Device:
    """A device that the analytic form fits badly: its coefficients are others, and each block strays on its own."""

    def __init__(self, seed: int, noise: float = 0.01) -> None:
        self.table, self.rng, self.noise = UnitTable(SPACE), np.random.default_rng(seed), noise
        moved = MS * np.exp(self.rng.multivariate_normal(np.zeros(len(TERMS)), PRIOR.log_covariance))
        self.alone = np.array([float(moved @ amounts(unit.operators, PRIOR.lowering)) for unit in self.table.units])
        self.alone *= np.exp(0.08 * self.rng.standard_normal(len(self.alone)))
        self.alone[-1] = moved[-1]
        self.inside = self.alone * 0.94 * np.exp(0.03 * self.rng.standard_normal(len(self.alone)))
        self.inside[-1] = self.alone[-1]

    def networks(self, genomes: Genomes) -> NDArray[np.float64]:
        ms = self.table.counts(genomes) @ self.inside
        return np.asarray(ms * np.exp(self.noise * self.rng.standard_normal(len(ms))))

    def unit_samples(self, numbers: NDArray[np.intp]) -> list[UnitSample]:
        ms = (self.alone[numbers] + self.alone[-1]) * np.exp(self.noise * self.rng.standard_normal(len(numbers)))
        pairs = zip(numbers, ms, strict=True)
        return [UnitSample(self.table.units[n].name, float(each), self.noise * float(each)) for n, each in pairs]

    def network_samples(self, genomes: Genomes) -> list[NetworkSample]:
        pairs = zip(genomes, self.networks(genomes), strict=True)
        return [NetworkSample(SPACE.subnet(genome), float(ms), self.noise * float(ms)) for genome, ms in pairs]


def fit(device: Device, units: int, networks: int) -> FittedModel:
    numbers = device.rng.choice(len(device.table.units) - 1, units, replace=False)
    genomes = SPACE.sample(device.rng, networks)
    return fit_fitted(SPACE, PRIOR, device.unit_samples(numbers), device.network_samples(genomes), KEY, PROVENANCE)


def errors(device: Device, model: LatencyModel, count: int = 60) -> tuple[NDArray[np.float64], float, float]:
    """Relative errors, Spearman, and the share inside the 90 % interval, on fresh networks."""
    genomes = SPACE.sample(device.rng, count)
    seen, interval = device.networks(genomes), model.predict_many(genomes)
    inside = (seen > interval.low90) & (seen < interval.high90)
    return np.asarray(interval.ms) / seen - 1, spearman(np.asarray(interval.ms), seen), float(np.mean(inside))


@pytest.fixture(scope="module")
def fitted() -> tuple[Device, FittedModel]:
    device = Device(1)
    return device, fit(device, 70, 30)


def test_the_fit_predicts_networks_that_it_has_not_seen(fitted: tuple[Device, FittedModel]) -> None:
    device, model = fitted
    before, _, _ = errors(device, AnalyticModel(SPACE, PRIOR, KEY, PROVENANCE))
    found, ranks, inside = errors(device, model)
    assert np.mean(np.abs(found)) < 0.03 < np.mean(np.abs(before))
    assert np.mean(np.abs(found) < 0.1) >= 0.95
    assert ranks > 0.97
    assert inside >= 0.75
    assert isinstance(model, LatencyModel)


def test_intervals_hold_over_many_devices() -> None:
    inside = []
    for seed in range(6):
        device = Device(10 + seed)
        inside.append(errors(device, fit(device, 60, 12))[2])
    assert 0.8 <= np.mean(inside) <= 0.99


def test_networks_alone_will_do_and_more_of_them_are_better() -> None:
    mape = {}
    for count in (3, 15):
        mape[count] = np.mean([np.mean(np.abs(errors(d, fit(d, 0, count))[0])) for d in map(Device, (2, 3, 4))])
    assert mape[15] < mape[3] < 0.15


def test_blocks_alone_carry_over_to_blocks_that_were_not_measured() -> None:
    gains = []
    for device in map(Device, range(5, 9)):
        model = fit(device, 40, 0)
        strange = [device.table.by_name[name] for name in model.extrapolated if name.startswith("block")]
        assert len(strange) > len(device.table.units) / 2
        units = [device.table.units[number] for number in strange]
        likely = np.array([model.unit_ms("block", unit.operators) for unit in units])
        raw = np.array([float(MS @ amounts(unit.operators, PRIOR.lowering)) for unit in units])
        error = np.median(np.abs(likely / device.alone[strange] - 1))
        assert error < 0.15
        gains.append(error / np.median(np.abs(raw / device.alone[strange] - 1)))
    assert np.median(gains) < 0.5


def test_without_measurements_it_is_the_prior() -> None:
    model = fit_fitted(SPACE, PRIOR, [], [], KEY, PROVENANCE)
    genomes = SPACE.sample(np.random.default_rng(0), 5)
    expected = AnalyticModel(SPACE, PRIOR, KEY, PROVENANCE).predict_many(genomes).ms
    assert np.allclose(model.predict_many(genomes).ms, expected)
    assert len(model.extrapolated) == len(model.unit_names) - 1


def test_the_interval_is_wider_where_nothing_was_measured() -> None:
    device = Device(6)
    samples = device.network_samples(SPACE.sample(device.rng, 15, resolution=20))
    model = fit_fitted(SPACE, PRIOR, [], samples, KEY, PROVENANCE)
    near, far = (model.predict_many(SPACE.sample(device.rng, 30, resolution=each)) for each in (20, 28))
    assert np.median(far.high90 / far.ms) > 1.01 * np.median(near.high90 / near.ms)


def test_parts_add_up_and_one_is_as_many(fitted: tuple[Device, FittedModel]) -> None:
    _, model = fitted
    subnet = SPACE.largest()
    parts = model.parts(subnet)
    assert parts[0].name == "stem"
    assert parts[-1].name == "call"
    assert sum(part.ms for part in parts) == pytest.approx(float(model.predict(subnet).ms))
    genomes = SPACE.genome([SPACE.smallest(), subnet])
    assert model.predict_many(genomes).at(1) == model.predict(subnet)


def test_as_tables_the_sums_are_the_medians(fitted: tuple[Device, FittedModel]) -> None:
    _, model = fitted
    tables = tables_of(model, SPACE)
    table = TableModel(SPACE, tables, KEY, PROVENANCE, 0.1)
    genomes = SPACE.sample(np.random.default_rng(5), 10)
    assert np.allclose(table.predict_many(genomes).ms, model.predict_many(genomes).ms)


def test_a_file_gives_the_same_model_again(fitted: tuple[Device, FittedModel], tmp_path: Path) -> None:
    _, model = fitted
    target = _write(model, tmp_path, SPACE)
    again = load_latency_model(target, SPACE, "tflite", "fp32")
    genomes = SPACE.sample(np.random.default_rng(3), 20)
    assert np.allclose(again.predict_many(genomes).high90, model.predict_many(genomes).high90)
    with pytest.raises(SpaceMismatchError, match="another search space"):
        load_latency_model(target, dataclasses.replace(SPACE, num_classes=11), "tflite", "fp32")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("units", 0, "ms"), -1.0, "units.0.ms"),
        (("networks", 0, "sd"), -0.1, "networks.0.sd"),
        (("reach50",), 9.0, "would not nest"),
        (("widths", "reach"), 0.0, "widths.reach"),
        (("units", 0, "unit"), "block-of-another-space", "no unit 'block-of-another-space'"),
    ],
)
def test_a_damaged_file_is_refused(
    fitted: tuple[Device, FittedModel], tmp_path: Path, path: tuple[str | int, ...], value: object, words: str
) -> None:
    target = _write(fitted[1], tmp_path, SPACE)
    content = json.loads(target.latency_path.read_text())
    place = content["models"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    target.latency_path.write_text(json.dumps(content))
    with pytest.raises(ConfigError) as error:
        load_latency_model(target, SPACE, "tflite", "fp32")
    assert words in str(error.value)


def test_measurements_that_cannot_be_are_refused() -> None:
    sample = NetworkSample(SPACE.largest(), float("nan"), 0.1)
    with pytest.raises(ConfigError, match="impossible latency"):
        fit_fitted(SPACE, PRIOR, [], [sample], KEY, PROVENANCE)


def test_the_prior_of_a_model_outside_its_key_carries_the_doubt(fitted: tuple[Device, FittedModel]) -> None:
    analytic = AnalyticModel(SPACE, PRIOR, KEY, PROVENANCE)
    assert prior_of(analytic) is PRIOR
    assert prior_of(fitted[1]) is PRIOR
    doubted = prior_of(OutsideKey(analytic, ("threads",), 0.7)).log_covariance
    assert np.allclose(doubted - PRIOR.log_covariance, 0.49)


def _write(model: FittedModel, folder: Path, space: Space):
    host = load_target("host")
    latency = folder / "board.latency.json"
    facts = FittedFacts.of(model).model_dump(mode="json")
    latency.write_text(json.dumps({"schema": 2, "kind": "fitted", "space": space.hash, "models": [facts]}))
    text = host.path.read_text().replace("host.latency.json", latency.name).replace("The machine at hand", "a board")
    (folder / "board.toml").write_text(text)
    target = load_target(str(folder / "board.toml"))
    assert read_latency_file(target.latency_path).kind == "fitted"
    return target
