"""Search beside the reference's own evolution and pymoo's NSGA-II, and beside an upper bound.

    python benchmarks/search.py run [--seeds 5]        # about 15 minutes on one idle core; writes search_results.json
    python benchmarks/search.py run --predictor acc_predictor.pth --table 160_lookup_table.yaml ...    # published files
    python benchmarks/search.py table > docs/benchmarks/search.md

`run` needs the reference package (`pip install --no-deps ofa==0.1.0.post202307202001`) and pymoo (`pip install pymoo`).
Every method sees the same predictor and the same table (bench_search/ground.py) in one process and one thread, the
methods in turn for each seed. The reference answers one budget a run; the others answer all budgets in one.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

# The made-up landscapes of the tests, and how they import the reference.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "support")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

RESULTS = Path(__file__).parent / "search_results.json"
FRACTIONS = (0.35, 0.45, 0.55, 0.65, 0.8)  # of the largest subnet's latency
DEFAULT_FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
ROUNDING = 1e-6  # of an accuracy: float32 sums in another order
SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)


def run(seeds: int, calls: int, predictor: Path | None, tables: list[Path]) -> None:
    """Run everything and write the results."""
    import torch
    from bench_search import methods
    from bench_search.ground import SPACE, make_ground

    from ofa_edge.files import write_json
    from ofa_edge.search.evolution import default_budget

    torch.set_num_threads(1)
    ground = make_ground(predictor, tables)
    budgets = [default_budget(SPACE, ground.ms, fraction) for fraction in FRACTIONS]
    _check(ground)
    runs = []
    for seed in range(seeds):
        for name, method in (("front", methods.front), ("focused", methods.focused), ("nsga2", methods.nsga2)):
            runs.append(_record(name, seed, budgets, method(ground, budgets, seed, calls)))
        for budget in budgets:
            for name, method in (("single", methods.focused), ("reference", methods.reference)):
                runs.append(_record(name, seed, [budget], method(ground, [budget], seed, calls)))
        print(f"seed {seed}: {sum(each['seconds'] for each in runs if each['seed'] == seed):.0f} s", flush=True)
    _reach(runs)
    write_json(
        RESULTS,
        {
            "calls": calls,
            "seeds": seeds,
            "fractions": FRACTIONS,
            "budgets_ms": budgets,
            "source": ground.source,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread; "
            + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "torch", "ofa", "pymoo")),
            "load": round(os.getloadavg()[0], 1),
            "runs": runs,
            "default": _default(seeds),
        },
    )


def _check(ground) -> None:
    """Both forms of the predictor and the table must agree, or nothing below means anything."""
    from bench_search.ground import SPACE, efficiency

    genomes = SPACE.sample(np.random.default_rng(1), 200)
    samples = []
    for genome in genomes:
        pairs = genome[:40]
        samples.append(
            {
                "wid": None,
                "ks": [SPACE.kernels[k] for k in pairs[:20]],
                "e": [SPACE.expands[e] for e in pairs[20:]],
                "d": [SPACE.depths[d] for d in genome[40:45]],
                "r": [SPACE.resolutions[genome[-1]]],
            }
        )
    theirs = ground.reference.predict_accuracy(samples).numpy()[:, 0]
    np.testing.assert_allclose(ground.predictor.predict(genomes), theirs, atol=1e-5)
    times = [efficiency(ground).predict_efficiency(sample) for sample in samples]
    np.testing.assert_allclose(ground.ms(genomes), times, rtol=1e-9)


def _record(name: str, seed: int, budgets: list[float], progress) -> dict:
    """One run: what it found, what it cost, and its best after some seconds and at a fifth of its calls."""
    steps = progress.steps
    after = {
        str(limit): next((best for calls, seconds, best in reversed(steps) if seconds <= limit), [0.0] * len(budgets))
        for limit in SECONDS
    }
    return {
        "method": name,
        "seed": seed,
        "budgets_ms": budgets,
        "found": progress.reported,
        "calls": steps[-1][0],
        "seconds": round(steps[-1][1], 3),
        "after_s": after,
        "steps": [(calls, round(seconds, 4), best) for calls, seconds, best in steps],
    }


def _reach(runs: list[dict]) -> None:
    """Seconds until each first reached what the reference ended with (same budget and seed); steps are dropped."""
    ends = {(each["seed"], each["budgets_ms"][0]): each["found"][0] for each in runs if each["method"] == "reference"}
    for each in runs:
        steps = each.pop("steps")
        each["reached_s"] = [
            next((seconds for _, seconds, best in steps if best[index] >= ends[each["seed"], budget] - ROUNDING), None)
            for index, budget in enumerate(each["budgets_ms"])
        ]


def _default(seeds: int) -> list[dict]:
    """The embedded default on a Raspberry Pi 4: the gap to the upper bound, and the wall time of the whole front."""
    from ofa_edge.workflows.build.base import BuildOptions
    from ofa_edge.workflows.build.plan import make_plan
    from ofa_edge.workflows.build.search import predicted_search

    found = []
    for seed in range(seeds):
        options = BuildOptions("raspberry-pi-4", device="none", seed=seed)
        plan = make_plan(options, claim=False, images=False).search
        largest = float(plan.latency.predict(plan.package.space.largest()).ms)
        started = time.perf_counter()
        front = predicted_search(plan)
        seconds = time.perf_counter() - started
        gaps = [front.gap(fraction * largest) for fraction in DEFAULT_FRACTIONS]
        found.append({"seed": seed, "seconds": round(seconds, 2), "calls": front.evaluations, "gaps": gaps})
    return found


def main() -> None:
    """Run, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--calls", type=int, default=50_100, help="predictor calls of each run; the reference's default"
    )
    parser.add_argument("--predictor", type=Path, help="the published acc_predictor.pth")
    parser.add_argument("--table", type=Path, nargs="*", default=[], help="the published latency tables")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.seeds, arguments.calls, arguments.predictor, arguments.table)
    else:
        from bench_search.table import page

        print(page(json.loads(RESULTS.read_text()), DEFAULT_FRACTIONS), end="")


if __name__ == "__main__":
    main()
