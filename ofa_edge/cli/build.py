"""`ofa-edge build`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command, wants_json
from ofa_edge.cli.build_plan import describe, plan_facts, time_words, usual_stages
from ofa_edge.cli.classes import class_lines, score_lines
from ofa_edge.cli.completion import DEVICE, RUNTIME, SUPERNET
from ofa_edge.cli.console import StageLines, file_size, hanging, outcome, table
from ofa_edge.cli.constraint_options import constraint_options, take_constraints
from ofa_edge.cli.model_options import model_options, take_model
from ofa_edge.cli.options import outside_key_option, precision_option, target_option
from ofa_edge.shown import pasteable

if TYPE_CHECKING:
    from ofa_edge.records.manifest import Manifest
    from ofa_edge.records.race import RatioRecord

GATE_FAILED, NOT_PROVED = 1, 3


@command("build")
@target_option(required=False)
@click.option("--fleet", metavar="NAME=20ms,...", help="Several targets with their budgets, in place of --target.")
@click.option("--max-models", type=click.IntRange(min=1), help="Subnets for the fleet, at most.")
@click.option("--measure", type=click.IntRange(1, 500), help="Subnets that the search may measure. Default: 8.")
@click.option("--sustained", is_flag=True, help="Search on the target's speed when it is warm (where that is known).")
@click.option("--latency-ms", type=float, help="Budget. Default: the target's share of the largest subnet's latency.")
@precision_option
@click.option(
    "--runtime",
    type=RUNTIME,
    metavar="NAME|fastest",
    help="Default: the target's; see: targets list. fastest: measure all in turn on the device, keep the fastest.",
)
@click.option(
    "--supernet",
    "--network",
    "supernet",
    type=SUPERNET,
    default="fashion-mnist",
    show_default=True,
    metavar="NAME|DIR",
    help="A supernet (see: zoo list), or the folder of one network from zoo import, which is taken as it is.",
)
@outside_key_option
@click.option("--untrained", is_flag=True, help="Random weights for a published supernet: latency and conversion only.")
@model_options
@click.option(
    "--data",
    "--samples",
    "data",
    type=click.Path(path_type=Path),
    help="Image folder: train/CLASS/..., val/CLASS/... With --model also a .npz file: images, or inputs, or an array "
    "for each of several inputs under its name; and labels.",
)
@click.option(
    "--device",
    type=DEVICE,
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, emulated, local, none, or one of: devices list.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Output folder. Default: out/TARGET.")
@constraint_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the search.")
@click.option(
    "--tune",
    default="0",
    metavar="DURATION",
    help="Tune TVM's schedules on the device for so long: 90s, 5m, 1h. Default: not at all.",
)
@click.option("--tune-db/--no-tune-db", default=True, help="Use what earlier tuning found (default), or ignore it.")
@click.option(
    "--refine",
    type=click.IntRange(min=0),
    default=0,
    metavar="K",
    help="Measure the K best candidates on the device, correct the latency model by them, and search again.",
)
@click.option(
    "--max-drop",
    metavar="POINTS|dB",
    help="What int8 may lose: 0.5 (points of top-1) or 25dB; the fewest layers that keep it so stay in fp32.",
)
@click.option(
    "--photos/--no-photos",
    default=True,
    help="Whether the folder may hold some of the test images: those answered worst in the report, and in golden/ "
    "(default); or made-up images only.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted build (finished stages are always reused).")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done.")
def build_command(dry_run: bool, resume: bool, fleet: str | None, max_models: int | None, **options: Any) -> Answer:
    """Search, extract, export, convert and verify a network for one target, or those of a fleet.

    With --model FILE.onnx nothing is searched for: the file's network is converted and verified, for one target or for
    each of a fleet.
    """
    del resume  # the cache always resumes; the option exists so that the hint of an interrupted build can be pasted
    from ofa_edge.cache import StageCache, default_root
    from ofa_edge.cli.fleet import build_fleet_command, require_one
    from ofa_edge.cli.model_fleet import build_model_fleet_command
    from ofa_edge.workflows.build.base import BuildOptions
    from ofa_edge.workflows.build.run import plan_build, run_build

    constraints, model = take_constraints(options), take_model(options)
    require_one(options["target"], fleet, max_models, options["latency_ms"])
    if fleet is not None and model is not None:
        del options["target"]
        given = BuildOptions(target="", constraints=constraints, model=model, **options)
        return build_model_fleet_command(fleet, max_models, dry_run, given)
    if fleet is not None:
        del options["target"]
        return build_fleet_command(fleet, max_models, dry_run, {**options, "constraints": constraints})
    plan = plan_build(BuildOptions(constraints=constraints, model=model, **options))
    if dry_run:
        usual = usual_stages(plan, StageCache(default_root()).usual_seconds())
        facts = {"dry_run": True, **plan_facts(plan), "estimated_seconds": usual}
        return Answer(facts, f"{describe(plan)}\n  {time_words(usual)}")
    quiet, cache = wants_json(), StageCache(default_root())
    if not quiet:
        click.echo(describe(plan), err=True)
    lines = StageLines(quiet, usual_stages(plan, cache.usual_seconds()))
    try:
        manifest = run_build(plan, cache, ["ofa-edge", *sys.argv[1:]], lines)
    finally:
        lines.close()
    return Answer(manifest.model_dump(mode="json"), summary(manifest, plan.out), exit_code([manifest]))


def exit_code(manifests: "Sequence[Manifest]") -> int:
    """What builds came to: a gate that failed counts most, then what was not proved."""
    outcomes = {manifest.outcome for manifest in manifests}
    return GATE_FAILED if "fail" in outcomes else NOT_PROVED if "inconclusive" in outcomes else 0


def summary(manifest: "Manifest", out: Path) -> str:
    """What the end of a build prints: the subnet, the ladder, the verdicts, where things are, what to do next."""
    parts = [
        headline(manifest),
        *_refinement(manifest, out),
        *_race(manifest),
        _ladder(manifest),
        *_classes(manifest),
        *_quantisation(manifest),
        *_npu(manifest),
        _verdicts(manifest),
    ]
    return "\n\n".join([*parts, _where(manifest, out), _next(manifest, out)])


def headline(manifest: "Manifest") -> str:
    """The subnet, what it was built for, and how it was chosen."""
    subnet, target, prediction = manifest.subnet, manifest.target, manifest.prediction
    network = manifest.network
    sizes = [" x ".join(map(str, each.shape[1:] if each.shape[:1] == (1,) else each.shape)) for each in network.inputs]
    if len(sizes) > 1:
        sizes = [f"{each.name} {size or 'one number'}" for each, size in zip(network.inputs, sizes, strict=True)]
    name = f"{network.source}  {', '.join(sizes)}"
    if subnet is not None:
        depths = ",".join(str(len(stage)) for stage in subnet.stages)
        name = f"subnet {subnet.id}  d {depths}  r {subnet.resolution}"
    lines = [f"{name}  {network.macs / 1e6:.2f} M MACs  {network.params / 1e3:.0f} k parameters"]
    words = f"for {target.name} ({target.runtime} {target.precision}, {target.threads} threads)"
    if prediction is not None:
        words += (
            f"   predicted {prediction.ms:.3g} ms ({prediction.low90:.3g} .. {prediction.high90:.3g} at 90 %, "
            f"{prediction.provenance})"
        )
    lines += [words, *(f"assumed: {each}" for each in network.assumed)]
    if network.ranges is not None and network.ranges.precision == target.precision:
        lines.append(
            f"trained for {target.precision}: its {len(network.ranges.values)} ranges are those of its training"
        )
    search = manifest.search
    if search is not None:
        source, by = "--latency-ms", ", by balanced accuracy" if search.metric == "balanced" else ""
        if search.relative_budget is not None:
            source = f"{100 * search.relative_budget:.0f} % of the largest subnet's {search.largest_ms:.3g} ms"
        lines.append(f"budget {search.budget_ms:.3g} ms ({source}), {search.evaluations} subnets evaluated{by}")
        if search.ranked_by == "macs" and search.correction is not None:
            candidates = f"{search.correction.measurements} candidates were measured"
            lines.append(f"the search went by MACs, and {candidates}: {search.ranked_why}")
    if "untrained" in manifest.labels:
        lines.append("UNTRAINED: random weights; no accuracy is shown")
    return "\n".join(lines)


def _refinement(manifest: "Manifest", out: Path) -> list[str]:
    """How far predictions and measurements were apart, before and after."""
    found = manifest.refinement
    if found is None:
        return []
    rows = [["latency model", "candidates", "MAPE", "bias", "in 50 %", "in 90 %"]]
    for words, gap in (("the target's own", found.before), ("refined, each without itself", found.after)):
        if gap is not None:
            shares = (f"{100 * share:.0f} %" for share in (gap.inside50, gap.inside90))
            cells = [f"{100 * gap.mape:.1f} %", f"{gap.bias:+.3f}", *shares]
            rows.append([words, str(len(found.candidates)), *cells])
    changed = "the choice stands" if found.first == manifest.network_id else f"in place of {found.first}"
    lines = [
        f"refined on {found.device} in {found.rounds} round{'' if found.rounds == 1 else 's'}: {changed}",
        table(rows, right=(1, 2, 3, 4, 5)),
        *(f"  note: {note}" for note in found.notes),
        f"  for other builds of this supernet: {pasteable('--target', out / found.target_file)}",
    ]
    return ["\n".join(lines)]


def _race(manifest: "Manifest") -> list[str]:
    """The runtimes in the order of their times, each beside the fastest."""
    found = manifest.race
    if found is None:
        return []
    rows = [["runtime", "size", "p50 ms", "95 %", "/ fastest", "95 %", "p", ""]]
    for item in found.contenders:
        beside = item.beside
        ratio = ["", "", ""] if beside is None else _ratio(beside)
        kept = "kept" if item.runtime == manifest.target.runtime else ""
        note = f"rejected: {item.rejected}" if item.rejected else kept
        times = [f"{item.p50_ms:.3g}", f"{item.low95:.3g} .. {item.high95:.3g}"]
        rows.append([item.runtime, file_size(item.size), *times, *ratio, note])
    lines = [
        f"runtimes in turn on {found.device}, {found.contenders[0].rounds} rounds"
        + (f" (the subnet was searched for {found.searched_for})" if found.searched_for else ""),
        table(rows, right=range(1, 7)),
        *(f"  {name} left out: {reason}" for name, reason in found.left_out.items()),
    ]
    return ["\n".join(lines)]


def _ratio(beside: "RatioRecord") -> list[str]:
    return [f"{beside.ratio:.2f}", f"{beside.low95:.2f} .. {beside.high95:.2f}", f"{beside.p:.3f}"]


def _ladder(manifest: "Manifest") -> str:
    from ofa_edge.metrics import SNR_LIMIT_DB

    uneven = manifest.classes is not None and manifest.classes.uneven
    metric = manifest.ladder[0].metric
    rows = [["rung", "size", "max|diff|", "SNR dB", metric, *["balanced"] * uneven, "images", "", ""]]
    for rung in manifest.ladder:
        rows.append(
            [
                rung.name,
                "-" if rung.size is None else file_size(rung.size),
                "-" if rung.max_abs is None else f"{rung.max_abs:.1e}",
                "-" if rung.snr_db is None else "exact" if rung.snr_db >= SNR_LIMIT_DB else f"{rung.snr_db:.1f}",
                "-" if rung.accuracy is None else f"{100 * rung.accuracy:.2f}",
                *["-" if rung.balanced is None else f"{100 * rung.balanced:.2f}"] * uneven,
                str(rung.images),
                outcome(rung.outcome),
                rung.note,
            ]
        )
    lines = [table(rows, right=range(1, 6 + uneven))]
    for rung in manifest.ladder:
        if rung.drop is not None:
            drop = rung.drop
            lines.append(
                f"  {rung.name} loses {100 * drop.drop:.2f} points of {drop.metric} against {rung.reference} (95 %: "
                f"{100 * drop.low95:.2f} .. {100 * drop.high95:.2f}; {drop.lost} images lost, {drop.won} won)"
            )
        lines += [f"  {rung.name}: {outputs_words(rung.outputs)}"] if rung.outputs else []
    if manifest.calibration is not None:
        lines += [f"  warning: {words}" for words in manifest.calibration.warnings]
    return "\n".join(lines)


def outputs_words(outputs: "Mapping[str, float]") -> str:
    """Each output's SNR, in a row."""
    from ofa_edge.metrics import SNR_LIMIT_DB

    return ", ".join(f"{name} {'exact' if db >= SNR_LIMIT_DB else f'{db:.1f} dB'}" for name, db in outputs.items())


