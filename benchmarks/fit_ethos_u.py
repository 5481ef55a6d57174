"""Fit the latency models of accelerators to their compilers' cycles of random subnets, and write their files.

    python benchmarks/fit_ethos_u.py [--out targets] [TARGET ...]

Needs the extras train, ethos-u and zigzag. Deterministic; Vela takes a minute or two of one core, ZigZag a few.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache, default_root
from ofa_edge.cost import operators
from ofa_edge.files import write_bytes
from ofa_edge.latency.analytic import TERMS
from ofa_edge.latency.cycles import CycleFit, fit_cycles
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.latency.silicon import ETHOS_U, Silicon
from ofa_edge.metrics import spearman
from ofa_edge.runtimes import CycleAccount, runtime_named
from ofa_edge.supernet import zoo
from ofa_edge.targets import Target, load_target
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces

TARGETS = ("ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u85-256", "zu3eg", "zu9eg")
_SOURCES = {"ethos-u": "ethos-u-vela (PyPI), Arm/vela.ini", "zigzag": "zigzag-dse (PyPI), the engines' files"}
NETWORKS, HELD_OUT = 20, 8


def main() -> None:
    """Fit, print how good the fit is, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS)
    parser.add_argument("--out", type=Path, default=Path("targets"))
    options = parser.parse_args()
    space = zoo.open_space(zoo.DEFAULT)
    subnets = [space.subnet(each) for each in space.sample(np.random.default_rng(0), NETWORKS + HELD_OUT)]
    cache = StageCache(default_root())
    networks = [operators(space, each) for each in subnets]
    for name in options.targets:
        target = load_target(name)
        runtime = runtime_named(target.runtime.kind)
        making = Making(runtime, "int8", target)
        paths = export_pieces(space, [Piece(each, "whole") for each in subnets], making, cache)
        account = runtime.cycle_account(target)
        ms = np.array([1e3 * each.cycles / account.clock_hz for each in account.told(paths, cache)])
        write(
            target,
            fit_cycles(networks, ms, HELD_OUT, target.hardware.peak_gmacs("int8")),
            ms[NETWORKS:],
            account,
            options.out,
        )


def write(target: Target, fit: CycleFit, seen: NDArray[np.float64], account: CycleAccount, out: Path) -> None:
    """Print how good a target's fit is, and write it."""
    compiler, kind = account.name, target.runtime.kind
    system = f", {target.npu.system_config}, {target.npu.memory_mode}" if target.npu else ""
    found, mape = fit.coefficients, fit.mape
    reaches = ((50, Z50), (90, Z90))
    inside = {share: float(np.mean(np.abs(fit.errors) <= reach * found.log_scatter)) for share, reach in reaches}
    print(f"{target.name:15} {len(seen)} subnets held out: mean error {100 * mape:.1f} %, {compiler}")
    model = {
        "key": {
            "device": target.description,
            "runtime": kind,
            "version": f"{compiler}{system}",
            "precision": "int8",
            "threads": 1,
            "os_build": None,
            "runtime_digest": None,
            "affinity": None,
            "accelerator": target.accelerator_digest,
        },
        "provenance": {
            "kind": account.kind,
            "fitted_to": f"{compiler}'s cycles of {NETWORKS} random subnets of the default supernet, put into "
            "milliseconds by the accelerator's clock."
            + (" What silicon takes beyond them is added when the model is used." if target.npu else ""),
            "sources": [_SOURCES[kind]],
            "command": "python benchmarks/fit_ethos_u.py",
            "cross_validation": [
                {
                    "held_out": "random subnets of the same space, compiled and not fitted to",
                    "networks": len(seen),
                    "mape": round(mape, 4),
                    "bias": round(float(np.median(fit.errors)), 4),
                    "spearman": round(spearman(fit.likely, seen), 4),
                    "coverage50": round(inside[50], 4),
                    "coverage90": round(inside[90], 4),
                }
            ],
        },
        **({"silicon": dataclasses.asdict(Silicon.of(ETHOS_U))} if target.npu else {}),
        "coefficients": {term: float(f"{value:.6g}") for term, value in zip(TERMS, found.ms, strict=True)},
        "log_covariance": found.log_covariance.round(6).tolist(),
        "log_scatter": round(found.log_scatter, 4),
        "reach50": round(found.reach50, 4),
        "reach90": round(found.reach90, 4),
        **dataclasses.asdict(found.lowering),
    }
    content = {"schema": 2, "kind": "analytic", "space": None, "models": [model]}
    write_bytes(out / target.latency_path.name, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
