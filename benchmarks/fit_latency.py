"""Fit the latency models of the built-in targets to published measurements, check them, and write their files.

    python benchmarks/fit_latency.py FOLDER [--out targets]

FOLDER holds the measurements (standard_nets.csv, raspberry_pi_4_mlperf_v1.0.csv, ncnn.csv, hwnasbench.json,
nasbench201_device_latency.csv, lut_ofa_note10_pixel1.csv). Deterministic; a few minutes on one core.
"""

import argparse
import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fit_many_devices import Estimate, Fit, Observation, Prior, Setting, fit
from latency_data import CPU_LOWERING, GPU_LOWERING, Data, block_tables, cells, cpu, gpu, jetsons, ncnn, standard_cpu
from latency_entries import CPU_ENTRIES, GPU_ENTRIES, Entry
from numpy.typing import NDArray

from ofa_edge.files import write_bytes
from ofa_edge.latency.analytic import TERMS, Lowering
from ofa_edge.latency.protocol import Z50, Z90, CrossValidation

COMMAND = "python benchmarks/fit_latency.py FOLDER"
LEAST_SCATTER = 0.05  # of ln(measured / predicted): nobody's published figures are repeatable to better
ENOUGH = 8  # held-out networks from which a setting's own calibration means something

# Multiples of the hardware's peak cost (see latency_data.cpu_base), and how sure of them before any data.
WIDTHS = np.array([0.6, 0.6, 0.6, 0.6, 1.2, 0.7, 0.8, 0.8, 0.8, 0.8, 0.5])
LOOSE = np.array([1, 1, 1, 1, 2, 1, 1, 1, 1, 0.7, 0.7])  # dispatch and call: large networks hardly show them
CARRIED = {"tvm-cpu": (0.8, 1.5), "ort-fp32": (1.0, 2.0), "ort-int8": (1.0, 3.0)}  # of XNNPACK, within this factor
CPU_PRIOR = Prior(np.log([1 / 0.45, 1 / 0.45, 1 / 0.15, 1 / 0.15, 25, 4, 0.3, 0.7, 0.7, 1, 1]), WIDTHS, LOOSE)
# A GPU's published families have two to eight networks: a misfit of each would take up what tells the terms apart.
GPU_LEVELS = Prior(WIDTHS, WIDTHS).levels | {"stack_misfit": 0.01, "setting_misfit": 0.01}
GPU_PRIOR = Prior(np.log([1 / 0.45, 1 / 0.35, 1 / 0.05, 1 / 0.05, 10, 4, 1, 0.2, 1, 1, 1]), WIDTHS, LOOSE, GPU_LEVELS)


@dataclasses.dataclass(frozen=True)
class Residual:
    """One held-out prediction: ln(measured / predicted), and the deviation that the coefficients' errors give it."""

    setting: str
    family: str
    error: float
    deviation: float
    ms: float

    def z(self, scatter: float) -> float:
        """Size of the error in deviations, of the coefficients and of the network's own scatter."""
        return abs(self.error) / float(np.hypot(self.deviation, scatter))


Kept = Callable[[Setting, Observation], bool]


class Study:
    """One joint fit of many settings, and refits with parts of the data held out."""

    def __init__(self, data: Data, prior: Prior) -> None:
        self.data = data
        self.settings = list(data.settings.values())
        self.full = fit(self.settings, data.observations, prior, learn=4)

    def own(self, name: str) -> list[Observation]:
        """Measurements of one setting."""
        return [item for item in self.data.observations if item.setting == name]

    def refit(self, kept: Kept) -> Fit:
        """The fit without what is held out; the widths of the levels stay as learned."""
        rows = [item for item in self.data.observations if kept(self.data.settings[item.setting], item)]
        return fit(self.settings, rows, self.full.prior, start=self.full)

    def residuals(self, name: str, result: Fit, held: Sequence[Observation]) -> list[Residual]:
        """Held-out predictions for one setting."""
        estimate = result.estimate(self.data.settings[name])
        found = []
        for item in held:
            predicted, deviation = estimate.predict(item.amounts)
            found.append(Residual(name, item.family, float(np.log(item.ms)) - predicted, deviation, item.ms))
        return found


