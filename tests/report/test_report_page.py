"""The report: self-contained, escaped, repeatable, and honest about what is not verified."""

from pathlib import Path
from typing import Any

import pytest
from html_page import HOSTILE, Page
from manifests import NET, facts, manifest

from ofa_edge.errors import OutputError
from ofa_edge.files import sha256_file
from ofa_edge.records.manifest import CalibrationRecord, DeviceMeasurement, DropRecord, LatencyMeasurement, Verdict
from ofa_edge.records.schedules import FallbackRecord, SchedulesRecord
from ofa_edge.report import render_report, write_report
from ofa_edge.report.page import not_verified, predictor_optimism, size_text

CONDITIONS = {"clock ceiling": "1.80 GHz of 1.80 GHz", "not read": "load"}


def untrained() -> dict[str, Any]:
    parts = facts()
    search = parts["search"]
    return {
        "labels": ("untrained", "emulated"),
        "network": parts["network"].model_copy(update={"trained": False, "dataset": None}),
        "ladder": tuple(rung.model_copy(update={"top1": None}) for rung in parts["ladder"]),
        "search": search.model_copy(
            update={
                "objective": "macs",
                "front": tuple(point.model_copy(update={"score": 4e6 + point.latency_ms}) for point in search.front),
                "candidates": (search.candidates[0].model_copy(update={"score": 5e6, "measured_top1": None}),),
            }
        ),
        "verdicts": (parts["verdicts"][0], parts["verdicts"][2]),
    }


def test_what_the_manifest_says_is_on_the_page() -> None:
    text = Page(render_report(manifest())).text
    for words in (
        "raspberry-pi-4",
        "Cortex-A72 1.8 GHz",
        NET,
        "predicted latency, not measured",
        "16.9 ms to 20.4 ms",
        "91.80 %",
        "1.9 MB",
        "BN folded",
        "112.4",
        "6.1e-06",
        "60 % of the largest subnet's predicted 34 ms",
        "0.31 points (RMSE)",
        "an emulated device gives no milliseconds",
        "3,440,000",
        "says nothing about the target",
        "9.0 s",
        "c" * 64,
        "torch 2.6.0",
        "ofa-edge build --target raspberry-pi-4",
    ):
        assert words in text, words


def test_it_fetches_nothing_and_runs_nothing() -> None:
    html = render_report(manifest())
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & {tag for tag, _ in page.tags}
    assert not {"src", "href", "srcset", "onload"} & {key for _, attrs in page.tags for key in attrs}
    assert "http" not in html.replace("http-equiv", "")
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_functions_that_no_rule_took_are_named() -> None:
    text = Page(render_report(manifest())).text
    assert "Compiled functions" not in text
    record = SchedulesRecord(isa="neon", threads=4, layout="NHWC", rules={"pointwise": 3}, share_of="work")
    text = Page(render_report(manifest(schedules=record))).text
    for words in ("neon, 4 threads, NHWC", "pointwise 3", "Every function has a schedule of its own."):
        assert words in text, words
    slow = FallbackRecord(function="conv2d7", why="a grouped <convolution>", calls=2, share=0.25)
    text = Page(render_report(manifest(schedules=record.model_copy(update={"fallbacks": (slow,)})))).text
    for words in ("conv2d7", "a grouped <convolution>", "25.00 %", "share of work"):
        assert words in text, words


def test_every_text_is_escaped() -> None:
    parts = facts()
    page = Page(
        render_report(
            manifest(
                target=parts["target"].model_copy(update={"name": HOSTILE, "description": HOSTILE, "cpu": HOSTILE}),
                command=(HOSTILE,),
                subnet=parts["subnet"].model_copy(update={"id": HOSTILE}),
                verdicts=tuple(item.model_copy(update={"reason": HOSTILE}) for item in parts["verdicts"]),
                ladder=tuple(item.model_copy(update={"name": HOSTILE, "note": HOSTILE}) for item in parts["ladder"]),
                stages=tuple(item.model_copy(update={"name": HOSTILE}) for item in parts["stages"]),
                skipped=(HOSTILE,),
                versions={HOSTILE: HOSTILE},
                measurements=tuple(
                    item.model_copy(
                        update={
                            "name": HOSTILE,
                            "connection": HOSTILE,
                            "note": HOSTILE,
                            "fingerprint": {HOSTILE: HOSTILE},
                            "conditions": {HOSTILE: HOSTILE},
                        }
                    )
                    for item in parts["measurements"]
                ),
                inputs=tuple(item.model_copy(update={"path": HOSTILE, "role": HOSTILE}) for item in parts["inputs"]),
                outputs=tuple(item.model_copy(update={"role": HOSTILE}) for item in parts["outputs"]),
            )
        )
    )
    tags = {tag for tag, _ in page.tags}
    assert "script" not in tags
    assert not any("x" in attrs for tag, attrs in page.tags if tag == "b")
    assert page.text.count("<script>alert(1)</script>") > 15


