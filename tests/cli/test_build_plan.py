"""How long a build is said to take, before it begins."""

import json

from ofa_edge.cache import StageCache
from ofa_edge.cli.build_plan import time_words, usual_stages
from ofa_edge.cli.console import StageLines
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.plan import make_plan

USUAL = {
    "search": 4.0,
    "onnx": 2.0,
    "prepare": 8.0,
    "run-given": 8.0,
    "candidates": 8.0,
    "device": 8.0,
    "tflite": 16.0,
    "run-tflite": 1.0,
    "tvm": 32.0,
    "tvm-functions": 32.0,
    "run-tvm": 32.0,
}


def test_stages_of_other_builds_do_not_count(run):
    plan = make_plan(BuildOptions("raspberry-pi-4", device="none"), claim=False, images=False)
    found = usual_stages(plan, USUAL)
    assert found == {"search": 4.0, "onnx": 2.0, "tflite": 16.0, "run-tflite": 1.0}
    words = time_words(found)
    assert words.startswith("time: about 23 s (estimated from earlier builds on this machine: tflite 16 s, search 4 s")


def test_what_is_left_is_what_such_stages_took_and_nothing_where_none_is_known():
    lines = StageLines(quiet=True, usual={"search": 100.0, "onnx": 5.0, "tflite": 20.0})
    assert lines.expected("search") == "search  usually 2 minutes, about 2 minutes to the end"
    lines("search", False, 1.0)
    assert lines.expected("extract") == "extract"
    assert lines.expected("onnx") == "onnx  usually 5 s, about 25 s to the end"
    lines("onnx", True, 0.1)
    assert lines.expected("tflite") == "tflite  usually 20 s"
    assert StageLines(quiet=True).expected("search") == "search"


def test_the_first_build_is_of_unknown_length():
    assert "not known" in time_words({})


def write_something(folder):
    (folder / "x").write_text("x")


def test_the_cache_says_what_stages_took(tmp_path):
    cache = StageCache(tmp_path)
    for number in range(3):
        cache.run("search", {"number": number}, write_something)
    (tmp_path / "search" / ("0" * 64)).mkdir()
    (tmp_path / "search" / ("0" * 64) / "index.json").write_text("{}")  # damaged: passed over
    took = [json.loads(path.read_text()).get("produced_seconds") for path in tmp_path.glob("search/*/index.json")]
    found = cache.usual_seconds()
    assert list(found) == ["search"]
    assert found["search"] == sorted(each for each in took if each is not None)[1]


def test_a_dry_run_says_so(run):
    code, out, _ = run("build", "--target", "raspberry-pi-4", "--device", "none", "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["estimated_seconds"] == {}