def _classes(manifest: "Manifest") -> list[str]:
    if manifest.scores is not None:
        return [score_lines(manifest.scores, manifest.ladder[0])]
    return [] if manifest.classes is None else [class_lines(manifest.classes, manifest.calibration is not None)]


def _quantisation(manifest: "Manifest") -> list[str]:
    from ofa_edge.cli.quantisation import quantisation_lines

    return [] if manifest.quantisation is None else [quantisation_lines(manifest.quantisation)]


def _npu(manifest: "Manifest") -> list[str]:
    from ofa_edge.cli.npu import npu_lines

    return [] if manifest.npu is None else [npu_lines(manifest.npu)]


def _verdicts(manifest: "Manifest") -> str:
    lines = [hanging([[verdict.gate, outcome(verdict.outcome), verdict.reason] for verdict in manifest.verdicts])]
    for measurement in manifest.measurements:
        if measurement.latency_ms is not None:
            latency = measurement.latency_ms
            lines.append(
                f"  measured on {measurement.name}: p50 {latency.p50:.3g} ms ({latency.low95:.3g} .. "
                f"{latency.high95:.3g}), p90 {latency.p90:.3g} ms, {latency.sessions} sessions"
            )
        if measurement.instructions_per_inference is not None:
            millions = measurement.instructions_per_inference / 1e6
            lines.append(f"  {millions:.2f} M instructions an inference ({measurement.kind}, one thread; not a time)")
    lines += [f"  left out: {item}" for item in manifest.skipped]
    lines += _tuning(manifest)
    return "\n".join(lines)