def test_one_manifest_gives_one_file(tmp_path: Path) -> None:
    first, second = (write_report(tmp_path / name, manifest()) for name in ("a.html", "b.html"))
    assert first == second == sha256_file(tmp_path / "a.html")
    assert (tmp_path / "a.html").stat().st_size < 60_000
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "report.html", manifest())


def test_what_is_not_verified_is_listed_once() -> None:
    listed = not_verified(manifest(skipped=("no TVM here", "no TVM here")))
    assert listed[0] == ("latency", "an emulated device gives no milliseconds")
    assert [what for what, _ in listed] == ["latency", "emulated", "left out"]
    html = render_report(manifest(skipped=("no TVM here",)))
    assert "What this build does not prove" in html
    assert "no TVM here" in html


def test_a_build_that_proved_everything_says_so() -> None:
    latency = LatencyMeasurement(p50=18.2, p90=19.1, min=17.9, mad=0.1, low95=18.0, high95=18.4, runs=512, sessions=5)
    device = DeviceMeasurement(
        name="pi-in-the-lab",
        kind="physical",
        connection="ssh",
        fingerprint={"model": "4B"},
        latency_ms=latency,
        conditions=CONDITIONS,
    )
    verdicts = (Verdict(gate="latency", outcome="pass", code="within-budget", reason="p90 19.1 ms"),)
    html = render_report(manifest(labels=(), measurements=(device,), verdicts=verdicts))
    text = Page(html).text
    assert "What this build does not prove" not in text
    assert "median latency measured on pi-in-the-lab" in text
    assert "clock ceiling before its sessions" in text
    assert "1.80 GHz of 1.80 GHz" in text
    assert "p50 18.2 ms (95 %: 18 ms to 18.4 ms), p90 19.1 ms" in text
    assert '<span class="badge big pass">pass</span>' in html


def test_what_a_precision_loses_is_told_with_its_interval() -> None:
    drop = DropRecord(drop=0.003, low95=-0.002, high95=0.008, lost=12, won=6, images=2000)
    ladder = tuple(
        rung.model_copy(update={"drop": drop}) if rung.name.startswith("tflite") else rung for rung in manifest().ladder
    )
    calibration = CalibrationRecord(images=500, classes=9, low=-1.0, high=2.5, warnings=("no image of shoes",))
    text = Page(render_report(manifest(ladder=ladder, calibration=calibration))).text
    assert "tflite fp32 loses 0.30 points of top-1 against supernet slice: 95 % interval -0.20 to 0.80" in text
    assert "12 images lost and 6 won of 2,000" in text
    assert (
        "int8 ranges from 500 training images of 9 classes, input values -1.00 to 2.50. Warning: no image of shoes."
        in text
    )
    assert "points of top-1" not in Page(render_report(manifest())).text


def test_an_untrained_build_shows_no_accuracy() -> None:
    text = Page(render_report(manifest(**untrained()))).text
    assert "no top-1" in text
    assert "The weights are random" in text
    assert "million MACs" in text
    assert "measured top-1" not in text
    assert "91.8" not in text


def test_an_optimistic_predictor_is_named() -> None:
    # Predicted 92.05, 92.10, 92.01; measured 92.12, 91.95, 91.90.
    assert predictor_optimism(facts()["search"]) == pytest.approx(0.0006333, abs=1e-6)
    assert "measure 0.06 points below its prediction" in Page(render_report(manifest())).text
    assert predictor_optimism(untrained()["search"]) is None


def test_a_given_subnet_has_no_search_section() -> None:
    assert "<h2>Search</h2>" not in render_report(manifest(search=None))


def test_a_failed_gate_is_red_at_the_top() -> None:
    verdicts = (Verdict(gate="parity", outcome="fail", code="rung-out-of-tolerance", reason="onnx: SNR 12.0 dB"),)
    html = render_report(manifest(verdicts=verdicts))
    assert '<span class="badge big fail">fail</span>' in html
    assert "onnx: SNR 12.0 dB" in html


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_900_000, "1.9 MB"), (2_500, "2.5 kB"), (3_200_000_000, "3.2 GB")]
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_it_says_what_the_search_went_by() -> None:
    parts = facts()
    why = "its Kendall's tau is -0.20: it may have no order at all"
    by_macs = parts["search"].model_copy(update={"ranked_by": "macs", "ranked_why": why})
    text = Page(render_report(manifest(**{**parts, "search": by_macs}))).text
    assert f"The search goes by MACs: {why}." in text
    assert "is a line over log MACs" in text
    assert "The line's error on held-out subnets" in text
    by_predictor = by_macs.model_copy(update={"ranked_by": "predictor", "ranked_why": "it ranks"})
    text = Page(render_report(manifest(**{**parts, "search": by_predictor}))).text
    assert "The search goes by the accuracy predictor: it ranks." in text
    assert "line over log MACs" not in text
    before = by_macs.model_copy(update={"ranked_by": None})  # a manifest from before this was recorded
    assert "The search goes by" not in Page(render_report(manifest(**{**parts, "search": before}))).text
