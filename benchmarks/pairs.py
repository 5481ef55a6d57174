"""How many pairs does an accuracy predictor need, and measured on how many images?

    python benchmarks/pairs.py measure --run FOLDER/ofa-edge-0 [--times 0.75]
    python benchmarks/pairs.py table > docs/benchmarks/pairs.md

`measure` takes a supernet that `benchmarks/recipes.py run --recipe ofa-edge` trained (`--times` as there), measures a
pool of subnets on held-out images, with batch norms calibrated on fewer and more images, and fits a predictor to parts
of what it measured. Each predictor is judged by what it never saw: other subnets on the test set, and the subnets that
a search with it chooses at three budgets. Seconds are CPU seconds of one core for the pairs that it was fitted to.
"""

import argparse
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recipes import DEPLOYMENTS, finished_run, found_at, recipe_at_equal_cost
from scipy.stats import kendalltau

from ofa_edge.data.dataset import Images
from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.files import write_json
from ofa_edge.search.features import Features
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import extract_calibrated, logits, measure_top1, subnet_logits
from ofa_edge.supernet.network import Supernet
from ofa_edge.training.pairs import sample_subnets

RECORDED = Path(__file__).parent / "pairs_results.json"
POOL, OTHERS = 100, 60  # subnets that predictors are fitted to, and that they are judged by
COUNTS, IMAGES, CALIBRATION = (24, 40, 60, 100), (1000, 2500, 5000), (500, 2000)
DRAWS = 8  # random parts of the pool for each number of pairs below all of it

Bits = NDArray[np.bool_]


class Truth:
    """Top-1 of subnets on the test set, each measured once."""

    def __init__(self, net: Supernet, calibration: Images, test: Images, sizes: Preprocessing) -> None:
        self._measured = (net, calibration, test, sizes)
        self._known: dict[Subnet, float] = {}

    def __call__(self, subnet: Subnet) -> float:
        """Top-1, 0..1."""
        net, calibration, test, sizes = self._measured
        if subnet not in self._known:
            self._known[subnet] = measure_top1(net, subnet, calibration, test, sizes)
        return self._known[subnet]


def right_answers(
    net: Supernet, pool: list[Subnet], calibration: Images, images: Images, sizes: Preprocessing
) -> tuple[Bits, float]:
    """Which images each subnet of a pool answers rightly: [subnets, images]; CPU seconds of all."""
    started = time.process_time()
    rows = [subnet_logits(net, subnet, calibration, images, sizes).argmax(1) == images.labels for subnet in pool]
    return np.array(rows), time.process_time() - started


def chosen_by_design(space: Space, pool: list[Subnet], count: int) -> list[int]:
    """Pairs whose features tell most together: greedily the largest growth of their determinant (D-optimality)."""
    rows = Features(space)(space.genome(pool))
    spread = rows.std(axis=0)
    rows = (rows - rows.mean(axis=0))[:, spread > 1e-9] / spread[spread > 1e-9]
    inverse, chosen = np.eye(rows.shape[1]), []
    for _ in range(count):
        gain = np.einsum("nf,fg,ng->n", rows, inverse, rows)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        along = inverse @ rows[chosen[-1]]
        inverse -= np.outer(along, along) / (1 + rows[chosen[-1]] @ along)
    return chosen


def judge(predictor: AccuracyPredictor, others: list[Subnet], truth: Truth) -> tuple[float, float]:
    """RMSE in points, without a common shift (held-out and test images differ), and Kendall's tau on other subnets."""
    predicted = predictor.predict(predictor.space.genome(others))
    wanted = np.array([truth(subnet) for subnet in others])
    return 100 * float(np.std(predicted - wanted)), float(kendalltau(predicted, wanted).statistic)


def searched(predictor: AccuracyPredictor, truth: Truth) -> list[float]:
    """Test top-1 of what a search finds at each budget."""
    return [truth(found_at(predictor.space, predictor, share)) for share in DEPLOYMENTS]