def leave_families_out(study: Study, names: Sequence[str]) -> dict[str, list[Residual]]:
    """Every family of every named setting predicted without that family's measurements on any device."""
    found: dict[str, list[Residual]] = {name: [] for name in names}
    for family in sorted({item.family for name in names for item in study.own(name)}):
        result = study.refit(lambda _, item, family=family: item.family != family)
        for name in names:
            held = [item for item in study.own(name) if item.family == family]
            found[name] += study.residuals(name, result, held)
    return found


def leave_devices_out(study: Study, names: Sequence[str]) -> dict[str, list[Residual]]:
    """Every named setting predicted without any measurement of its stack on its device."""
    found: dict[str, list[Residual]] = {}
    for device in sorted({study.data.settings[name].device for name in names}):
        stacks = {study.data.settings[n].stack for n in names if study.data.settings[n].device == device}
        result = study.refit(lambda s, o, d=device, k=stacks: not (s.device == d and s.stack in k))
        for name in names:
            if study.data.settings[name].device == device:
                found[name] = study.residuals(name, result, study.own(name))
    return found


def quantile(residuals: Sequence[Residual], share: float, scatter: float) -> float:
    """Quantile of z with every family of every setting weighing the same, however many sizes it has."""
    counts = Counter((item.setting, item.family) for item in residuals)
    order = sorted(residuals, key=lambda item: item.z(scatter))
    weight = np.cumsum([1 / counts[item.setting, item.family] for item in order])
    return order[int(np.searchsorted(weight, share * weight[-1]))].z(scatter)


@dataclasses.dataclass(frozen=True)
class Width:
    """What makes intervals cover held-out networks as often as they say.

    `scatter` is what networks that were not fitted stray beyond the coefficients' own errors. With it, `half` and
    `most` are the half-widths of the 50 % and 90 % intervals in deviations; never below a Gaussian's.
    """

    scatter: float
    half: float = Z50
    most: float = Z90

    @classmethod
    def of(cls, residuals: Sequence[Residual], least: float = LEAST_SCATTER) -> "Width":
        """The least scatter that makes the 90 % interval honest, then the reach of the 50 % one."""
        grid = np.arange(least, 1.0, 0.005)
        scatter = next((float(s) for s in grid if quantile(residuals, 0.9, float(s)) <= Z90), float(grid[-1]))
        return cls(scatter, max(Z50, quantile(residuals, 0.5, scatter)))


def summary(held_out: str, residuals: Sequence[Residual], width: Width) -> CrossValidation:
    """Figures of merit of held-out predictions, with intervals of the given width."""
    from scipy.stats import spearmanr

    error = np.array([item.error for item in residuals])
    z = np.array([item.z(width.scatter) for item in residuals])
    measured = np.array([item.ms for item in residuals])
    predicted = measured / np.exp(error)
    rank = float(spearmanr(measured, predicted).statistic) if len(error) > 3 else None
    return CrossValidation(
        held_out=held_out,
        networks=len(error),
        mape=round(float(np.mean(np.abs(predicted / measured - 1))), 4),
        bias=round(float(np.median(error)), 4),
        spearman=None if rank is None else round(rank, 4),
        coverage50=round(float(np.mean(z <= width.half)), 4),
        coverage90=round(float(np.mean(z <= width.most)), 4),
    )


# -- files -----------------------------------------------------------------------------------------------------------


