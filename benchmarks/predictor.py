"""Which regressor predicts accuracy best from a few hundred noisy pairs?

    python benchmarks/predictor.py [--pairs PAIRS.json --weights SUPERNET.safetensors] [--seeds 5]

Without pairs, accuracies are made up: a saturating sum over blocks, the same with interactions of a random network
added, and one that is nearly a function of MACs. Noise of 0.15 and 0.3 points is added to the pairs; errors are against
the truth on 2,000 other subnets. With pairs measured by `ofa-edge train`, errors are against held-out pairs (8 folds),
so they hold the noise of the measurements too. RMSE in points of top-1.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))  # the made-up landscapes of the tests
from landscapes import FASHION, gain_table

from ofa_edge.cost import macs_table
from ofa_edge.search.archive import Floats, Score
from ofa_edge.search.features import Features
from ofa_edge.search.regression import fit_linear
from ofa_edge.space import Genomes, Space

Fit = Callable[[Space, Genomes, Floats], Score]


def ours(space: Space, genomes: Genomes, target: Floats) -> Score:
    """What `AccuracyPredictor` does."""
    features = Features(space)
    model = fit_linear(features(genomes), target, features.detailed)
    return features.linear(model.weights, model.bias)


def ridge(space: Space, genomes: Genomes, target: Floats) -> Score:
    """One prior for all one-hots, no summaries."""
    model = fit_linear(space.one_hot(genomes).astype(float), target, 0)
    return lambda genomes: space.one_hot(genomes) @ model.weights + model.bias


def macs_only(space: Space, genomes: Genomes, target: Floats) -> Score:
    """A parabola over log MACs."""
    table = macs_table(space)
    parabola = np.polynomial.Polynomial.fit(np.log(table(genomes)[:, 0]), target, 2)
    return lambda genomes: np.asarray(parabola(np.log(table(genomes)[:, 0])))


def gaussian_process(space: Space, genomes: Genomes, target: Floats) -> Score:
    """Linear kernel plus squared exponential over all features; widths and noise by evidence on a grid."""
    features = Features(space)
    inputs = features(genomes)
    mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9) * np.sqrt(inputs.shape[1])
    scaled = (inputs - mean) / spread
    level, scale = target.mean(), max(target.std(), 1e-12)
    wanted = (target - level) / scale

    def kernel(a: Floats, b: Floats, linear: float, smooth: float, length: float) -> Floats:
        distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return linear * a @ b.T + smooth * np.exp(-distance / (2 * length**2))

    best = (np.inf, (0.0, 0.0, 1.0), np.zeros(len(target)))
    for linear, smooth, length, noise in itertools.product((0.1, 1, 3), (0, 0.3, 1, 3), (0.5, 1, 2), (0.03, 0.1, 0.4)):
        root = np.linalg.cholesky(kernel(scaled, scaled, linear, smooth, length) + noise * np.eye(len(target)))
        dual = np.linalg.solve(root.T, np.linalg.solve(root, wanted))
        cost = 0.5 * wanted @ dual + np.log(np.diag(root)).sum()
        if cost < best[0]:
            best = (cost, (linear, smooth, length), dual)
    return lambda genomes: level + scale * kernel((features(genomes) - mean) / spread, scaled, *best[1]) @ best[2]


def mlp(space: Space, genomes: Genomes, target: Floats) -> Score:
    """Mean of three networks of two layers of 64 on the one-hots, AdamW with weight decay."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    inputs = torch.from_numpy(space.one_hot(genomes))
    level, scale = target.mean(), max(target.std(), 1e-12)
    wanted = torch.from_numpy((target - level) / scale).float()[:, None]
    nets = []
    for seed in range(3):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(inputs.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
        optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.3)
        for _ in range(120):
            optimiser.zero_grad()
            nn.functional.mse_loss(net(inputs), wanted).backward()
            optimiser.step()
        nets.append(net)

    def predict(genomes: Genomes) -> Floats:
        with torch.inference_mode():
            rows = torch.from_numpy(space.one_hot(genomes))
            return level + scale * np.mean([net(rows)[:, 0].numpy() for net in nets], axis=0)

    return predict


