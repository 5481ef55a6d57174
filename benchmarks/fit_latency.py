"""Fit the latency models of the built-in targets to published measurements, check them, and write their files.

    python benchmarks/fit_latency.py FOLDER ... [--out targets]

The folders hold the measurements: standard_nets.csv, raspberry_pi_4_mlperf_v1.0.csv, ncnn.csv, hwnasbench.json,
nasbench201_device_latency.csv, lut_ofa_note10_pixel1.csv, phones_tflite_2_10.csv, raspberry_pi_tflite_2_18.csv and
jetson_tensorrt.csv. One that is missing is said, and the fit is by the others. Deterministic; minutes on one core.
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
from latency_data import (
    CPU_LOWERING,
    DETECTORS,
    GPU_LOWERING,
    PHONES,
    Data,
    Folders,
    block_tables,
    boards,
    cells,
    cpu,
    gpu,
    jetsons,
    ncnn,
    never_fitted,
    phones,
    rewritten,
    standard_cpu,
    whole,
)
from latency_entries import CPU_ENTRIES, GPU_ENTRIES, XNNPACK, Entry
from numpy.typing import NDArray

from ofa_edge.files import write_bytes
from ofa_edge.latency.analytic import TERMS, Lowering
from ofa_edge.latency.protocol import Z50, Z90, CrossValidation

COMMAND = "python benchmarks/fit_latency.py FOLDER ..."
LEAST_HALF, LEAST_MOST = 0.1, 0.3  # deviations: no interval is narrower
ENOUGH = 10  # held-out networks from which a setting's own calibration means something
ASSUMED = {"host": 1.5}  # targets whose hardware is assumed: arithmetic within this factor

# Multiples of the hardware's peak cost (see latency_data.cpu_base), and how sure of them before any data.
WIDTHS = np.array([0.6, 0.6, 0.6, 0.6, 1.0, 1.2, 0.7, 0.8, 0.8, 0.8, 0.8, 0.5])
LOOSE = np.array([1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0.7, 0.7])  # dispatch and call: large networks hardly show them
THREADS = np.array([-0.85] * 7 + [-0.4] * 3 + [0.0, 0.0])  # powers, before any data: latency by number of threads
CARRIED = {"tvm-cpu": (0.8, 1.5), "ort-fp32": (1.0, 2.0), "ort-int8": (1.0, 3.0)}  # of XNNPACK, within this factor
CPU_PRIOR = Prior(
    np.log([1 / 0.45, 1 / 0.45, 1 / 0.15, 1 / 0.15, 1 / 0.1, 25, 4, 0.3, 0.7, 0.7, 1, 1]),
    WIDTHS,
    LOOSE,
    threads=THREADS,
)
# A GPU's published families have two to eight networks: a misfit of each would take up what tells the terms apart.
GPU_LEVELS = Prior(WIDTHS, WIDTHS).levels | {"stack_misfit": 0.01, "setting_misfit": 0.01, "core": 0.01}
# A GPU's dispatch takes as long in any precision, and differs from device to device more than its arithmetic.
GPU_LOOSE = np.where(np.isin(TERMS, ("operators", "call")), 1.5, LOOSE)
STEADY = np.where(np.isin(TERMS, ("operators", "call")), 0.05, 1.0)
GPU_PRIOR = Prior(
    np.log([1 / 0.45, 1 / 0.35, 1 / 0.05, 1 / 0.05, 1 / 0.05, 10, 4, 1, 0.2, 1, 1, 1]),
    WIDTHS,
    GPU_LOOSE,
    GPU_LEVELS,
    by_precision=STEADY,
)


@dataclasses.dataclass(frozen=True)
class Residual:
    """One held-out prediction: ln(measured / predicted), and its deviation: coefficients and misfits of families."""

    setting: str
    family: str
    error: float
    deviation: float
    ms: float

    @property
    def z(self) -> float:
        """Size of the error in deviations."""
        return abs(self.error) / self.deviation


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
            deviation = float(np.hypot(deviation, result.misfit))
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


@dataclasses.dataclass(frozen=True)
class Width:
    """Half-widths of the 50 % and the 90 % interval in deviations, by what held-out networks need (conformal).

    Lei et al., Distribution-free predictive inference for regression (JASA 2018): whatever the form of the model, as
    many new families lie within them as held-out ones do.
    """

    half: float = Z50
    most: float = Z90

    @classmethod
    def of(cls, residuals: Sequence[Residual], *, by_family: bool) -> "Width":
        """Quantiles of z; `by_family`: every family of every setting weighs the same, however many sizes it has."""
        counts = Counter((item.setting, item.family) for item in residuals)
        order = sorted(residuals, key=lambda item: item.z)
        weight = np.cumsum([1 / counts[item.setting, item.family] if by_family else 1.0 for item in order])

        def at(share: float) -> float:
            return order[min(int(np.searchsorted(weight, share * weight[-1])), len(order) - 1)].z

        half, most = max(LEAST_HALF, at(0.525)), max(LEAST_MOST, at(0.905))
        return cls(half, max(most, 1.05 * half))


def summary(held_out: str, residuals: Sequence[Residual], width: Callable[[Residual], Width]) -> CrossValidation:
    """Figures of merit of held-out predictions, with the intervals that their models have."""
    from scipy.stats import spearmanr

    error = np.array([item.error for item in residuals])
    within = np.array([[item.z <= width(item).half, item.z <= width(item).most] for item in residuals])
    measured = np.array([item.ms for item in residuals])
    predicted = measured / np.exp(error)
    rank = float(spearmanr(measured, predicted).statistic) if len(error) > 3 else None
    return CrossValidation(
        held_out=held_out,
        networks=len(error),
        mape=round(float(np.mean(np.abs(predicted / measured - 1))), 4),
        bias=round(float(np.median(error)), 4),
        spearman=None if rank is None else round(rank, 4),
        coverage50=round(float(np.mean(within[:, 0])), 4),
        coverage90=round(float(np.mean(within[:, 1])), 4),
    )


# -- files -----------------------------------------------------------------------------------------------------------


def model_json(
    entry: Entry,
    estimate: Estimate,
    lowering: Lowering,
    *,
    width: Width,
    misfit: float,
    powers: tuple[NDArray[np.float64], float],
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
        "log_scatter": round(misfit, 4),
        "reach50": round(width.half, 4),
        "reach90": round(width.most, 4),
        "thread_powers": {term: round(float(v), 4) for term, v in zip(TERMS, powers[0], strict=True)},
        "thread_doubt": round(powers[1], 4),
        **dataclasses.asdict(lowering),
    }


def write(out: Path, target: str, models: Sequence[object]) -> None:
    """Write a latency file; rows of numbers stay on one line."""
    text = json.dumps({"schema": 2, "kind": "analytic", "space": None, "models": list(models)}, indent=1)
    text = re.sub(r"\[\s+(-?[\d.e-]+(?:,\s+-?[\d.e-]+)*)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text)
    write_bytes(out / f"{target}.latency.json", (text + "\n").encode())


def show(title: str, check: CrossValidation) -> None:
    """One line of the table."""
    rank = "   -" if check.spearman is None else f"{check.spearman:.2f}"
    print(
        f"| {title:44s} | {check.held_out:8s} | {check.networks:4d} | {check.mape:5.1%} | {check.bias:+5.2f} "
        f"| {rank} | {check.coverage50:4.0%} | {check.coverage90:4.0%} |",
        flush=True,
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


def studies(folder: Folders) -> tuple[Study, Study]:
    """The joint fits: CPUs, and GPUs."""
    on_cpu, on_gpu = Data(), Data()
    for read in (standard_cpu, phones, boards, ncnn, block_tables, cells):
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
    if entry.version == XNNPACK:
        return shifted(estimate, 0.0 * everywhere, np.log(ASSUMED.get(entry.target, 1.0)) * everywhere)
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
        lowering = study.data.lowering[entry.setting]
        return rewritten(lowering, entry.precision) if entry.version == XNNPACK else lowering
    return (CPU_LOWERING if entry.carried.startswith("ort") else GPU_LOWERING)[entry.precision]


def group_of(name: str) -> str:
    """Settings of one device, back end and precision: a line of the table, whatever the cores and threads."""
    soc, backend, precision, *rest = name.split("/")
    parts = "/".join(rest[1:])
    return "/".join(part for part in (soc, backend, precision, parts) if part)


def _kin(name: str) -> tuple[str, str, str]:
    """What a setting has in common with those of other versions and threads: SoC, stack and precision."""
    soc, backend, precision, *_ = name.split("/")
    return soc, backend.partition("@")[0], precision


class Checks:
    """Cross-validation of the settings of some stacks, and the widths that it calls for."""

    def __init__(self, study: Study, stacks: Sequence[str]) -> None:
        self.stacks = tuple(stacks)
        names = [name for name, s in study.data.settings.items() if s.stack in stacks and study.own(name)]
        self.residuals = {"families": leave_families_out(study, names), "devices": leave_devices_out(study, names)}
        self.pooled = {key: [item for part in found.values() for item in part] for key, found in self.residuals.items()}
        self.common = {key: Width.of(found, by_family=True) for key, found in self.pooled.items()}

    def width_of(self, setting: str, held_out: str) -> Width:
        """That of its own held-out networks where there are enough; else its device's and stack's; else the pool's."""
        found = self.residuals[held_out]
        own = found.get(setting, [])
        if len(own) >= ENOUGH:
            return Width.of(own, by_family=False)
        near = [item for name, part in found.items() if _kin(name) == _kin(setting) for item in part]
        return Width.of(near, by_family=True) if len(near) >= ENOUGH else self.common[held_out]

    def width_for(self, entry: Entry) -> Width:
        """That of its setting; at least a Gaussian's where an assumption was added that no residual knows of."""
        width = self.width_of(entry.setting, entry.checks)
        return Width(max(width.half, Z50), max(width.most, Z90)) if entry.carried else width

    def summary(self, words: str, residuals: Sequence[Residual], held_out: str) -> CrossValidation:
        """Each prediction within the interval of its own model."""
        widths = {name: self.width_of(name, held_out) for name in {item.setting for item in residuals}}
        return summary(words, residuals, lambda item: widths[item.setting])

    def show(self) -> None:
        """The table's lines, one for each group, then one for all."""
        for key, found in self.residuals.items():
            groups: dict[str, list[Residual]] = {}
            for name, residuals in found.items():
                groups.setdefault(group_of(name), []).extend(residuals)
            for name, residuals in (*groups.items(), (f"all {', '.join(self.stacks)}", self.pooled[key])):
                show(name, self.summary(key, residuals, key))

    def of(self, entry: Entry) -> list[CrossValidation]:
        """What stands in an entry's provenance: its own setting's figures where it has measurements, and the pool's.

        Nothing for a runtime that was never measured: figures of another would say nothing about it.
        """
        if entry.carried:
            return []
        words = {"families": "a network family, on all devices", "devices": "a device, in this runtime"}[entry.checks]
        own = self.residuals[entry.checks].get(entry.setting, []) if entry.checks == "families" else []
        pool = f"{words}; pooled over {', '.join(self.stacks)}"
        found = [self.summary(f"{words}; this model", own, entry.checks)] if own else []
        return [*found, self.summary(pool, self.pooled[entry.checks], entry.checks)]


