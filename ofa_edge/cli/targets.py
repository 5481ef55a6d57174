"""`ofa-edge targets list|show|new|validate`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ofa_edge.cli.answer import Answer, group, wants_json
from ofa_edge.cli.completion import TARGET
from ofa_edge.cli.console import Finite, next_step, table


@group("targets")
def targets_group() -> None:
    """The targets that networks can be built for."""


@targets_group.command("list")
def list_command() -> Answer:
    """List all targets, a line for each runtime, the usual one first; the last column is to be pasted."""
    from ofa_edge.runtimes import precisions_for, runtimes_for
    from ofa_edge.targets import list_targets

    targets = list_targets()
    rows = [["target", "hardware", "runtime", "precisions", ""]]
    for target in targets:
        hardware = target.description.split(",")[0]
        for place, runtime in enumerate(runtimes_for(target)):
            flags = f"--target {target.name}" + (f" --runtime {runtime.name}" if place else "")
            named = ["", ""] if place else [target.name, hardware]
            rows.append([*named, runtime.name, ", ".join(precisions_for(target, runtime)), flags])
    return Answer({"targets": [target.facts() for target in targets]}, table(rows))


@targets_group.command("show")
@click.argument("name", type=TARGET)
def show_command(name: str) -> Answer:
    """Show one target: its file, and where its latency model comes from."""
    from ofa_edge.latency.load import read_latency_file
    from ofa_edge.targets import load_target

    target = load_target(name)
    models = read_latency_file(target.latency_path).models
    lines = [target.path.read_text().rstrip(), f"\n# {target.path}", f"# latency models in {target.latency_path.name}:"]
    for model in models:
        key = model.key
        lines.append(f"#   {key.runtime} {key.precision}, {key.threads} threads: {model.provenance.kind}")
        lines.append(f"#     {model.provenance.fitted_to}")
    facts = {**target.facts(), "latency_models": [model.model_dump(mode="json") for model in models]}
    return Answer(facts, "\n".join(lines))


@targets_group.command("new")
@click.argument("name")
@click.option("--like", required=True, type=TARGET, metavar="NAME", help="The target that is nearest to it.")
@click.option("--cpu", help="Its core, as compilers name it: cortex-a53.")
@click.option("--cores", type=click.IntRange(1, 1024), help="How many cores of it.")
@click.option("--clock-ghz", type=Finite(min=0.01, max=10), help="Their clock: with --cpu and --cores gives the peak.")
@click.option("--peak-gmacs", type=Finite(min=0.001), help="Peak of all cores in fp32, 1e9 MACs a second.")
@click.option("--memory-gbps", type=Finite(min=0.001), help="What its memory gives, 1e9 bytes a second.")
@click.option("--description", metavar="TEXT", help="The board in words. Default: NAME, with what is known of it.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("targets"), show_default=True, help="Folder for the files."
)
def new_command(name: str, like: str, out: Path, description: str | None, **given: Any) -> Answer:
    """Make a target for another board from the one that is nearest to it.

    What is not known is asked for on a terminal; what stays unknown is taken from --like, and makes predictions wide.
    Nothing is measured: the latency model is carried over by the figures of the hardware. calibrate measures. An
    accelerator's target is copied with its files, for you to change.
    """
    from ofa_edge.targets import load_target
    from ofa_edge.workflows.copied_target import is_accelerator
    from ofa_edge.workflows.new_target import known_figures, new_target

    if is_accelerator(load_target(like)):
        return _copied(name, like, out, description, given)
    if sys.stdin.isatty() and not wants_json():
        for option, value in given.items():
            if value is None and getattr(known_figures(**given), option, None) is None:  # a peak may follow by now
                given[option] = _asked(option)
    figures = known_figures(**given)
    target = new_target(name, like, figures, out, description)
    lines = [f"wrote {target} and {target.with_suffix('.latency.json').name}"]
    if figures.unknown:
        lines.append(f"not known, so that predictions are wide: {', '.join(figures.unknown)}")
    lines += ["analytic: nothing was measured on it", next_step("explain", "--target", target)]
    facts = {"target": str(target), "like": like, "known": asdict(figures), "unknown": list(figures.unknown)}
    return Answer(facts, "\n".join(lines))


def _copied(name: str, like: str, out: Path, description: str | None, given: dict[str, Any]) -> Answer:
    from ofa_edge.errors import ConfigError
    from ofa_edge.workflows.copied_target import copied_target

    for option, value in given.items():
        if value is not None:
            flag = f"--{option.replace('_', '-')}"
            raise ConfigError(
                f"{flag} of an accelerator",
                f"{like} is described by a table of its own",
                f"leave {flag} out, and change the file",
            )
    target, *others = copied_target(name, like, out, description)
    lines = [f"wrote {target} and {', '.join(each.name for each in others)}: a copy of {like}, for you to change"]
    lines.append(
        f"its latency model is that of {like}: after a change it is refused until calibrate, which needs no device"
    )
    lines.append(next_step("targets", "validate", target))
    return Answer({"target": str(target), "like": like, "copied": [str(each) for each in others]}, "\n".join(lines))


def _asked(option: str) -> Any:
    """A figure of the board from who sits there; None where it is not known."""
    kinds = {"cpu": click.STRING, "cores": click.IntRange(1, 1024)}
    words = f"{option.replace('_', ' ')} (empty: not known)"
    text = click.prompt(words, default="", show_default=False, err=True)
    return kinds.get(option, Finite(min=0.001)).convert(text, None, None) if text else None


@targets_group.command("validate")
@click.argument("path", type=TARGET)
def validate_command(path: str) -> Answer:
    """Check a target file and its latency file; no model may compute faster than the hardware's peak."""
    from ofa_edge.errors import ConfigError
    from ofa_edge.latency.plausible import beyond_peak
    from ofa_edge.runtimes import runtimes_for
    from ofa_edge.targets import load_target

    target = load_target(path)
    for runtime in runtimes_for(target):
        runtime.check_target(target)
    found = list(beyond_peak(target))
    impossible = [words for words, certain in found if certain]
    if impossible:
        raise ConfigError(
            f"{target.latency_path.name} computes faster than the hardware of {target.path.name} can",
            "; ".join(impossible),
            "correct peak_gmacs_... in [hardware], or the coefficients",
        )
    warnings = [f"{words}: one of the two is too optimistic" for words, _ in found]
    lines = [f"{target.path}: ok", *(f"  warning: {words}" for words in warnings)]
    built = any(runtime.why_not_made(target) is None for runtime in runtimes_for(target))
    lines.append(next_step("build" if built else "search", "--target", path))
    return Answer({"target": target.name, "path": str(target.path), "warnings": warnings}, "\n".join(lines))