def _tuning(manifest: "Manifest") -> list[str]:
    tuning = manifest.schedules.tuning if manifest.schedules else None
    if tuning is None:
        return []
    ratio = "" if tuning.ratio is None else f"; whole network {tuning.ratio:.3f} of the untuned time"
    return [
        f"  tuned on {tuning.device}: {tuning.known} of {tuning.functions} functions known, "
        f"{len(tuning.tuned)} with knobs of their own{ratio}",
        *(f"  tuning: {note}" for note in tuning.notes),
    ]


def _where(manifest: "Manifest", out: Path) -> str:
    names = ", ".join([record.path for record in manifest.outputs if "/" not in record.path] + ["manifest.json"])
    seconds = sum(stage.seconds for stage in manifest.stages)
    cached = sum(stage.cached for stage in manifest.stages)
    return f"wrote {out}/ ({names})\n{seconds:.0f} s in {len(manifest.stages)} stages, {cached} from cache"


def _next(manifest: "Manifest", out: Path) -> str:
    from ofa_edge.records.manifest import OWN_IMAGES

    own = any(record.role == OWN_IMAGES for record in manifest.inputs)
    again = pasteable("ofa-edge", "verify", out, "--device", "NAME", *["--data", "DIR"] * own)
    return f"next: {again}   |   {pasteable('open', out / 'report.html')}"
