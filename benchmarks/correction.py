"""Predict, measure, correct: is the chosen subnet as good as the best of 500 measured ones?

    python benchmarks/correction.py truth [--count 500]     # about 25 minutes of one core; resumes after Ctrl-C
    python benchmarks/correction.py loop [--measure 40] [--seeds 5]

`truth` measures subnets that meet the target's default budget on the 10,000 test images of Fashion-MNIST, each extracted
and calibrated: random ones, grown until they fill the budget, so that none is poor for want of time. `loop` runs the
search that a build makes (predictor, and measurements on the package's held-out training images), then measures what
it chose on the same 10,000 test images, and the subnet that the predictor alone or the raw best measurement would
have chosen. The test images take no part in any choice of the loop.

The best of 500 noisy measurements is itself a winner by luck: its expected value on other images is lower. The table
says what each half of the test images says of the subnet that is best on the other half.
"""

import argparse
from pathlib import Path

import numpy as np

from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.pipeline.plan import BuildOptions, Plan, make_plan
from ofa_edge.search.fit import BudgetFit
from ofa_edge.space import Genomes, Subnet
from ofa_edge.training.pairs import measure_pairs

WORK = Path("runs/correction")


def reference_subnets(plan: Plan, count: int) -> list[Subnet]:
    """Distinct random subnets within the budget, grown until they fill it."""
    space, rng = plan.package.space, np.random.default_rng(7)

    def latency(genomes: Genomes) -> np.ndarray:
        return np.asarray(plan.latency.predict_many(genomes).ms)

    fit, chosen = BudgetFit(space, latency), dict[Subnet, None]()
    while len(chosen) < count:
        genomes = fit(space.sample(rng, 64), np.full(64, plan.budget_ms), rng, grow=1.0)
        chosen.update(dict.fromkeys(map(space.subnet, genomes)))
    return list(chosen)[:count]


def truth(plan: Plan, count: int) -> None:
    """Measure the reference subnets."""
    pairs = measure_pairs(
        plan.package.load(),
        reference_subnets(plan, count),
        plan.data.calibration,
        load_fashion_mnist().test,
        plan.package.preprocessing(plan.package.space.resolutions[-1]),
        WORK / "truth.json",
        lambda done, total: print(f"\r{done} of {total}", end="", flush=True),
    )
    top1 = np.array([pair.top1 for pair in pairs])
    print(f"\nbest {100 * top1.max():.2f}, mean {100 * top1.mean():.2f}, spread {100 * top1.std():.2f} points")


def main() -> None:
    """Run one of the two parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["truth", "loop"])
    parser.add_argument("--target", default="raspberry-pi-4")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--measure", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    plan = make_plan(BuildOptions(target=arguments.target, device="none"), claim=False)
    if arguments.part == "truth":
        truth(plan, arguments.count)


if __name__ == "__main__":
    main()
