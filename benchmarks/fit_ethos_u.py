"""Fit the latency models of the Ethos-U targets to Vela's cycles of random subnets, and write their files.

    python benchmarks/fit_ethos_u.py [--out targets] [TARGET ...]

Needs the extras train and ethos-u. Deterministic; two minutes on one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ofa_edge.cache import StageCache, default_root
from ofa_edge.cost import operators
from ofa_edge.files import write_bytes
from ofa_edge.latency.analytic import TERMS, Lowering, amounts
from ofa_edge.metrics import spearman
from ofa_edge.runtimes import runtime_named
from ofa_edge.supernet import zoo
from ofa_edge.targets import Target, load_target
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces

TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256")
NETWORKS, HELD_OUT = 30, 15
LOWERING = Lowering(activation_bytes=1, weight_bytes=1)
UNSURE = 0.2  # of ln(coefficient): networks of other spaces lean on other shares of the terms
LEAST_SCATTER = 0.02


def main() -> None:
    """Fit, print how good the fit is, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--out", type=Path, default=Path("targets"))
    options = parser.parse_args()
    space = zoo.open_space(zoo.DEFAULT)
    subnets = [space.subnet(each) for each in space.sample(np.random.default_rng(0), NETWORKS + HELD_OUT)]
    runtime, cache = runtime_named("ethos-u"), StageCache(default_root())
    terms = np.array([amounts(operators(space, each), LOWERING) for each in subnets])
    terms[:, -1] = 1.0
    for name in options.targets:
        target = load_target(name)
        making = Making(runtime, "int8", target)
        paths = export_pieces(space, [Piece(each, "whole") for each in subnets], making, cache)
        account = runtime.cycle_account(target)
        ms = np.array([1e3 * account.cycles(path) / account.clock_hz for path in paths])
        write(target, terms, ms, account.name, options.out)


def write(target: Target, terms: NDArray[np.float64], ms: NDArray[np.float64], compiler: str, out: Path) -> None:
    """Fit one target: least squares of relative errors, no coefficient below 0."""
    found, _ = nnls(terms[:NETWORKS] / ms[:NETWORKS, None], np.ones(NETWORKS))
    likely, seen = terms[NETWORKS:] @ found, ms[NETWORKS:]
    errors = np.log(seen / likely)
    scatter = max(LEAST_SCATTER, float(np.std(errors)))
    inside = {share: float(np.mean(np.abs(errors) <= reach * scatter)) for share, reach in ((50, 0.6745), (90, 1.6449))}
    mape = float(np.mean(np.abs(likely / seen - 1)))
    print(f"{target.name:15} {len(seen)} subnets held out: mean error {100 * mape:.1f} %, {compiler}")
    model = {
        "key": {
            "device": target.description,
            "runtime": "ethos-u",
            "version": f"{compiler}, {target.npu.system_config}, {target.npu.memory_mode}",
            "precision": "int8",
            "threads": 1,
            "os_build": None,
            "runtime_digest": None,
            "affinity": None,
        },
        "provenance": {
            "kind": "estimated",
            "fitted_to": f"{compiler}'s cycles of {NETWORKS} random subnets of the default supernet, put into "
            "milliseconds by the accelerator's clock. What silicon takes beyond them is added when the model is used.",
            "sources": ["ethos-u-vela (PyPI), Arm/vela.ini"],
            "command": "python benchmarks/fit_ethos_u.py",
            "cross_validation": [
                {
                    "held_out": "random subnets of the same space, compiled and not fitted to",
                    "networks": len(seen),
                    "mape": round(mape, 4),
                    "bias": round(float(np.median(errors)), 4),
                    "spearman": round(spearman(likely, seen), 4),
                    "coverage50": round(inside[50], 4),
                    "coverage90": round(inside[90], 4),
                }
            ],
        },
        "coefficients": {term: float(f"{value:.6g}") for term, value in zip(TERMS, found, strict=True)},
        "log_covariance": (UNSURE**2 * np.eye(len(TERMS))).round(6).tolist(),
        "log_scatter": round(scatter, 4),
        "reach50": 0.6745,
        "reach90": 1.6449,
        "activation_bytes": 1,
        "weight_bytes": 1,
        "depthwise_taps": None,
        "hard_swish": 1,
    }
    content = {"schema": 2, "kind": "analytic", "space": None, "models": [model]}
    write_bytes(out / target.latency_path.name, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
