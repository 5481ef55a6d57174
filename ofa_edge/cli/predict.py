"""`ofa-edge predict` and `ofa-edge explain`: what a network takes on a target, and where it goes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.console import table
from ofa_edge.cli.options import (
    outside_key_option,
    precision_option,
    runtime_option,
    supernet_option,
    target_option,
)

if TYPE_CHECKING:
    from ofa_edge.api.predict import Prediction
    from ofa_edge.latency.analytic import Coefficients
    from ofa_edge.latency.protocol import Share
    from ofa_edge.vocabulary import Precision

_LONGEST = 12  # lines of operators that are printed; --json has all


@command("predict")
@click.argument("file", type=click.Path(path_type=Path))
@target_option()
@runtime_option
@precision_option
@click.option(
    "--shape",
    metavar="1x3x224x224",
    multiple=True,
    callback=lambda _, __, given: ",".join(given) or None,
    help="Of the input, where the file leaves sizes free. Of several, for each: NAME=1x3x224x224.",
)
@click.option("--runtime-version", metavar="TEXT", help="A version that the target's latency file knows.")
@outside_key_option
def predict_command(
    file: Path,
    target: str,
    runtime: str | None,
    precision: "Precision | None",
    shape: str | None,
    runtime_version: str | None,
    outside_key: bool,
) -> Answer:
    """Predict the latency of any ONNX network, batch 1, on a target.

    Nothing runs. Operators that the model does not know are named, count as elementwise ones and as products with their
    weights, and widen the interval.
    """
    from ofa_edge.api.predict import predict

    found = predict(
        file,
        target,
        runtime=runtime,
        precision=precision,
        shape=shape,
        runtime_version=runtime_version,
        outside_key=outside_key,
    )
    lines = [_headline(str(file), found), "\n" + _by_kind(found.parts), *_outside(found)]
    if found.unknown:
        lines.append(f"unknown operators, whose time is a guess: {', '.join(found.unknown)}; the interval is wider")
    operators = {"unknown_operators": list(found.unknown), "operators": _rows(found.parts)}
    return Answer({**_facts(found), **operators}, "\n".join(lines))


@command("explain")
@click.argument("subnet", required=False)
@target_option()
@supernet_option()
@runtime_option
@precision_option
@outside_key_option
def explain_command(
    subnet: str | None,
    target: str,
    supernet: str,
    runtime: str | None,
    precision: "Precision | None",
    outside_key: bool,
) -> Answer:
    """Show where a subnet's milliseconds go, block by block, and where each coefficient comes from.

    SUBNET is `largest`, `smallest`, a configuration or a net.config (JSON, or a file of it), or the folder of a build;
    by default the largest.
    """
    from ofa_edge.api.predict import predict
    from ofa_edge.workflows.named_subnet import named_subnet

    chosen, space = named_subnet(subnet, supernet)
    found = predict(chosen, target, supernet=space, runtime=runtime, precision=precision, outside_key=outside_key)
    coefficients = found.coefficients
    facts = {
        **_facts(found),
        "subnet": chosen.config(),
        "parts": _rows(found.parts),
        "coefficients": _coefficients(coefficients) if coefficients else [],
    }
    rows = [["block", "", "ms", "share", "bound by"]]
    rows += [[part.name, part.op, f"{part.ms:.3g}", f"{100 * part.share:.1f} %", part.bound] for part in found.parts]
    lines = [_headline(f"subnet {chosen.id}", found), "\n" + table(rows, right=(2, 3))]
    if coefficients:
        rows = [["coefficient", "ms per unit", "sure within", "unit"]]
        rows += [
            [item["term"], f"{item['ms']:.3g}", f"x {item['factor90']:.2g}", item["unit"]]
            for item in _coefficients(coefficients)
        ]
        lines.append("\n" + table(rows, right=(1, 2)))
    lines.append(f"\n{found.provenance.kind}: {found.provenance.fitted_to}")
    lines.append("sources:\n  " + "\n  ".join(found.provenance.sources or ("none",)))
    return Answer(facts, "\n".join([*lines, *_outside(found)]))


def _outside(found: "Prediction") -> list[str]:
    return [f"outside its key: {note}" for note in found.outside]


def _coefficients(coefficients: "Coefficients") -> list[dict[str, Any]]:
    import numpy as np

    from ofa_edge.latency.analytic import TERMS, UNITS
    from ofa_edge.latency.protocol import Z90

    deviations = np.sqrt(np.diag(coefficients.log_covariance).clip(0))
    return [
        {"term": term, "ms": float(ms), "factor90": float(np.exp(Z90 * deviation)), "unit": UNITS[term]}
        for term, ms, deviation in zip(TERMS, coefficients.ms, deviations, strict=True)
    ]


def _headline(what: str, found: "Prediction") -> str:
    key, interval = found.key, found.interval
    unknown = f"\n  not recorded: {', '.join(key.unknown)}" if key.unknown else ""
    return (
        f"{what} on {found.target}: {interval.ms:.3g} ms   50 %: {interval.low50:.3g} .. {interval.high50:.3g}   "
        f"90 %: {interval.low90:.3g} .. {interval.high90:.3g}   ({found.provenance.kind}; predicted, not measured)\n"
        f"  {key.device}, {key.runtime} {key.precision}, {key.threads} threads; {key.version}{unknown}"
    )


def _facts(found: "Prediction") -> dict[str, Any]:
    import dataclasses

    return {
        "target": found.target,
        "key": dataclasses.asdict(found.key),
        "not_recorded": list(found.key.unknown),
        "provenance": found.provenance.kind,
        "fitted_to": found.provenance.fitted_to,
        "sources": list(found.provenance.sources),
        "outside": list(found.outside),
        "latency_ms": found.interval.to_json(),
    }


def _rows(parts: Sequence["Share"]) -> list[dict[str, Any]]:
    import dataclasses

    return [dataclasses.asdict(part) for part in parts]


def _by_kind(parts: Sequence["Share"]) -> str:
    """Operators of one type in one line, the dearest first; the call stands by itself."""
    groups: dict[str, list[Share]] = {}
    for part in parts:
        groups.setdefault(part.op or part.name, []).append(part)
    ranked = sorted(groups.items(), key=lambda pair: -sum(item.ms for item in pair[1]))
    rows = [["operator", "", "ms", "share", "bound by"]]
    for op, items in ranked[:_LONGEST]:
        dearest = max(items, key=lambda item: item.ms)
        share = sum(item.share for item in items)
        ms = sum(item.ms for item in items)
        rows.append([op, f"x {len(items)}", f"{ms:.3g}", f"{100 * share:.1f} %", dearest.bound])
    return table(rows, right=(1, 2, 3))
