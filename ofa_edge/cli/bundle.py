"""`ofa-edge bundle`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command, wants_json
from ofa_edge.cli.console import file_size, table
from ofa_edge.shown import pasteable

if TYPE_CHECKING:
    from ofa_edge.bundle.app import Bundled
    from ofa_edge.bundle.record import Bundle, ModelEntry


@command("bundle")
@click.argument("builds", nargs=-1, type=click.Path(path_type=Path), metavar="[OUT]...")
@click.option(
    "--app",
    type=click.Path(path_type=Path),
    default=Path("android_demo"),
    show_default=True,
    help="The app's folder; written where it is not there.",
)
@click.option("--name", metavar="NAME", help="Name of the model in the app, for one OUT. Default: TARGET-PRECISION.")
@click.option("--remove", multiple=True, metavar="NAME", help="Take a model out of the app; may be repeated.")
@click.option("--list", "listing", is_flag=True, help="Only list what is bundled.")
@click.option("--apk", is_flag=True, help="Build the APK, after bundling if there is an OUT.")
@click.option(
    "--images", type=click.IntRange(min=0), default=500, show_default=True, help="Test images for each supernet."
)
@click.option("--replace", is_flag=True, help="Let a build replace another one of the same name.")
@click.option(
    "--allow-unverified", is_flag=True, help="Accept a build that did not pass parity and accuracy; it is labelled so."
)
def bundle_command(
    builds: tuple[Path, ...],
    app: Path,
    remove: tuple[str, ...],
    listing: bool,
    apk: bool,
    **options: Any,
) -> Answer:
    """Put built models into the Android demo app, with labels, test images and digests.

    OUT is the folder of a build: TFLite, verified, for an arm64 target.
    """
    from ofa_edge.bundle.app import Bundled, add_models, app_assets, remove_models
    from ofa_edge.bundle.record import read_bundle

    _check_usage(builds, remove, listing, apk)
    if builds:
        done = add_models(app, builds, **options)
    elif remove:
        done = remove_models(app, remove)
    else:
        done = Bundled(read_bundle(app_assets(app)))
    words = _summary(done, app)
    if not apk:
        return Answer(_json(done, None), f"{words}\n{_next(done.bundle, app)}")
    from ofa_edge.bundle.apk import build_apk

    if not wants_json():
        click.echo(words)  # an APK takes a while
    code, facts = build_apk(app)
    if code:  # the builder has said why, on stderr
        builder = "the app's builder ended with an error; its words are on stderr"
        error = {"what": "the APK was not built", "why": builder, "try": "ofa-edge bundle --apk", "code": code}
        return Answer({"error": error}, "", code)
    return Answer(_json(done, facts), _apk_summary(facts))


def _check_usage(builds: tuple[Path, ...], remove: tuple[str, ...], listing: bool, apk: bool) -> None:
    from ofa_edge.errors import UsageError

    asked = [name for name, given in (("OUT", builds), ("--remove", remove), ("--list", listing)) if given]
    if len(asked) > 1:
        raise UsageError(f"{asked[0]} and {asked[1]} together", "one call does one thing", "use two calls")
    if not asked and not apk:
        raise UsageError("nothing to bundle", "no OUT was given", "ofa-edge bundle out/pixel-4")


def _json(done: "Bundled", apk: dict[str, Any] | None) -> dict[str, Any]:
    value = {
        "bundle": done.bundle.model_dump(mode="json", by_alias=True),
        **{key: list(getattr(done, key)) for key in ("added", "removed", "unchanged", "notes")},
    }
    return value if apk is None else {**value, "apk": apk}


def _summary(done: "Bundled", app: Path) -> str:
    lines = [f"note: {note}" for note in done.notes]
    changes = [
        f"{word} {', '.join(names)}"
        for word, names in (("added", done.added), ("removed", done.removed), ("unchanged:", done.unchanged))
        if names
    ]
    lines += ["; ".join(changes)] if changes else []
    if not done.bundle.models:
        return "\n".join([*lines, f"{app} holds no models"])
    rows = [["model", "size", "top-1", "predicted ms (90 %)", "measured p50", "samples", ""]]
    rows += [_row(model) for model in done.bundle.models]
    lines += [f"{app} holds", table(rows, right=(1, 2))]
    lines += [
        f"  samples {item.name}: {item.count} images {item.height} x {item.width} x {item.channels}, "
        f"{file_size(item.size)} ({item.source})"
        for item in done.bundle.samples
    ]
    return "\n".join(lines)


def _row(model: "ModelEntry") -> list[str]:
    predicted, measured = model.predicted_ms, model.measured_ms
    labels = [*(() if model.verified else ("NOT VERIFIED",)), *(() if model.trained else ("UNTRAINED",))]
    return [
        model.name,
        file_size(model.size),
        "-" if model.top1 is None else f"{100 * model.top1:.2f}",
        "-" if predicted is None else f"{predicted.ms:.3g} ({predicted.low90:.3g} .. {predicted.high90:.3g})",
        "-" if measured is None else f"{measured.p50:.3g} ms",
        model.samples or "-",
        ", ".join(labels),
    ]


def _apk_summary(facts: dict[str, Any]) -> str:
    rows = [[part, file_size(size)] for part, size in facts["parts"].items()]
    rows.append(["APK", file_size(facts["size"])])
    return "\n".join(
        [
            table(rows, right=(1,)),
            f"wrote {facts['apk']} ({facts['key']} key, SHA-256 {facts['sha256'][:12]}...)",
            f"next: {pasteable('adb', 'install', '-r', facts['apk'])}",
        ]
    )


def _next(bundle: "Bundle", app: Path) -> str:
    if not bundle.models:
        return "next: ofa-edge bundle out/pixel-4"
    standard = app == Path("android_demo")
    return f"next: {'make apk' if standard else pasteable('ofa-edge', 'bundle', '--apk', '--app', app)}"
