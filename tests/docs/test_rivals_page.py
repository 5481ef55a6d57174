"""docs/benchmarks/rivals.md is what its command prints, and says what was not measured."""

import json

from places import ROOT


def test_the_page_is_printed_from_the_records():
    from bench_artifacts.rivals_page import page

    recorded = json.loads((ROOT / "benchmarks" / "rivals_results.json").read_bytes())
    assert page(recorded) == (ROOT / "docs" / "benchmarks" / "rivals.md").read_text()


def test_what_was_not_measured_or_not_converted_is_said():
    from bench_artifacts.rivals_page import page

    file = {"size": 2_000_000, "snr_db": 100.0, "operators": 9, "transposes": 0, "cpu_s": 5.0}
    tools = {"ours-fp32": file, "ours-int8": file, "onnx2tf-fp32": file, "onnx2tf-int8": {"reason": "it broke"}}
    times = {"ours-fp32": [1.0, 4.0, 1.0], "onnx2tf-fp32": [2.0, 2.0, 2.0]}
    known = {"versions": {"torch": "9"}, "peers": {"onnx2tf": {}}, "processor": {"cpu": "C", "vectors": ["avx2"]}}
    text = page({**known, "found": {"net": {"tools": tools, "times": times, "load": 3.0}}})
    assert "| net | 1 | 0.50 (0.50 to 2.00) |" in text
    assert "| litert-torch | not measured |" in text
    assert "- onnx2tf-int8: it broke (net)" in text
    assert "load while it was timed: 3 to 3" in text