METHODS: dict[str, Fit] = {
    "parabola over log MACs": macs_only,
    "ridge on one-hots": ridge,
    "MLP 64-64, three of them": mlp,
    "Gaussian process": gaussian_process,
    "two priors (ours)": ours,
}


def made_up(kind: str, seed: int) -> Score:
    """Top-1 around 0.918 with a spread of about half a point."""
    rng = np.random.default_rng(1000 + seed)
    gains, macs = gain_table(FASHION, seed), macs_table(FASHION)
    sample = gains(FASHION.sample(rng, 3000))[:, 0]
    first = rng.normal(0, 0.25, (FASHION.one_hot(FASHION.sample(rng, 1)).shape[1], 32))
    second = rng.normal(0, 1 / 6, 32)

    def accuracy(genomes: Genomes) -> Floats:
        capacity = (gains(genomes)[:, 0] - sample.mean()) / sample.std()
        if kind == "MACs":
            return 0.80 + 0.0083 * np.log(macs(genomes)[:, 0]) + 0.001 * np.sin(3 * capacity)
        result = 0.918 + 0.006 * np.tanh(0.7 * capacity) + 0.002 * capacity
        if kind == "interactions":
            result = result + 0.0012 * np.maximum(FASHION.one_hot(genomes) @ first, 0) @ second
        return result

    return accuracy


def compare_made_up(seeds: int) -> None:
    """One row for each kind, number of pairs, noise and method."""
    for kind, count, noise in itertools.product(("additive", "interactions", "MACs"), (150, 400), (0.0015, 0.003)):
        errors: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
        for seed in range(seeds):
            truth, rng = made_up(kind, seed), np.random.default_rng(seed)
            genomes, others = FASHION.sample(rng, count), FASHION.sample(rng, 2000)
            measured = truth(genomes) + rng.normal(0, noise, count)
            for method, fit in METHODS.items():
                errors[method].append(_error(fit(FASHION, genomes, measured)(others), truth(others)))
        for method, values in errors.items():
            rmse, tau = np.mean(values, axis=0)
            print(f"| {kind} | {count} | {100 * noise:.2f} | {method} | {rmse:.3f} | {tau:.3f} |", flush=True)


def compare_measured(pairs_file: Path, weights: Path) -> None:
    """One row for each method, over held-out measured pairs."""
    from ofa_edge.supernet.header import read_weights_file
    from ofa_edge.training.pairs import read_pairs

    space = read_weights_file(weights).space
    pairs = read_pairs(pairs_file, space)
    genomes, measured = space.genome(pair.subnet for pair in pairs), np.array([pair.top1 for pair in pairs])
    fold = np.random.default_rng(0).permutation(len(pairs)) % 8
    for method, fit in METHODS.items():
        predicted = np.empty(len(pairs))
        for index in range(8):
            predicted[fold == index] = fit(space, genomes[fold != index], measured[fold != index])(
                genomes[fold == index]
            )
        rmse, tau = _error(predicted, measured)
        print(f"| measured | {len(pairs)} | - | {method} | {rmse:.3f} | {tau:.3f} |", flush=True)


def _error(predicted: Floats, truth: Floats) -> tuple[float, float]:
    return 100 * float(np.sqrt(np.mean((predicted - truth) ** 2))), float(kendalltau(predicted, truth).statistic)


def main() -> None:
    """Print the whole table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    print("| accuracy | pairs | noise, points | method | RMSE, points | Kendall tau |\n|---|---|---|---|---|---|")
    if arguments.pairs:
        compare_measured(arguments.pairs, arguments.weights)
    else:
        compare_made_up(arguments.seeds)


if __name__ == "__main__":
    main()
