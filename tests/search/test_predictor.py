"""The accuracy predictor on made-up measurements, and its file."""

import json
from pathlib import Path

import numpy as np
import pytest
from landscapes import FASHION, TINY, accuracy, every_genome, latency
from safetensors.numpy import save_file

from ofa_edge.errors import DataError, SpaceMismatchError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.predictor import FORMAT, AccuracyPredictor
from ofa_edge.space import Genomes, Space

NOISE = 0.002


def truth(genomes: Genomes) -> np.ndarray:
    """Top-1 between about 0.905 and 0.935, with a spread of half a point."""
    return 0.92 + 0.25 * (accuracy(FASHION)(genomes) - 0.925)


def pairs(count: int, seed: int = 0, noise: float = NOISE) -> tuple[Genomes, np.ndarray]:
    rng = np.random.default_rng(seed)
    genomes = FASHION.sample(rng, count)
    return genomes, truth(genomes) + rng.normal(0, noise, count)


@pytest.fixture(scope="module")
def predictor() -> AccuracyPredictor:
    return AccuracyPredictor.fit(FASHION, *pairs(200))


def test_it_ranks_unseen_subnets(predictor: AccuracyPredictor) -> None:
    genomes = FASHION.sample(np.random.default_rng(9), 2000)
    error = predictor.predict(genomes) - truth(genomes)
    rmse = np.sqrt(np.mean(error**2))
    assert rmse < 0.6 * truth(genomes).std()
    assert np.corrcoef(predictor.predict(genomes), truth(genomes))[0, 1] > 0.8


def test_the_error_estimate_is_that_of_new_measurements(predictor: AccuracyPredictor) -> None:
    genomes, measured = pairs(3000, seed=9)
    rmse = np.sqrt(np.mean((predictor.predict(genomes) - measured) ** 2))
    assert predictor.rmse == pytest.approx(rmse, rel=0.2)
    assert predictor.held_out.pairs == 200
    assert 0.2 < predictor.held_out.kendall < predictor.held_out.spearman < 1


def test_more_pairs_are_better() -> None:
    genomes = FASHION.sample(np.random.default_rng(9), 2000)

    def error(count: int) -> float:
        fitted = AccuracyPredictor.fit(FASHION, *pairs(count, seed=4))
        return float(np.sqrt(np.mean((fitted.predict(genomes) - truth(genomes)) ** 2)))

    assert error(600) < 0.8 * error(60)


def test_the_seed_moves_the_estimate_only(predictor: AccuracyPredictor) -> None:
    other = AccuracyPredictor.fit(FASHION, *pairs(200), seed=1)
    assert (other.weights == predictor.weights).all()
    assert other.rmse != predictor.rmse
    assert other.rmse == pytest.approx(predictor.rmse, rel=0.1)


def test_no_order_is_no_correlation() -> None:
    genomes, _ = pairs(60)
    flat = AccuracyPredictor.fit(FASHION, genomes, np.full(60, 0.9))
    assert (flat.rmse, flat.held_out.kendall, flat.held_out.spearman) == (pytest.approx(0.0, abs=1e-9), 0.0, 0.0)
    assert flat.predict(genomes) == pytest.approx(0.9)


def test_searching_with_it_finds_truly_good_subnets(predictor: AccuracyPredictor) -> None:
    genomes = FASHION.sample(np.random.default_rng(2), 3000)
    times = latency(FASHION)(genomes)
    budget = float(np.median(times))
    options = SearchOptions(evaluations=4000)
    found = search_front(FASHION, latency(FASHION), predictor.predict, focus=(budget,), options=options)
    chosen = truth(FASHION.genome([found.best(budget).subnet]))[0]
    assert chosen > truth(genomes[times <= budget]).max()  # better than the best of 1,500 random ones


# -- bad pairs -----------------------------------------------------------------------------------------------------


