"""The reference's predictors: both forms against a plain reading of their inputs, and files of our own."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ofa_edge.errors import ConfigError, SpaceMismatchError, WeightsError
from ofa_edge.files import sha256_file
from ofa_edge.search.load_predictor import load_predictor
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.published_predictor import PublishedPredictor
from ofa_edge.space import Space, Subnet

SIZES = (128, 160, 192, 224)
SPACES = {
    "mobile": Space("mobile", 1.2, resolutions=SIZES),
    "proxyless": Space.of("ofa_proxyless", "proxyless", width_mult=1.3, resolutions=SIZES),
    "resnet": Space.of("ofa_resnet", "resnet", resolutions=SIZES),
}
INPUTS = {"mobile": 120, "proxyless": 126, "resnet": 74}
FAMILIES = pytest.mark.parametrize("family", SPACES)


def state_of(form: str, inputs: int, hidden: int = 400, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    names = [("0", "0"), ("2", "2"), ("4", "4"), ("6", "6")]
    if form == "nas":
        names = [(f"layers.{layer}.0", f"layers.{layer}.0") for layer in range(3)] + [("layers.3", "base_acc")]
    state = {}
    for (weights, bias), (inside, outside) in zip(
        names, ((inputs, hidden), (hidden, hidden), (hidden, hidden), (hidden, 1)), strict=True
    ):
        state[f"{weights}.weight"] = rng.normal(0, inside**-0.5, (outside, inside)).astype(np.float32)
        name = bias if bias == "base_acc" else f"{bias}.bias"
        state[name] = rng.normal(0.5, 0.1, outside).astype(np.float32)
    return state


def run(state: dict[str, Any], form: str, features: np.ndarray) -> float:
    """The network in float64, layer by layer."""
    x = features.astype(np.float64)
    for layer in range(3):
        name = f"layers.{layer}.0" if form == "nas" else f"{2 * layer}"
        x = np.maximum(state[f"{name}.weight"].astype(np.float64) @ x + state[f"{name}.bias"], 0)
    last, bias = ("layers.3.weight", "base_acc") if form == "nas" else ("6.weight", "6.bias")
    return float((state[last].astype(np.float64) @ x + state[bias])[0])


def plain_blocks(space: Space, subnet: Subnet) -> list[float]:
    """The inputs of one network, read off its stages one choice at a time."""

    def hot(value: object, choices: Iterable[object]) -> list[float]:
        return [float(value == choice) for choice in choices]

    if space.width_ratios:
        inputs = hot(len(subnet.stages[0]), (0, 1))
        for ratio in subnet.widths:
            inputs += hot(ratio, space.width_ratios)
        for pairs, depths in zip(subnet.stages[1:], space.stage_depths[1:], strict=True):
            for position in range(depths[-1]):
                inputs += hot(pairs[position][1] if position < len(pairs) else None, space.expands)
        return inputs
    kernels, expands = [], []
    for pairs, depths in zip(subnet.stages, space.stage_depths, strict=True):
        for position in range(depths[-1]):
            kernel, expand = pairs[position] if position < len(pairs) else (None, None)
            kernels += hot(kernel, space.kernels)
            expands += hot(expand, space.expands)
    return kernels + expands


@FAMILIES
def test_the_nas_form(family: str) -> None:
    space, state = SPACES[family], state_of("nas", INPUTS[family] + 4)
    predictor = PublishedPredictor.from_state(state, space)
    assert (predictor.form, predictor.sizes, predictor.interpolated) == ("nas", SIZES, ())
    genomes = space.sample(np.random.default_rng(1), 50)
    found = predictor.predict(genomes)
    for row, value in zip(genomes, found, strict=True):
        subnet = space.subnet(row)
        size = [float(subnet.resolution == each) for each in SIZES]
        assert value == pytest.approx(run(state, "nas", np.array(size + plain_blocks(space, subnet))), abs=1e-6)
    assert np.ptp(found) > 1e-3


def test_the_tutorial_form_and_a_size_between_two() -> None:
    space, state = Space("mobile", 1.2, resolutions=(112, 120, 128, 224)), state_of("tutorial", 128)
    predictor = PublishedPredictor.from_state(state, space)
    assert (predictor.form, predictor.sizes) == ("tutorial", (112, 128, 144, 160, 176, 192, 208, 224))
    assert predictor.interpolated == (120,)
    genomes = space.sample(np.random.default_rng(2), 60)

    def at(subnet: Subnet, size: int) -> float:
        sizes = [float(size == each) for each in predictor.sizes]
        return run(state, "tutorial", np.array(plain_blocks(space, subnet) + sizes))

    for row, value in zip(genomes, predictor.predict(genomes), strict=True):
        subnet = space.subnet(row)
        size = subnet.resolution
        wanted = (at(subnet, 112) + at(subnet, 128)) / 2 if size == 120 else at(subnet, size)
        assert value == pytest.approx(wanted, abs=1e-6)


def test_its_error_is_published_not_measured() -> None:
    predictor = PublishedPredictor.from_state(state_of("nas", 124), SPACES["mobile"])
    assert (predictor.rmse, predictor.rmse_source) == (0.0021, "published")


def test_round_trip_and_what_search_reads(tmp_path: Path) -> None:
    space = SPACES["mobile"]
    predictor = PublishedPredictor.from_state(state_of("nas", 124), space)
    digest = predictor.save(tmp_path / "p")
    assert digest == sha256_file(tmp_path / "p") == predictor.save(tmp_path / "again")
    loaded = load_predictor(tmp_path / "p", space)
    assert isinstance(loaded, PublishedPredictor)
    genomes = space.sample(np.random.default_rng(3), 20)
    assert (loaded.predict(genomes) == predictor.predict(genomes)).all()
    fitted = AccuracyPredictor.fit(space, space.sample(np.random.default_rng(4), 30), np.linspace(0.5, 0.9, 30))
    fitted.save(tmp_path / "fitted")
    assert isinstance(load_predictor(tmp_path / "fitted", space), AccuracyPredictor)
    assert fitted.rmse_source == "held-out"


def test_another_space_is_refused(tmp_path: Path) -> None:
    PublishedPredictor.from_state(state_of("nas", 124), SPACES["mobile"]).save(tmp_path / "p")
    with pytest.raises(SpaceMismatchError):
        load_predictor(tmp_path / "p", dataclasses.replace(SPACES["mobile"], width_mult=1.0))


def test_damaged_files(tmp_path: Path) -> None:
    PublishedPredictor.from_state(state_of("nas", 124), SPACES["mobile"]).save(tmp_path / "p")
    whole = (tmp_path / "p").read_bytes()
    for damaged in (b"", whole[:50], whole[:-1]):
        (tmp_path / "p").write_bytes(damaged)
        with pytest.raises(WeightsError):
            load_predictor(tmp_path / "p", SPACES["mobile"])
    with pytest.raises(WeightsError):
        load_predictor(tmp_path / "nothing", SPACES["mobile"])


def test_eight_sizes_are_the_notebooks() -> None:
    space = SPACES["resnet"]
    predictor = PublishedPredictor.from_state(state_of("nas", 82), dataclasses.replace(space, resolutions=(192, 208)))
    assert predictor.sizes == (128, 144, 160, 176, 192, 224, 240, 256)
    assert predictor.interpolated == (208,)


def test_sizes_that_the_file_does_not_say() -> None:
    state = state_of("nas", 123)
    with pytest.raises(ConfigError, match="sizes are not known") as caught:
        PublishedPredictor.from_state(state, SPACES["mobile"])
    assert "--predictor-sizes" in caught.value.hint
    predictor = PublishedPredictor.from_state(state, SPACES["mobile"], (128, 176, 224))
    assert predictor.interpolated == (160, 192)


def test_sizes_outside_what_it_was_fitted_to() -> None:
    space = dataclasses.replace(SPACES["mobile"], resolutions=(96, 128))
    with pytest.raises(ConfigError, match="does not know") as caught:
        PublishedPredictor.from_state(state_of("nas", 124), space)
    assert "[96]" in caught.value.why


def without(state: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"a": np.zeros(3)},
        without(state_of("nas", 124), "base_acc"),
        {**state_of("nas", 124), "layers.3.bias": np.zeros(1)},
        {**state_of("nas", 124), "layers.1.0.bias": np.zeros(399)},
        {**state_of("nas", 124), "layers.0.0.bias": np.full(400, np.nan)},
        {**state_of("tutorial", 128), "6.weight": np.zeros((2, 400))},
        state_of("tutorial", 127),
        state_of("tutorial", 134),
        state_of("nas", 100),
    ],
)
def test_other_files_are_refused(state: dict[str, Any]) -> None:
    with pytest.raises(WeightsError):
        PublishedPredictor.from_state(state, SPACES["mobile"])


def test_a_resnet_has_no_tutorial_form() -> None:
    with pytest.raises(WeightsError, match="another network"):
        PublishedPredictor.from_state(state_of("tutorial", 128), SPACES["resnet"])
