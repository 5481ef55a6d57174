"""docs/benchmarks/artifacts.md is what its command prints, and the code behind it judges as it says."""

import sys

import numpy as np
import pytest
from places import ROOT

from ofa_edge.files import write_json

RECORDED = ROOT / "benchmarks" / "artifacts_results"


def made(role="smallest", sevens=0, rounds=None, tools=None, labelled=True):
    """A record as `record` writes it."""
    rounds = {"plain-fp32": [2.0, 4.0, 2.0], "ours-fp32": [1.0, 2.0, 1.0], **(rounds or {})}
    model = {"reason": None, "size": 1000, "cpu_s": 5.0, "wall_s": 6.0, "snr_db": 120.0, "top1": 0.9, "top1_torch": 0.9}
    return {
        "group": "default", "role": role, "rank": 0, "subnet": {"r": 28}, "macs": 1_000_000, "macs_7x7": 0.1,
        "depthwise": 10, "depthwise_7x7": sevens, "labelled": labelled, "classes": 10,
        "tools": {**{name: dict(model) for name in ("onnx", *rounds)}, **(tools or {})},
        "timing": {"tools": rounds, "load": [0.5, 1.2], "on_cpu": 0.99},
    }  # fmt: skip


def write(folder, *records):
    from bench_artifacts.record import machine

    for record in records:
        write_json(folder / f"{record['group']}-{record['role']}.json", record)
    write_json(folder / "machine.json", {**machine(), "note": "made up"})


def test_the_page_is_printed_from_the_records():
    from bench_artifacts.table import page

    assert page(RECORDED) == (ROOT / "docs" / "benchmarks" / "artifacts.md").read_text()


def test_ratios_are_paired_by_round():
    from bench_artifacts.figures import Result

    # The machine was twice as slow in the second round, for both.
    ratio = Result(made()).ratio("ours-fp32", "plain-fp32")
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)


def test_the_interval_is_as_wide_as_the_rounds_differ():
    from bench_artifacts.figures import Result

    ratio = Result(made(rounds={"ours-fp32": [1.0, 2.4, 1.2]})).ratio("ours-fp32", "plain-fp32")
    assert ratio.value == pytest.approx(0.6)
    assert (ratio.low, ratio.high) == pytest.approx((0.5, 0.6))


def test_a_goal_is_held_against_the_networks_that_it_is_about():
    from bench_artifacts.figures import Result
    from bench_artifacts.goals import GOALS, row

    slow = {"ours-fp32": [3.0, 6.0, 3.0]}
    results = [Result(made(sevens=3)), Result(made(sevens=3, rounds=slow)), Result(made())]
    wide, narrow = GOALS[:2]
    assert row(wide, results)[1] == "**missed**, met by 1 of 2"
    assert row(wide, results)[0] == "0.87 (0.50 to 1.50)"
    assert row(narrow, results)[1] == "met"
    assert row(narrow, results[:2]) is None


def test_a_tool_that_failed_or_answers_wrongly_is_named(tmp_path):
    from bench_artifacts.table import page

    wrong = {"reason": None, "size": 1, "cpu_s": 1.0, "wall_s": 1.0, "snr_db": 2.0, "top1": 0.1, "top1_torch": 0.9}
    failed = {"reason": "operator Foo is unknown", "size": None, "cpu_s": 1.0, "wall_s": 1.0}
    write(tmp_path, made(tools={"litert-torch-fp32": wrong, "onnx2tf-fp32": failed}))
    text = page(tmp_path)
    failures = text[text.index("## What failed") : text.index("## Versions")]
    assert "| onnx2tf-fp32 | default-smallest | operator Foo is unknown |" in failures
    assert "| litert-torch-fp32 | default-smallest | wrong answers: 2 dB against torch |" in failures


def test_an_export_counts_where_a_tool_starts_from_onnx():
    from bench_artifacts.figures import Result

    result = Result(made(tools={"litert-torch-fp32": {"reason": None, "cpu_s": 7.0}}))
    assert result.cost("ours-fp32") == 10.0
    assert result.cost("litert-torch-fp32") == 7.0


def test_no_results_are_said_to_be_missing(tmp_path):
    from bench_artifacts.table import page

    with pytest.raises(SystemExit, match="no results"):
        page(tmp_path)


def test_the_networks_are_the_same_each_time_and_some_have_no_7x7():
    from bench_artifacts.networks import GROUPS, networks

    for group in GROUPS:
        chosen = networks(group)
        assert chosen == networks(group)
        assert [network.role for network in chosen[:2]] == ["smallest", "largest"]
        assert len({network.subnet for network in chosen}) == 12
        sevens = [7 in network.subnet.config()["ks"] for network in chosen]
        assert sevens[:4] == [False, True, True, False]
        assert sum(sevens) == 8


def test_a_conversion_that_fails_is_kept_with_its_last_line(tmp_path):
    from bench_artifacts.conversions import LOG, run_conversion

    reason, wall, cpu = run_conversion(
        [sys.executable, "-c", "print('first'); raise ValueError('because')"], {}, tmp_path
    )
    assert reason == "ValueError: because"
    assert wall > 0
    assert cpu > 0
    assert (tmp_path / LOG).read_bytes().startswith(b"first")


def test_a_turn_runs_once_at_least():
    from bench_artifacts.worker import turn

    class Counting:
        runs = 0

        def run(self):
            self.runs += 1

    model = Counting()
    assert len(turn(model, 0.0, warm=2)["ns"]) == 1
    assert model.runs == 3


def test_images_are_answered_one_by_one():
    from bench_artifacts.running import answers

    class Summing:
        def set(self, image):
            self.image = image

        def run(self):
            self.answer = self.image.sum(axis=(2, 3))

        def logits(self):
            return self.answer

    images = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    assert np.array_equal(answers(Summing(), images), images.sum(axis=(2, 3)))
