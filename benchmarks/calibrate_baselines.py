"""What calibrated latency models are worth beside plainer ones, on the same measurements.

    python benchmarks/calibrate.py measure FOLDER
    python benchmarks/calibrate_baselines.py add FOLDER/*.calibration.json [--supernet NAME] [--note WORDS]
    python benchmarks/calibrate_baselines.py page > docs/benchmarks/calibrate.md

`add` takes the report of `ofa-edge calibrate` (its latency file beside it), fits every baseline to the networks and
blocks that the calibrated model was fitted to, judges all on the held-out networks, and records the figures in
benchmarks/calibrate_results: seconds for a report. That needs scikit-learn (pip install '.[bench]'), `page` nothing.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from calibrate_page import page
from numpy.typing import NDArray

from ofa_edge import cost
from ofa_edge.errors import ConfigError, OfaEdgeError, SpaceMismatchError, ToolMissingError
from ofa_edge.files import write_json
from ofa_edge.latency.analytic import AnalyticModel, Coefficients
from ofa_edge.latency.load import FittedFile, read_latency_file
from ofa_edge.latency.units import UnitTable
from ofa_edge.metrics import spearman
from ofa_edge.space import Genomes, Space
from ofa_edge.supernet import zoo

Floats = NDArray[np.float64]
RESULTS = Path(__file__).resolve().parent / "calibrate_results"
FOLDS = 10


@dataclass(frozen=True)
class Measured:
    """What a calibration measured, and what it then predicted.

    Attributes:
        space: of the networks.
        fitted, fitted_ms: networks to fit to: [N, genome_length], [N].
        held, held_ms: networks to judge by: [M, genome_length], [M].
        units: milliseconds of blocks measured by themselves, by name.
        prior: the target's own model.
        predicted: of the calibrated model for `held`, by name of a bound ("ms", "low90", ...): [M] each.
    """

    space: Space
    fitted: Genomes
    fitted_ms: Floats
    held: Genomes
    held_ms: Floats
    units: dict[str, float]
    prior: Coefficients
    predicted: dict[str, Floats]


@dataclass(frozen=True)
class Row:
    """One line of the table: errors as fractions, shares of the held-out networks."""

    method: str
    mape: float
    within5: float
    within10: float
    spearman: float
    coverage50: float
    coverage90: float


Fit = Callable[[Genomes, Floats], Callable[[Genomes], Floats]]


def read(report: Path, supernet: str) -> tuple[dict[str, Any], Measured]:
    """A calibration's report, as it is and as arrays.

    Raises:
        ConfigError: it cannot be read, or its latency file is not beside it.
        SpaceMismatchError: it is of another supernet.
    """
    try:
        content = json.loads(report.read_bytes())
        plan, held, known = content["plan"], content["held_out"], content["fitted"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"no calibration report: {report.name}", repr(error), "ofa-edge calibrate writes it"
        ) from error
    space = zoo.open_space(supernet)
    if plan["space"] != space.hash:
        raise SpaceMismatchError(
            f"{report.name} is of another search space", f"'{supernet}' is {space.hash[:12]}", "--supernet NAME"
        )
    latency = report.with_name(report.name.replace(".calibration.json", ".latency.json"))
    file = read_latency_file(latency)
    if not isinstance(file, FittedFile):
        raise ConfigError(f"{latency.name} holds no fitted model", str(latency), "calibrate again")
    genomes = [space.genome([space.from_config(line["subnet"]) for line in lines]) for lines in (known, held)]
    names = ("predicted_ms", "low50", "high50", "low90", "high90")
    return content, Measured(
        space=space,
        fitted=genomes[0],
        fitted_ms=np.array([line["ms"] for line in known]),
        held=genomes[1],
        held_ms=np.array([line["measured_ms"] for line in held]),
        units={line["unit"]: line["ms"] for line in content["units"]},
        prior=file.models[0].prior.read(),
        predicted={name.removeprefix("predicted_"): np.array([line[name] for line in held]) for name in names},
    )


def rows(measured: Measured) -> list[Row]:
    """Every method on the held-out networks, the calibrated model first."""
    predicted = measured.predicted
    bounds = [(predicted[f"low{share}"], predicted[f"high{share}"]) for share in (50, 90)]
    found = [_row("calibrated", predicted["ms"], bounds, measured.held_ms)]
    space = measured.space
    fits: dict[str, Fit] = {
        "gradient boosting": lambda genomes, ms: boosted(space, genomes, ms),
        "plain sum of blocks": lambda genomes, ms: plain_sum(measured),
        "MACs alone": lambda genomes, ms: line(lambda each: cost.macs_table(space)(each)[:, 0], genomes, ms),
        "parameters alone": lambda genomes, ms: line(lambda each: parameters(space, each), genomes, ms),
        "target's own model": lambda genomes, ms: uncorrected(measured),
    }
    for name, fit in fits.items():
        guess = fit(measured.fitted, measured.fitted_ms)(measured.held)
        found.append(_row(name, guess, _intervals(fit, measured, guess), measured.held_ms))
    return found


def _row(method: str, guess: Floats, bounds: Sequence[tuple[Floats, Floats]], ms: Floats) -> Row:
    error = np.abs(guess / ms - 1)
    half, most = (float(np.mean((low <= ms) & (ms <= high))) for low, high in bounds)
    within5, within10 = (float(np.mean(error <= limit)) for limit in (0.05, 0.1))
    return Row(method, float(error.mean()), within5, within10, spearman(guess, ms), half, most)


def _intervals(fit: Fit, measured: Measured, guess: Floats) -> list[tuple[Floats, Floats]]:
    """Intervals that hold as much of the fitted networks, each predicted by a fit without its fold (CV+, roughly)."""
    count = len(measured.fitted_ms)
    folds = np.arange(count) % min(FOLDS, count)
    errors = np.zeros(count)
    for fold in np.unique(folds):
        mine = folds == fold
        likely = fit(measured.fitted[~mine], measured.fitted_ms[~mine])(measured.fitted[mine])
        errors[mine] = np.abs(np.log(measured.fitted_ms[mine] / likely))
    factors = [float(np.exp(np.quantile(errors, share, method="higher"))) for share in (0.5, 0.9)]
    return [(guess / factor, guess * factor) for factor in factors]


# -- baselines -------------------------------------------------------------------------------------------------------


def parameters(space: Space, genomes: Genomes) -> Floats:
    """Parameters of each genome's network: [N]."""
    return np.array([float(cost.params(space, space.subnet(genome))) for genome in genomes])


