"""`--fleet`, `--plot` and what they are refused with, on the embedded default (nothing is measured)."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from ofa_edge.search.evolution import SearchOptions
from ofa_edge.workflows.build import fleet
from ofa_edge.workflows.build import search as searching

TWO = "raspberry-pi-4=3ms,pixel-4=1ms"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(fleet, "EVALUATIONS", 3000)
    monkeypatch.setattr(searching, "OPTIONS", SearchOptions(evaluations=600))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search"], "neither was given"),
        (["search", "--fleet", TWO, "--target", "pixel-4"], "both were given"),
        (["search", "--target", "pixel-4", "--max-models", "2"], "--max-models without --fleet"),
        (["build", "--fleet", TWO, "--latency-ms", "3"], "each target of a fleet has its own budget"),
        (["build", "--fleet", "pixel-4=1ms,raspberry-pi-4"], "'raspberry-pi-4' is not NAME=MILLISECONDS"),
        (["build", "--fleet", "pixel-4=1ms,rasberry-pi-4=3ms"], "unknown target 'rasberry-pi-4'"),
        (["search", "--fleet", "pixel-4=0.0001ms,raspberry-pi-4=3ms"], "pixel-4: no subnet takes"),
        (["search", "--fleet", TWO, "--seconds", "3"], "a fleet has many searches"),
        (["search", "--fleet", TWO, "--min-accuracy", "0.9"], "a fleet has budgets"),
        (["build", "--fleet", TWO, "--refine", "2"], "a fleet has several targets"),
        (["search", "--fleet", TWO, "--plot", "front.svg"], "a picture is of one target"),
        (["search", "--target", "pixel-4", "--plot", "front.gif"], "cannot draw front.gif"),
        (["search", "--target", "pixel-4", "--sustained", "--latency-ms", "3"], "pixel-4.toml has no [sustained]"),
    ],
)
def test_what_cannot_be_done_says_why(run, arguments, words) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.splitlines()[-1].startswith("  try: ")
    assert "Traceback" not in err


def test_a_fleet_is_searched_and_printed(run) -> None:
    code, out, _ = run("search", "--fleet", TWO)
    assert code == 0
    assert "<- taken" in out
    assert out.splitlines()[-1] == f"next: ofa-edge build --fleet {TWO}"
    options = ("--max-models", "1", "--max-macs", "8M")
    assert run("search", "--fleet", TWO, *options)[1].rstrip().endswith("--max-models 1 --max-macs 8M")
    code, text, _ = run("search", "--fleet", TWO, "--max-models", "1", "--json")
    found = json.loads(text)
    assert code == 0
    [only] = found["chosen"]
    assert [item["target"] for item in only["targets"]] == ["raspberry-pi-4", "pixel-4"]
    assert all(item["latency_ms"] <= item["budget_ms"] for item in only["targets"])
    assert [len(option) for option in found["options"]] == sorted(len(option) for option in found["options"])


@pytest.mark.parametrize(("after", "served"), [(1, False), (3, True)])
def test_ctrl_c_ends_all_searches_and_says_so(run, monkeypatch, after: int, served: bool) -> None:
    search, calls = fleet.search_plans, []

    def interrupted(plans, **options):
        calls.append(len(plans))
        found = search(plans, **options)
        if len(calls) != after:
            return found
        seen = slice(None) if served else [found.latency.argmax()]  # or no more than the slowest, too slow for the next
        parts = {name: getattr(found, name)[seen] for name in ("genomes", "latency", "accuracy")}
        return replace(found, interrupted="interrupted", **parts)

    monkeypatch.setattr(fleet, "search_plans", interrupted)
    code, out, err = run("search", "--fleet", "raspberry-pi-4=30ms,pixel-4=1ms,raspberry-pi-5=1ms")
    assert code == 130
    assert len(calls) == after
    assert ("INCOMPLETE: interrupted" in out) == served
    assert ("error: interrupted" in err) != served


def test_the_front_is_drawn(run, tmp_path) -> None:
    code, _, err = run("search", "--target", "raspberry-pi-4", "--evaluations", "800", "--plot", "front.svg")
    assert code == 0
    assert "wrote front.svg" in err
    root = ET.parse(tmp_path / "here" / "front.svg").getroot()
    classes = [item.get("class") for item in root.iter()]
    assert {"front", "band", "cloud", "reference", "chosen", "offered"} <= set(classes)
