"""What every method searches on: one space, one accuracy predictor, one latency table, in each method's own form.

The predictor has the published shape (tutorial form: 128 inputs, three hidden layers of 400). A person who has the
published files gives them; otherwise it is fitted to samples of a made-up accuracy, and the table holds an analytic
model's milliseconds of each block, each up to 10 % off as measured entries are.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from landscapes import accuracy as made_up_accuracy
from reference_package import reference_package

from ofa_edge.latency.analytic import AnalyticModel
from ofa_edge.latency.entries import Entry
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.lookup_yaml import read_tables
from ofa_edge.latency.protocol import Key, Provenance
from ofa_edge.latency.table import TableModel
from ofa_edge.latency.table_keys import all_parts
from ofa_edge.search.published_predictor import PublishedPredictor
from ofa_edge.space import Genomes, Space
from ofa_edge.supernet.importing.reading import read_checkpoint
from ofa_edge.targets import load_target

SPACE = Space("w1.2", 1.2, resolutions=(160, 176, 192, 208, 224))  # the one that the reference's search is written for
LARGEST_MS = 60.0  # of the made table, so that budgets lie where the reference's search takes them: 15..60
_KEY = Key("made up", "tflite", "none", "fp32", 1)


@dataclass(frozen=True)
class Ground:
    """One problem in two forms.

    Attributes:
        predictor: ours.
        latency: ours.
        reference: the reference's `predict_accuracy` of a list of samples.
        estimators: the reference's latency estimators by resolution.
        source: where predictor and table come from, in words.
    """

    predictor: PublishedPredictor
    latency: TableModel
    reference: Any
    estimators: dict[int, Any]
    source: str

    def ms(self, genomes: Genomes) -> np.ndarray:
        """Milliseconds of genomes."""
        return np.asarray(self.latency.predict_many(genomes).ms)


def make_ground(predictor: Path | None, tables: list[Path]) -> Ground:
    """The published predictor and tables where they are given, made ones otherwise."""
    import torch

    package = reference_package()
    state = _read(predictor) if predictor else _fitted()
    entries = read_tables(tables, SPACE) if tables else _made_tables()
    words = [
        "the published predictor" if predictor else "a predictor of the published shape, fitted to 4,000 made-up pairs",
        "published tables" if tables else "a made-up table of the published form",
    ]
    model = package.tutorial.AccuracyPredictor(pretrained=False, device="cpu")
    model.model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    latency = TableModel(SPACE, entries, _KEY, Provenance("measured", "benchmark", (), ""), 0.05)
    return Ground(
        PublishedPredictor.from_state(state, SPACE), latency, model, _estimators(entries), " and ".join(words)
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in read_checkpoint(path).tensors.items()}


def _estimators(entries: dict[int, dict[str, Entry]]) -> dict[int, Any]:
    """The reference's estimators over the same numbers; its constructor reads files with a call that PyYAML 6 lacks."""
    import importlib

    module = importlib.import_module("ofa.tutorial.latency_table")
    found = {}
    for resolution, table in entries.items():
        found[resolution] = estimator = object.__new__(module.LatencyEstimator)
        estimator.lut = {key: {"mean": entry.mean} for key, entry in table.items()}
    return found


def _made_tables() -> dict[int, dict[str, Entry]]:
    model = load_latency_model(load_target("pixel-4"), SPACE, "tflite", "fp32")
    assert isinstance(model, AnalyticModel)
    largest = float(model.predict(SPACE.largest()).ms)
    rng = np.random.default_rng(0)
    return {
        resolution: {
            part.key: Entry(
                float(model.coefficients.predict(part.operators, whole=False).ms)
                * LARGEST_MS
                / largest
                * rng.uniform(0.9, 1.1)
            )
            for part in all_parts(SPACE, resolution)
        }
        for resolution in SPACE.resolutions
    }


def _fitted() -> dict[str, np.ndarray]:
    """Weights of the tutorial form, fitted with the reference author's settings (issue 30 of its repository)."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    genomes = SPACE.sample(rng, 4000)
    hot = SPACE.one_hot(genomes)
    inputs = np.zeros((len(genomes), 128), dtype=np.float32)
    inputs[:, :120], inputs[:, 123:] = hot[:, :120], hot[:, 120:]  # sizes 112..224: ours are the last five
    targets = torch.from_numpy(made_up_accuracy(SPACE)(genomes) + rng.normal(0, 0.002, len(genomes))).float()
    sizes = (128, 400, 400, 400)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(400, 1))
    nn.init.constant_(net[-1].bias, float(targets.mean()))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    x = torch.from_numpy(inputs)
    for _ in range(60):
        for rows in torch.randperm(len(x)).split(500):
            optimiser.zero_grad()
            nn.functional.mse_loss(net(x[rows])[:, 0], targets[rows]).backward()
            optimiser.step()
    return {name: value.detach().numpy() for name, value in net.state_dict().items()}


def efficiency(ground: Ground) -> SimpleNamespace:
    """What the reference's search asks for a sample's latency."""
    return SimpleNamespace(
        predict_efficiency=lambda sample: ground.estimators[sample["r"][0]].predict_network_latency_given_spec(sample)
    )


def genomes_of(samples: list[dict[str, Any]]) -> Genomes:
    """The reference's samples as canonical genomes."""
    return SPACE.genome([SPACE.from_config(sample) for sample in samples])