def line(amount: Callable[[Genomes], Floats], genomes: Genomes, ms: Floats) -> Callable[[Genomes], Floats]:
    """Latency as a straight line over one cost, relative errors squared and least."""
    amounts = amount(genomes)
    design = np.column_stack([np.ones_like(amounts), amounts]) / ms[:, None]
    offset, slope = np.linalg.lstsq(design, np.ones_like(ms), rcond=None)[0]
    least = float(ms.min()) / 10  # a line may fall below 0 where it was not fitted
    return lambda others: np.maximum(offset + slope * amount(others), least)


def plain_sum(measured: Measured) -> Callable[[Genomes], Floats]:
    """The sum of the blocks' own latencies, the call of each included, as in Once-For-All's latency tables.

    A block that the budget left out has its analytic latency, scaled as those measured ask for.
    """
    table = UnitTable(measured.space)
    likely = np.array([float(measured.prior.predict(unit.operators).ms) for unit in table.units])
    seen = np.array([measured.units.get(unit.name, np.nan) for unit in table.units])
    known = np.isfinite(seen)
    scale = float(np.median(seen[known] / likely[known])) if known.any() else 1.0
    values = np.where(known, seen, scale * likely)
    values[-1] = 0.0  # the call: every block brought its own
    return lambda genomes: np.asarray(table.counts(genomes) @ values)


def uncorrected(measured: Measured) -> Callable[[Genomes], Floats]:
    """The analytic model that the calibration started from."""
    from ofa_edge.latency.protocol import Key, Provenance

    model = AnalyticModel(
        measured.space, measured.prior, Key("", "tflite", "", "fp32", 1), Provenance("analytic", "", (), "")
    )
    return lambda genomes: np.asarray(model.predict_many(genomes).ms)


def boosted(space: Space, genomes: Genomes, ms: Floats) -> Callable[[Genomes], Floats]:
    """Gradient-boosted trees on the configuration: resolution, and each block's kernel and expand ratio, 0 if skipped.

    It learns from the networks alone: blocks measured by themselves have no configuration.

    Raises:
        ToolMissingError: scikit-learn is not installed.
    """
    try:
        ensemble = importlib.import_module("sklearn.ensemble")
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            "scikit-learn is not installed", "the gradient-boosted baseline is its own", "pip install '.[bench]'"
        ) from error
    model = ensemble.GradientBoostingRegressor(
        n_estimators=400, learning_rate=0.05, max_depth=3, subsample=0.7, random_state=0
    )
    model.fit(features(space, genomes), np.log(ms))
    return lambda others: np.exp(np.asarray(model.predict(features(space, others)), dtype=np.float64))


def features(space: Space, genomes: Genomes) -> Floats:
    """The configuration of each genome as numbers: [N, 2 * blocks + 1]."""
    blocks = len(space.blocks)
    active = space.active(genomes)
    kernel, expand = genomes[:, :blocks] + 1, genomes[:, blocks : 2 * blocks] + 1
    return np.hstack([np.where(active, kernel, 0), np.where(active, expand, 0), genomes[:, -1:]]).astype(np.float64)


# -- command ---------------------------------------------------------------------------------------------------------


def record(report: Path, supernet: str, note: str = "") -> dict[str, Any]:
    """What is kept of a report: where it was measured, how much, and every method's figures."""
    content, measured = read(report, supernet)
    plan = content["plan"]
    return {
        "name": report.name.removesuffix(".calibration.json"),
        "supernet": supernet,
        "note": note,
        "device": content["key"]["device"],
        **{name: plan[name] for name in ("target", "runtime", "precision", "threads", "budget_s")},
        "version": content["key"]["version"],
        "device_s": content["device_s"],
        "units": len(measured.units),
        "networks": len(measured.fitted_ms),
        "held_out": len(measured.held_ms),
        "dropped": len(content["dropped"]),
        "rows": [asdict(row) for row in rows(measured)],
    }


def main(arguments: Sequence[str]) -> int:
    """Record reports, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of the recorded figures")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="record the figures of calibrations")
    add.add_argument("reports", nargs="+", type=Path)
    add.add_argument("--supernet", default=zoo.DEFAULT)
    add.add_argument("--note", default="", help="what a reader must know of the run")
    commands.add_parser("page", help="print docs/benchmarks/calibrate.md")
    options = parser.parse_args(arguments)
    try:
        if options.command == "page":
            print(page(options.folder), end="")
            return 0
        options.folder.mkdir(parents=True, exist_ok=True)
        for report in options.reports:
            found = record(report, options.supernet, options.note)
            write_json(options.folder / f"{found['name']}.json", found)
    except OfaEdgeError as error:
        print(f"error: {error.what}\n  {error.why}\n  try: {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