def test_bad_pairs_are_refused() -> None:
    genomes, measured = pairs(60)
    for wrong_genomes, wrong_accuracy, message in [
        (genomes[:10], measured[:10], "at least 24"),
        (genomes, measured * 100, "fractions of 1"),
        (genomes, np.where(measured > 0.92, np.nan, measured), "fractions of 1"),
        (genomes[:50], measured, "shape"),
        (TINY.sample(np.random.default_rng(0), 60), measured, "shape"),
    ]:
        with pytest.raises(DataError, match=message):
            AccuracyPredictor.fit(FASHION, wrong_genomes, wrong_accuracy)


# -- files ---------------------------------------------------------------------------------------------------------


def test_round_trip(predictor: AccuracyPredictor, tmp_path: Path) -> None:
    file = tmp_path / "predictor.safetensors"
    digest = predictor.save(file)
    loaded = AccuracyPredictor.load(file, FASHION)
    genomes = FASHION.sample(np.random.default_rng(3), 100)
    assert (loaded.predict(genomes) == predictor.predict(genomes)).all()
    assert loaded.held_out == predictor.held_out
    assert loaded.summary() == json.loads(json.dumps(predictor.summary()))
    assert digest == sha256_file(file) == predictor.save(tmp_path / "again")
    assert file.stat().st_size < 4000


def test_another_space_is_refused(predictor: AccuracyPredictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "p")
    other = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 32))  # same shapes, another resolution
    with pytest.raises(SpaceMismatchError, match="another search space") as caught:
        AccuracyPredictor.load(tmp_path / "p", other)
    assert FASHION.hash[:12] in caught.value.why
    assert other.hash[:12] in caught.value.why


def test_a_damaged_file_is_refused(predictor: AccuracyPredictor, tmp_path: Path) -> None:
    file = tmp_path / "p"
    predictor.save(file)
    good = file.read_bytes()
    for data in (b"", b"junk" * 100, good[:-8], good[: len(good) // 2], b"\x80\x04K\x01."):  # the last is a pickle
        file.write_bytes(data)
        with pytest.raises(WeightsError, match="predictor"):
            AccuracyPredictor.load(file, FASHION)
    with pytest.raises(WeightsError, match="missing"):
        AccuracyPredictor.load(tmp_path / "nothing", FASHION)


def test_a_file_of_another_shape_or_kind_is_refused(predictor: AccuracyPredictor, tmp_path: Path) -> None:
    file = tmp_path / "p"
    facts = {"space_hash": FASHION.hash, "space": "fashion", "held_out": predictor.summary()}
    bias = np.zeros(1)

    def write(weights: np.ndarray, header: dict[str, str]) -> None:
        save_file({"weights": weights, "bias": bias}, file, header)

    header = {FORMAT: json.dumps(facts)}
    write(predictor.weights, header)
    AccuracyPredictor.load(file, FASHION)
    lacking = {FORMAT: json.dumps({"space_hash": FASHION.hash})}
    strange = {FORMAT: json.dumps({**facts, "held_out": {**predictor.summary(), "rmse": "small"}})}
    for weights, wrong, message in [
        (predictor.weights[:-1], header, "damaged"),
        (predictor.weights * np.nan, header, "damaged"),
        (predictor.weights.astype(np.float32), header, "damaged"),
        (predictor.weights, {"format": "other"}, "not an accuracy predictor"),
        (predictor.weights, lacking, "damaged"),
        (predictor.weights, strange, "damaged"),
        (predictor.weights, {FORMAT: "{"}, "damaged"),
        (predictor.weights, {FORMAT: "[]"}, "damaged"),
    ]:
        write(weights, wrong)
        with pytest.raises(WeightsError, match=message):
            AccuracyPredictor.load(file, FASHION)


def test_small_spaces_work_too() -> None:
    genomes = every_genome(TINY)[::60]
    fitted = AccuracyPredictor.fit(TINY, genomes, accuracy(TINY)(genomes))
    assert fitted.rmse < 0.003
