"""Predict, measure, correct: is the chosen subnet as good as the best of 500 measured ones?

    python benchmarks/correction.py truth [--count 500]     # about 25 minutes of one core; resumes after Ctrl-C
    python benchmarks/correction.py loop [--measure 40] [--seeds 5]

`truth` measures subnets that meet the target's default budget on the 10,000 test images of Fashion-MNIST, each
extracted and calibrated: random ones, grown until they fill the budget, so that none is poor for want of time. `loop`
runs the search that a build makes (predictor, and measurements on the package's held-out training images), then
measures what it chose on the same 10,000 test images, and the subnet that the predictor alone or the raw best
measurement would have chosen. The test images take no part in any choice of the loop.

The best of 500 noisy measurements is itself a winner by luck: of 500 equal subnets whose measurements differ by 0.15
points, the best measures 0.45 above its worth.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.metrics import kendall
from ofa_edge.pipeline.plan import BuildOptions, Plan, make_plan
from ofa_edge.pipeline.searching import correct, search_plans
from ofa_edge.search.fit import BudgetFit
from ofa_edge.space import Genomes, Subnet
from ofa_edge.training.pairs import measure_pairs, read_pairs

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


def measured(plan: Plan, subnets: list[Subnet], file: Path) -> dict[Subnet, float]:
    """Top-1 of each on the 10,000 test images; what `file` holds already is not measured again."""
    pairs = measure_pairs(
        plan.package.load(),
        subnets,
        plan.data.calibration,
        load_fashion_mnist().test,
        plan.package.preprocessing(plan.package.space.resolutions[-1]),
        file,
        lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True),
    )
    return {pair.subnet: pair.top1 for pair in pairs}


def truth(plan: Plan, count: int) -> None:
    """Measure the reference subnets."""
    measured(plan, reference_subnets(plan, count), WORK / "truth.json")
    best_of_reference(plan)


def best_of_reference(plan: Plan) -> float:
    """The best of the reference subnets measured so far, and how much of it is luck."""
    pairs = read_pairs(WORK / "truth.json", plan.package.space)
    top1 = np.array([pair.top1 for pair in pairs])
    assert plan.predictor is not None
    predicted = plan.predictor.predict(plan.package.space.genome([pair.subnet for pair in pairs]))
    print(
        f"{len(pairs)} reference subnets: best {100 * top1.max():.2f}, mean {100 * top1.mean():.2f}, "
        f"spread {100 * top1.std():.2f}; Kendall tau with the predictor {kendall(predicted, top1):.2f}"
    )
    return float(top1.max())


def loop(plan: Plan, seeds: int) -> None:
    """The subnets that three rules choose after the same measurements, on images that no rule saw."""
    best = best_of_reference(plan) if (WORK / "truth.json").exists() else float("nan")
    rows = []
    for seed in range(seeds):
        own = replace(plan, options=replace(plan.options, seed=seed))
        front = search_plans((own,))
        corrected = correct((own,), front)
        assert corrected is not None
        found, space = corrected.found, own.package.space
        answers = found.correction.answers
        rules = {
            "predictor alone": front.best(own.budget_ms).subnet,
            "best measurement": space.subnet(answers.genomes[int(np.argmax(answers.top1))]),
            "posterior mean": corrected.chosen,
        }
        top1 = measured(own, list(rules.values()), WORK / "chosen.json")
        rows.append([top1[subnet] for subnet in rules.values()])
        taus = [kendall(values, answers.top1) for values in (found.predicted, found.foreseen)]
        errors = [np.sqrt(np.mean((values - answers.top1) ** 2)) for values in (found.predicted, found.foreseen)]
        print(
            f"seed {seed}, {len(answers.top1)} measured ({found.stopped}): mean predicted "
            f"{100 * found.predicted.mean():.2f}, measured {100 * answers.top1.mean():.2f}; predictor, corrected: tau "
            f"{taus[0]:.2f}, {taus[1]:.2f}, RMSE {100 * errors[0]:.2f}, {100 * errors[1]:.2f} points"
        )
        print("  " + "; ".join(f"{name} {100 * top1[subnet]:.2f}" for name, subnet in rules.items()))
    for name, values in zip(rules, np.array(rows).T, strict=True):
        print(
            f"{name}: {100 * values.mean():.2f} (worst seed {100 * values.min():.2f}), "
            f"{100 * (best - values.mean()):+.2f} points below the best reference subnet"
        )


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
    plan = make_plan(BuildOptions(target=arguments.target, device="none", measure=arguments.measure), claim=False)
    if arguments.part == "truth":
        truth(plan, arguments.count)
    else:
        loop(plan, arguments.seeds)


if __name__ == "__main__":
    main()