def measure(folder: Path, times: float) -> dict[str, Any]:
    """All figures of the page."""
    begun, data = time.process_time(), load_fashion_mnist()
    recipe = recipe_at_equal_cost("ofa-edge", int(folder.name.rsplit("-", 1)[1]), len(data.train) - 5000, times)
    train, held_out = data.split(recipe.data.held_out, recipe.data.split_seed)
    space = recipe.make_space(10)
    net, sizes = finished_run(recipe, space, train, folder).net, recipe.preprocessing(space.resolutions[-1])
    truth = Truth(net, train.sample(CALIBRATION[-1]), data.test, sizes)
    pool = sample_subnets(space, POOL, seed=1)
    rng = np.random.default_rng(5)
    others = [space.subnet(row) for row in space.sample(rng, OTHERS)]
    started = time.process_time()
    for subnet in pool[:10]:
        logits(extract_calibrated(net, subnet, train.sample(CALIBRATION[-1]), sizes), held_out, sizes)  # not folded
    plain = (time.process_time() - started) / 10
    rows: list[dict[str, Any]] = []
    for calibration in CALIBRATION:
        shared, half = train.sample(calibration), held_out.take(np.arange(IMAGES[0]))
        right, seconds = right_answers(net, pool, shared, held_out, sizes)
        _, few = right_answers(net, pool[:20], shared, half, sizes)
        an_image = (seconds / POOL - few / 20) / (IMAGES[-1] - IMAGES[0])
        for count, images in itertools.product(COUNTS, IMAGES):
            parts = {"random": [rng.permutation(POOL)[:count] for _ in range(DRAWS if count < POOL else 1)]}
            if count < POOL:
                parts["by design"] = [np.array(chosen_by_design(space, pool, count))]
            for how, draws in parts.items():
                fits = [
                    AccuracyPredictor.fit(space, space.genome([pool[i] for i in draw]), right[draw, :images].mean(1))
                    for draw in draws
                ]
                judged = np.array([judge(fit, others, truth) for fit in fits])
                rows.append(
                    {
                        "pairs": count,
                        "chosen": how if count < POOL else "all",
                        "images": images,
                        "calibration": calibration,
                        "seconds": round(count * (seconds / POOL - an_image * (IMAGES[-1] - images)), 1),
                        "rmse": round(float(judged[:, 0].mean()), 3),
                        "tau": round(float(judged[:, 1].mean()), 3),
                        "found": np.mean([searched(fit, truth) for fit in fits[:2]], axis=0).round(4).tolist(),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    spread = 100 * float(np.std([truth(subnet) for subnet in others]))
    took = round(time.process_time() - begun, 1)
    facts = {"times": times, "spread": round(spread, 3), "plain_seconds": round(plain, 3), "cpu_seconds": took}
    return {**facts, "rows": rows}


HEAD = """# How many pairs, measured on how many images

Printed by `python benchmarks/pairs.py table` from benchmarks/pairs_results.json; `measure` makes that again (about
{minutes:.0f} minutes of one core). A supernet of docs/results.md ({times:g} times its cost, Fashion-MNIST at 16 px):
subnets of a pool of {pool} are measured on held-out images after calibration on training images. Each predictor is
judged by {others} other subnets on the 10,000 test images, which spread by {spread:.2f} points (standard deviation),
and by the test top-1 of what a search with it finds at {shares} of the largest net's MACs (mean of the three).
Pairs fewer than all are drawn {draws} times, and means are shown; *by design*: chosen so that their features tell most
together (greedy D-optimality). Seconds: CPU seconds of one core for measuring the pairs.

Networks of this space are nearly alike here, so that images tell more than pairs do: with 1,000 images no number of
pairs ranks anything; with 5,000, a quarter of the pairs and of the calibration images finds networks as good. A choice
by design gains at 24 pairs only. docs/results.md counts with 24 random pairs, 5,000 images, calibrated on 500.

Folded batch norms make a pair {folding:.2f} times as fast to measure ({plain:.2f} against {folded:.2f} s,
{images:,} images).

| pairs | chosen | images | calibrated on | seconds | RMSE, points | Kendall's tau | found |
|---|---|---|---|---|---|---|---|"""


def page(results: Path) -> str:
    """All of docs/benchmarks/pairs.md."""
    found = json.loads(results.read_bytes())
    whole = next(
        row
        for row in found["rows"]
        if (row["pairs"], row["images"], row["calibration"]) == (POOL, IMAGES[-1], CALIBRATION[-1])
    )
    folded = whole["seconds"] / POOL
    head = HEAD.format(
        minutes=found["cpu_seconds"] / 60,
        times=found["times"],
        pool=POOL,
        others=OTHERS,
        spread=found["spread"],
        shares=", ".join(f"{share:.0%}" for share in DEPLOYMENTS),
        draws=DRAWS,
        folding=found["plain_seconds"] / folded,
        plain=found["plain_seconds"],
        folded=folded,
        images=IMAGES[-1],
    )
    rows = [
        f"| {row['pairs']} | {row['chosen']} | {row['images']:,} | {row['calibration']:,} | {row['seconds']:.0f} | "
        f"{row['rmse']:.3f} | {row['tau']:.3f} | {100 * np.mean(row['found']):.2f} |"
        for row in sorted(found["rows"], key=lambda row: row["seconds"])
    ]
    return "\n".join([head, *rows, ""])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("measure", "table"))
    parser.add_argument("--run", type=Path)
    parser.add_argument("--times", type=float, default=1.0)
    parser.add_argument("--results", type=Path, default=RECORDED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "measure":
        write_json(options.results, measure(options.run, options.times))
    else:
        print(page(options.results), end="")