def model_json(
    entry: Entry,
    estimate: Estimate,
    lowering: Lowering,
    *,
    width: Width,
    checks: Sequence[CrossValidation],
) -> dict[str, object]:
    """One model of a latency file."""
    return {
        "key": {
            "device": entry.device,
            "runtime": entry.runtime,
            "version": entry.version,
            "precision": entry.precision,
            "threads": entry.threads,
            "os_build": None,
            "runtime_digest": None,
            "affinity": None,
        },
        "provenance": {
            "kind": entry.kind,
            "fitted_to": entry.fitted_to,
            "sources": list(entry.sources),
            "command": COMMAND,
            "cross_validation": [dataclasses.asdict(item) for item in checks],
        },
        "coefficients": {term: float(f"{np.exp(v):.6g}") for term, v in zip(TERMS, estimate.log_ms, strict=True)},
        "log_covariance": [[round(float(v), 8) for v in row] for row in estimate.log_covariance],
        "log_scatter": round(width.scatter, 4),
        "reach50": round(width.half, 4),
        "reach90": round(width.most, 4),
        **dataclasses.asdict(lowering),
    }


def write(out: Path, target: str, models: Sequence[object]) -> None:
    """Write a latency file; rows of numbers stay on one line."""
    text = json.dumps({"schema": 2, "kind": "analytic", "space": None, "models": list(models)}, indent=1)
    text = re.sub(r"\[\s+(-?[\d.e-]+(?:,\s+-?[\d.e-]+)*)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)
    write_bytes(out / f"{target}.latency.json", (text + "\n").encode())


def show(title: str, check: CrossValidation, width: Width) -> None:
    """One line of the table."""
    rank = "   -" if check.spearman is None else f"{check.spearman:.2f}"
    print(
        f"| {title:58s} | {check.held_out:8s} | {check.networks:4d} | {check.mape:5.1%} | {check.bias:+5.2f} "
        f"| {rank} | {check.coverage50:4.0%} | {check.coverage90:4.0%} | {width.scatter:4.2f} | {width.half:4.2f} |"
    )


def shifted(estimate: Estimate, shift: NDArray[np.float64], deviation: NDArray[np.float64]) -> Estimate:
    """An estimate for a runtime that has no measurements, from one that has: a factor of its own uncertainty."""
    return Estimate(estimate.log_ms + shift, estimate.log_covariance + np.outer(deviation, deviation))


def between(first: Estimate, second: Estimate) -> Estimate:
    """Halfway between two runtimes, as unsure as they differ."""
    gap = (first.log_ms - second.log_ms) / 2
    covariance = (first.log_covariance + second.log_covariance) / 2 + np.outer(gap, gap)
    return Estimate((first.log_ms + second.log_ms) / 2, covariance)


# -- the whole -------------------------------------------------------------------------------------------------------


def studies(folder: Path) -> tuple[Study, Study]:
    """The joint fits: CPUs, and GPUs."""
    on_cpu, on_gpu = Data(), Data()
    for read in (standard_cpu, ncnn, block_tables, cells):
        read(on_cpu, folder)
    jetsons(on_gpu, folder)
    for entry in CPU_ENTRIES:
        soc, backend, precision, threads = entry.setting.split("/")
        cpu(on_cpu, soc, backend, precision, int(threads))
    for entry in GPU_ENTRIES:
        for backend in ("tensorrt", "pytorch"):
            gpu(on_gpu, entry.setting.split("/")[0], backend, entry.precision)
    return Study(on_cpu, CPU_PRIOR), Study(on_gpu, GPU_PRIOR)


def estimate_for(study: Study, entry: Entry) -> Estimate:
    """Coefficients of one entry."""
    settings = study.data.settings
    estimate = study.full.estimate(settings[entry.setting])
    everywhere = np.ones(len(TERMS))
    if entry.carried in CARRIED:
        # These run depthwise kernels of every size alike.
        log_ms = estimate.log_ms.copy()
        log_ms[TERMS.index("wide_depthwise")] = log_ms[TERMS.index("depthwise")]
        estimate = dataclasses.replace(estimate, log_ms=log_ms)
        share, within = CARRIED[entry.carried]
        return shifted(estimate, np.log(share) * everywhere, np.log(within) * everywhere)
    if entry.carried == "tvm-cuda":
        other = study.full.estimate(settings[entry.setting.replace("tensorrt", "pytorch")])
        depthwise = np.array(["depthwise" in term for term in TERMS])
        deviation = np.where(depthwise, np.log(2), np.log(1.5))
        return shifted(between(estimate, other), 0.0 * everywhere, deviation)
    return estimate


def lowering_of(study: Study, entry: Entry) -> Lowering:
    """What the runtime makes of a network; one that has no measurements runs it as it is."""
    if not entry.carried:
        return study.data.lowering[entry.setting]
    return (CPU_LOWERING if entry.carried.startswith("ort") else GPU_LOWERING)[entry.precision]


class Checks:
    """Cross-validation of the settings of some back ends, and the widening that it calls for."""

    def __init__(self, study: Study, backends: Sequence[str]) -> None:
        self.backends = tuple(backends)
        names = [name for name, s in study.data.settings.items() if s.backend in backends and study.own(name)]
        self.residuals = {"families": leave_families_out(study, names), "devices": leave_devices_out(study, names)}
        self.pooled = {key: [item for part in found.values() for item in part] for key, found in self.residuals.items()}
        self.width = Width.of(self.pooled["families"])

    def show(self) -> None:
        """The table's lines, one for each setting, then one for all."""
        for key, found in self.residuals.items():
            for name, residuals in (*found.items(), (f"all {', '.join(self.backends)}", self.pooled[key])):
                show(name, summary(key, residuals, self.width), self.width)

    def own(self, entry: Entry) -> list[Residual]:
        """Held-out predictions of an entry's own setting; none where it has no measurements."""
        return self.residuals[entry.checks].get(entry.setting, []) if entry.checks == "families" else []

    def width_of(self, entry: Entry) -> Width:
        """The pool's; a model with enough networks of its own to show that it needs more gets more."""
        own = self.own(entry)
        if len(own) < ENOUGH:
            return self.width
        wider = Width.of(own, self.width.scatter)
        return Width(wider.scatter, max(self.width.half, wider.half))

    def of(self, entry: Entry) -> list[CrossValidation]:
        """What stands in an entry's provenance: its own setting's figures where it has measurements, and the pool's.

        Nothing for a runtime that was never measured: figures of another would say nothing about it.
        """
        if entry.carried:
            return []
        words = {"families": "a network family, on all devices", "devices": "a device, in this runtime"}[entry.checks]
        width = self.width_of(entry)
        own = self.own(entry)
        pool = f"{words}; pooled over {', '.join(self.backends)}"
        found = [summary(f"{words}; this model", own, width)] if own else []
        return [*found, summary(pool, self.pooled[entry.checks], width)]


def fit_entries(
    study: Study, entries: Sequence[Entry], pools: Sequence[Sequence[str]], out: dict[str, list[object]]
) -> None:
    """Cross-validate by pools of back ends, and collect the models of one study."""
    every = [Checks(study, backends) for backends in pools]
    for checks in every:
        checks.show()
    for entry in entries:
        checks = next(item for item in every if study.data.settings[entry.setting].backend in item.backends)
        estimate = estimate_for(study, entry)
        model = model_json(
            entry,
            estimate,
            lowering_of(study, entry),
            width=checks.width_of(entry),
            checks=checks.of(entry),
        )
        out.setdefault(entry.target, []).append(model)


def main(arguments: Sequence[str]) -> None:
    """Fit everything and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "targets")
    options = parser.parse_args(arguments)
    on_cpu, on_gpu = studies(options.folder)
    print("| setting | held out | networks | MAPE | bias | Spearman | in 50 % | in 90 % | scatter | reach 50 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    models: dict[str, list[object]] = {}
    fit_entries(on_cpu, CPU_ENTRIES, (("xnnpack",), ("tflite",)), models)
    fit_entries(on_gpu, GPU_ENTRIES, (("tensorrt", "pytorch"),), models)
    for target, items in models.items():
        write(options.out, target, items)


if __name__ == "__main__":
    main(sys.argv[1:])
