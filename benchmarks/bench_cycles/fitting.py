"""Coefficients by non-negative least squares of relative errors, and what they say of a family that was held out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fit_latency
import numpy as np
import published_nets as nets
from latency_data import Folders, whole
from numpy.typing import NDArray
from scipy.optimize import nnls

from ofa_edge.metrics import spearman

Floats = NDArray[np.float64]
SETTINGS = {precision: f"bcm2711/tflite@2.4.1/{precision}/4" for precision in ("fp32", "int8")}
CELLS_SETTING = "bcm2711/tflite@2021/fp32/1/hwnasbench"
MOBILENETS = ("v1", "v2")
RESAMPLES = 2000
TERMS: dict[str, Callable[[Mapping[str, int]], tuple[float, ...]]] = {
    "modelled cycles": lambda c: (c["core"], c["l1_misses"] - c["l2_misses"], c["l2_misses"], 1.0),
    "instructions": lambda c: (c["instructions"],),
    "the core's cycles alone": lambda c: (c["core"],),
    "instructions and misses": lambda c: (c["instructions"], c["l1_misses"] - c["l2_misses"], c["l2_misses"], 1.0),
}
ANALYTIC = "the latency model"


def coefficients(terms: Floats, ms: Floats) -> Floats:
    """[K], none below 0: they minimise the squares of predicted / measured - 1. `terms` [N, K], `ms` [N]."""
    scale = terms.max(axis=0)
    found, _ = nnls(terms / scale / ms[:, None], np.ones(len(ms)))
    fitted: Floats = found / scale
    return fitted


def fitted(published: Sequence[Any], counts: Mapping[str, Mapping[str, int]], folder: Path) -> dict[str, Any]:
    """Everything that the page says, out of the published times and what was counted.

    Raises:
        SystemExit: not all of them were counted.
    """
    missing = [each.name for each in published if each.name not in counts]
    if missing:
        raise SystemExit(f"not counted yet: {', '.join(missing)}")
    rows = [each for each in published if each.network.family in MOBILENETS and each.kernels == "own"]
    cells = [each for each in published if each.network.architecture]
    study, _ = fit_latency.studies(Folders((folder,)))
    ms = np.array([each.ms for each in rows])
    family = np.array([each.network.family for each in rows])
    predicted, weights = {}, {}
    for name, of in TERMS.items():
        terms = np.array([of(counts[each.name]) for each in rows], np.float64)
        predicted[name] = np.zeros(len(ms))
        for held in MOBILENETS:
            out = family == held
            predicted[name][out] = terms[out] @ coefficients(terms[~out], ms[~out])
        weights[name] = [float(f"{value:.5g}") for value in coefficients(terms, ms)]
    predicted[ANALYTIC] = _analytic(study, rows)
    return {
        "networks": len(rows),
        "coefficients": weights,
        "held_out": {name: _merits(rows, ms, values) for name, values in predicted.items()},
        "lead": _leads(rows, ms, predicted),
        "cells": _cells(study, cells, counts, weights),
        "xnnpack": {
            each.name: [each.ms, round(_ms(counts[each.name], weights), 1)]
            for each in published
            if each.kernels == "xnnpack"
        },
    }


def _ms(counted: Mapping[str, int], weights: Mapping[str, Sequence[float]]) -> float:
    terms = TERMS["modelled cycles"](counted)
    return float(np.dot(terms, weights["modelled cycles"]))


def _analytic(study: fit_latency.Study, rows: Sequence[Any]) -> Floats:
    """The shipped fit, each family predicted without its measurements on any device."""
    found = {}
    for held in MOBILENETS:
        without = study.refit(lambda _, item, held=held: item.family != f"mobilenet_{held}")
        for setting in SETTINGS.values():
            estimate = without.estimate(study.data.settings[setting])
            for item in study.own(setting):
                if item.family == f"mobilenet_{held}":
                    found[item.network] = float(np.exp(estimate.predict(item.amounts)[0]))
    return np.array([found[f"mobilenet_{each.network.family}:{each.name}"] for each in rows])


def _merits(rows: Sequence[Any], ms: Floats, predicted: Floats) -> dict[str, list[float]]:
    """Spearman and mean absolute error (a share) over all, over each precision, and over each family of each."""
    groups = {"all": np.ones(len(ms), bool)}
    for precision in ("fp32", "int8"):
        groups[precision] = np.array([each.network.precision == precision for each in rows])
        for held in MOBILENETS:
            same = np.array([each.network.family == held for each in rows])
            groups[f"{held} {precision}"] = groups[precision] & same
    return {
        name: [
            round(spearman(predicted[mask], ms[mask]), 4),
            round(float(np.mean(np.abs(predicted[mask] / ms[mask] - 1))), 4),
        ]
        for name, mask in groups.items()
    }


def _leads(rows: Sequence[Any], ms: Floats, predicted: Mapping[str, Floats]) -> dict[str, list[float]]:
    """By how much modelled cycles rank better than each other: 95 % when whole widths of a family are drawn again."""
    groups: dict[tuple[str, float], list[int]] = {}
    for place, each in enumerate(rows):
        groups.setdefault((each.network.family, each.network.width), []).append(place)
    parts, rng, found = list(groups.values()), np.random.default_rng(0), {}
    for name in ("instructions", ANALYTIC):
        draws = []
        for _ in range(RESAMPLES):
            drawn = np.concatenate([parts[index] for index in rng.integers(len(parts), size=len(parts))])
            mine, theirs = (spearman(predicted[each][drawn], ms[drawn]) for each in ("modelled cycles", name))
            draws.append(mine - theirs)
        low, high = np.quantile(draws, (0.025, 0.975))
        found[name] = [round(float(low), 4), round(float(high), 4)]
    return found


def _cells(
    study: fit_latency.Study, cells: Sequence[Any], counts: Mapping[str, Any], weights: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Spearman over another family, timed by others with another version: nothing of it is in the coefficients."""
    without = study.refit(lambda _, item: item.family != "nasbench201")
    estimate, lowering = without.estimate(study.data.settings[CELLS_SETTING]), study.data.lowering[CELLS_SETTING]
    ms = np.array([each.ms for each in cells])
    values = {
        "modelled cycles": [_ms(counts[each.name], weights) for each in cells],
        "instructions": [float(counts[each.name]["instructions"]) for each in cells],
        ANALYTIC: [
            float(estimate.predict(whole(nets.nasbench201(each.network.architecture), lowering))[0]) for each in cells
        ],
    }
    return {"networks": len(cells)} | {name: round(spearman(np.array(each), ms), 4) for name, each in values.items()}
