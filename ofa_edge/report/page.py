"""From a manifest to `report.html`: one self-contained file, no scripts, nothing fetched."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ofa_edge.files import write_bytes
from ofa_edge.metrics import METRIC_NAMES
from ofa_edge.records.classes import ClassesRecord, ClassRecord
from ofa_edge.records.manifest import Manifest
from ofa_edge.records.search import SearchRecord
from ofa_edge.report.agreement import agreement_chart
from ofa_edge.report.charts import parts_chart, stage_chart
from ofa_edge.report.confusion import LETTERS, confusion_chart, shortened
from ofa_edge.report.front import Chosen, front_chart
from ofa_edge.report.predicted import predicted_chart
from ofa_edge.report.subnet import subnet_drawing
from ofa_edge.report.svg import shown_text
from ofa_edge.report.terms import legend, term
from ofa_edge.report.worst import WorstPhoto, thumbnails
from ofa_edge.vocabulary import Label

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "report.html.j2"
_WORST = 10  # classes shown before the list of all of them
LABEL_MEANINGS: dict[Label, str] = {
    "untrained": "The weights are random. Speed and conversion are real; accuracy means nothing and is not shown.",
    "emulated": "The device was emulated. That proves answers and accuracy; it cannot prove a latency.",
    "outside-key": "The latency model holds for something else than was built; its interval is wider for it.",
    "modelled": "The latency is that of a described array, by a general model of such. No such hardware was measured.",
    "estimated": "The latency is the account of the accelerator's own compiler. No hardware of ours confirmed it.",
    "analytic": "The latency model was not fitted to measurements of this target. Its milliseconds are an estimate.",
}


def render_report(manifest: Manifest, worst: Sequence[WorstPhoto] = ()) -> str:
    """The report as HTML, with the photos that are answered worst. Every text is escaped."""
    classes = manifest.classes
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            manifest=manifest,
            metric=METRIC_NAMES[manifest.search.metric if manifest.search else "top1"],
            front=_front(manifest),
            agreement=agreement_chart(manifest.search),
            candidates_measured=manifest.search is not None
            and any(item.measured_top1 is not None for item in manifest.search.candidates),
            stages=stage_chart(manifest.stages),
            parts=None if manifest.prediction is None else parts_chart(manifest.prediction.parts),
            predicted=predicted_chart(manifest),
            drawing=subnet_drawing(manifest),
            not_verified=not_verified(manifest),
            fallback=[kernel.name for kernel in manifest.kernels if not kernel.own_rule],
            kernels=manifest.supernet.space.get("kernels", []) if manifest.supernet else [],
            expands=manifest.supernet.space.get("expands", []) if manifest.supernet else [],
            artifact=next((record for record in manifest.outputs if record.role == "artifact"), None),
            accuracy=next((rung.accuracy for rung in reversed(manifest.ladder) if rung.accuracy is not None), None),
            optimism=predictor_optimism(manifest.search),
            confusion=confusion_chart(classes),
            uneven=classes is not None and classes.uneven,
            numbered_classes=[] if classes is None else list(enumerate(classes.classes)),
            worst_classes=[] if classes is None else lowest_recall(classes),
            on_target=not any(item.code == "not-the-target" for item in manifest.verdicts),
            term=term,
            terms=legend(manifest.ladder[0].metric, classes is not None and classes.uneven),
            metric_name=manifest.ladder[0].metric,
            worst=thumbnails(worst),
            measured=next((item for item in reversed(manifest.measurements) if item.latency_ms), None),
        )
    )


def _front(manifest: Manifest) -> Markup:
    predicted = manifest.prediction
    if manifest.search is None or predicted is None:
        return Markup("")
    return front_chart(manifest.search, Chosen(manifest.network_id, predicted.low90, predicted.high90))


@functools.cache  # a process of many reports compiles their templates once
def environment() -> "jinja2.Environment":
    """Templates of this folder, every value escaped, and none that turns or hides what stands beside it."""
    import jinja2

    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=shown_text,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters.update(_filters())
    return jinja


def write_report(path: Path, manifest: Manifest, worst: Sequence[WorstPhoto] = ()) -> str:
    """Write the report atomically; return its SHA-256. Raises OutputError."""
    return write_bytes(path, render_report(manifest, worst).encode())


def not_verified(manifest: Manifest) -> list[tuple[str, str]]:
    """What this build does not prove, as (what, why), each once."""
    found: list[tuple[str, str]] = [
        (verdict.gate, verdict.reason)
        for verdict in manifest.verdicts
        if verdict.outcome in ("unverified", "inconclusive")
    ]
    found += [(name, LABEL_MEANINGS[name]) for name in manifest.labels]
    found += [("left out", reason) for reason in manifest.skipped]
    return list(dict.fromkeys(found))


def lowest_recall(classes: ClassesRecord) -> list[tuple[int, ClassRecord]]:
    """Classes with test images, the lowest recall first, with their numbers: ten at most."""
    shown = [(number, item) for number, item in enumerate(classes.classes) if item.test]
    return sorted(shown, key=lambda pair: pair[1].right / pair[1].test)[:_WORST]


def predictor_optimism(search: SearchRecord | None) -> float | None:
    """Mean of predicted minus measured top-1 over the measured candidates: a search favours what is overrated."""
    if search is None or search.objective != "top1":
        return None
    gaps = [item.score - item.measured_top1 for item in search.candidates if item.measured_top1 is not None]
    return sum(gaps) / len(gaps) if gaps else None


def _filters() -> dict[str, Callable[..., Any]]:
    return {
        "size": size_text,
        "percent": lambda value: f"{100 * value:.2f} %",
        "ms": lambda value: f"{value:.3g} ms",
        "count": lambda value: f"{value:,}",
        "million": lambda value: f"{value / 1e6:.2f} M",
        "label": lambda name: shortened(name, LETTERS),
        "sci": lambda value: f"{value:.1e}",
    }


def size_text(size: int) -> str:
    """Bytes for people: 80 B, 1.9 MB."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
