"""`ofa-edge predict` and `ofa-edge explain`: what a network takes on a target, and where it goes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.console import print_json, table
from ofa_edge.cli.options import (
    json_option,
    outside_key_option,
    precision_option,
    runtime_option,
    supernet_option,
    target_option,
)

if TYPE_CHECKING:
    from ofa_edge.latency.analytic import Coefficients
    from ofa_edge.latency.protocol import Interval, Key, Provenance, Share
    from ofa_edge.space import Space, Subnet

_LONGEST = 12  # lines of operators that are printed; --json has all


@click.command("predict")
@click.argument("file", type=click.Path(path_type=Path))
@target_option()
@runtime_option
@precision_option
@click.option("--runtime-version", metavar="TEXT", help="A version that the target's latency file knows.")
@outside_key_option
@json_option("Print as JSON, with every operator.")
def predict_command(
    file: Path,
    target: str,
    runtime: str | None,
    precision: str | None,
    runtime_version: str | None,
    outside_key: bool,
    as_json: bool,
) -> None:
    """Predict the latency of any ONNX network, batch 1, on a target.

    Nothing runs. Operators that the model does not know are named, count as the bytes that they move, and widen the
    interval.
    """
    from ofa_edge.errors import UnsupportedError
    from ofa_edge.latency.load import AnalyticFacts, doubt_of, find_facts
    from ofa_edge.latency.network import predict_network
    from ofa_edge.latency.onnx_operators import read_operators
    from ofa_edge.runtimes import require
    from ofa_edge.targets import load_target

    known = load_target(target)
    chosen = precision or known.defaults.precision
    facts, outside = find_facts(
        known,
        require(known, runtime or known.runtime.kind, chosen).name,
        chosen,
        runtime_version,
        outside_key=outside_key,
    )
    if not isinstance(facts, AnalyticFacts):
        raise UnsupportedError(
            f"the latency model of {known.name} is a table",
            "it holds the blocks of one space, and nothing about other networks",
            "ofa-edge predict --target with an analytic model; see: ofa-edge targets list",
        )
    found = predict_network(read_operators(file), facts.read())
    interval = found.interval.widened(doubt_of(outside)).at(()) if outside else found.interval
    key, provenance = facts.key, facts.provenance
    if as_json:
        print_json(
            {
                **_facts(known.name, key, provenance, interval, tuple(outside.values())),
                "unknown_operators": list(found.unknown),
                "operators": _rows(found.parts),
            }
        )
        return
    click.echo(_headline(str(file), known.name, key, provenance, interval))
    click.echo("\n" + _by_kind(found.parts))
    for note in outside.values():
        click.echo(f"outside its key: {note}")
    if found.unknown:
        click.echo(f"unknown operators, counted as bytes moved: {', '.join(found.unknown)}; the interval is wider")


@click.command("explain")
@click.argument("subnet", required=False)
@target_option()
@supernet_option()
@runtime_option
@precision_option
@outside_key_option
@json_option()
def explain_command(
    subnet: str | None,
    target: str,
    supernet: str,
    runtime: str | None,
    precision: str | None,
    outside_key: bool,
    as_json: bool,
) -> None:
    """Show where a subnet's milliseconds go, block by block, and where each coefficient comes from.

    SUBNET is a configuration (JSON, or a file of it), or the folder of a build; by default the largest.
    """
    from ofa_edge.latency.analytic import AnalyticModel
    from ofa_edge.latency.load import load_latency_model
    from ofa_edge.latency.protocol import OutsideKey
    from ofa_edge.runtimes import require
    from ofa_edge.targets import load_target

    known = load_target(target)
    meant = precision or known.defaults.precision
    chosen, space = _subnet(subnet, supernet)
    name = require(known, runtime or known.runtime.kind, meant).name
    model = load_latency_model(known, space, name, meant, outside_key=outside_key)
    interval, parts = model.predict(chosen), model.parts(chosen)
    inner = model.model if isinstance(model, OutsideKey) else model
    coefficients = inner.coefficients if isinstance(inner, AnalyticModel) else None
    if as_json:
        print_json(
            {
                **_facts(known.name, model.key, model.provenance, interval, model.outside),
                "subnet": chosen.config(),
                "parts": _rows(parts),
                "coefficients": _coefficients(coefficients) if coefficients else [],
            }
        )
        return
    click.echo(_headline(f"subnet {chosen.id}", known.name, model.key, model.provenance, interval))
    rows = [["block", "", "ms", "share", "bound by"]]
    rows += [[part.name, part.op, f"{part.ms:.3g}", f"{100 * part.share:.1f} %", part.bound] for part in parts]
    click.echo("\n" + table(rows, right=(2, 3)))
    if coefficients:
        rows = [["coefficient", "ms per unit", "sure within", "unit"]]
        rows += [
            [item["term"], f"{item['ms']:.3g}", f"x {item['factor90']:.2g}", item["unit"]]
            for item in _coefficients(coefficients)
        ]
        click.echo("\n" + table(rows, right=(1, 2)))
    click.echo(f"\n{model.provenance.kind}: {model.provenance.fitted_to}")
    click.echo("sources:\n  " + "\n  ".join(model.provenance.sources or ("none",)))
    for note in model.outside:
        click.echo(f"outside its key: {note}")


def _subnet(text: str | None, supernet: str) -> "tuple[Subnet, Space]":
    """A subnet and its space: a build's own, or one of a supernet's."""
    from ofa_edge.builds import Build
    from ofa_edge.errors import ConfigError
    from ofa_edge.files import parse_json
    from ofa_edge.space import Space
    from ofa_edge.supernet.zoo import open_space

    if text is not None and not text.lstrip().startswith("{") and Path(text).is_dir():
        build = Build.open(Path(text))
        return build.subnet, Space.from_json(build.manifest.supernet.space)
    space = open_space(supernet)
    if text is None:
        return space.largest(), space
    path = Path(text)
    try:
        content = parse_json(text if text.lstrip().startswith("{") else path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            "cannot read the subnet", f"{text[:80]}: {error}", "give JSON, a JSON file, or a build's folder"
        ) from error
    if not isinstance(content, dict):
        raise ConfigError("not a subnet configuration", text[:80], 'give {"ks": [...], "e": [...], "d": [...]}')
    return space.from_config(content), space


def _coefficients(coefficients: "Coefficients") -> list[dict[str, Any]]:
    import numpy as np

    from ofa_edge.latency.analytic import TERMS, UNITS
    from ofa_edge.latency.protocol import Z90

    deviations = np.sqrt(np.diag(coefficients.log_covariance).clip(0))
    return [
        {"term": term, "ms": float(ms), "factor90": float(np.exp(Z90 * deviation)), "unit": UNITS[term]}
        for term, ms, deviation in zip(TERMS, coefficients.ms, deviations, strict=True)
    ]


def _headline(what: str, target: str, key: "Key", provenance: "Provenance", interval: "Interval") -> str:
    unknown = f"\n  not recorded: {', '.join(key.unknown)}" if key.unknown else ""
    return (
        f"{what} on {target}: {interval.ms:.3g} ms   50 %: {interval.low50:.3g} .. {interval.high50:.3g}   "
        f"90 %: {interval.low90:.3g} .. {interval.high90:.3g}   ({provenance.kind}; predicted, not measured)\n"
        f"  {key.device}, {key.runtime} {key.precision}, {key.threads} threads; {key.version}{unknown}"
    )


def _facts(
    target: str, key: "Key", provenance: "Provenance", interval: "Interval", outside: tuple[str, ...]
) -> dict[str, Any]:
    import dataclasses

    return {
        "target": target,
        "key": dataclasses.asdict(key),
        "not_recorded": list(key.unknown),
        "provenance": provenance.kind,
        "fitted_to": provenance.fitted_to,
        "sources": list(provenance.sources),
        "outside": list(outside),
        "latency_ms": interval.to_json(),
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