def fit_entries(
    study: Study, entries: Sequence[Entry], pools: Sequence[Sequence[str]], out: dict[str, list[object]]
) -> None:
    """Cross-validate by pools of stacks, and collect the models of one study."""
    every = [Checks(study, stacks) for stacks in pools]
    for checks in every:
        checks.show()
    for entry in entries:
        checks = next(item for item in every if study.data.settings[entry.setting].stack in item.stacks)
        estimate = estimate_for(study, entry)
        model = model_json(
            entry,
            estimate,
            lowering_of(study, entry),
            width=checks.width_for(entry),
            misfit=study.full.misfit,
            powers=study.full.thread_powers(study.data.settings[entry.setting]),
            checks=checks.of(entry),
        )
        out.setdefault(entry.target, []).append(model)


def unseen(study: Study) -> None:
    """One line of the table: networks of which no file has a measurement."""
    found = []
    for setting, network, ms in never_fitted():
        estimate = study.full.estimate(study.data.settings[setting])
        predicted, deviation = estimate.predict(whole(network, study.data.lowering[setting]))
        family = "mobilenet_v3"
        deviation = float(np.hypot(deviation, study.full.misfit))
        found.append(Residual(setting, family, float(np.log(ms)) - predicted, deviation, ms))
    show("XNNPACK, MobileNetV3: never fitted", summary("-", found, lambda _: Width()))


def main(arguments: Sequence[str]) -> None:
    """Fit everything and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "targets")
    options = parser.parse_args(arguments)
    on_cpu, on_gpu = studies(Folders(tuple(options.folders)))
    print("| settings | held out | networks | MAPE | bias | Spearman | in 50 % | in 90 % |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    unseen(on_cpu)
    models: dict[str, list[object]] = {}
    fit_entries(on_cpu, CPU_ENTRIES, (("xnnpack",), ("tflite",), (PHONES,), (DETECTORS,)), models)
    fit_entries(on_gpu, GPU_ENTRIES, (("tensorrt", "pytorch"),), models)
    for target, items in models.items():
        write(options.out, target, items)


if __name__ == "__main__":
    main(sys.argv[1:])
