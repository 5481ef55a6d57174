"""Each figure of the files that judgements stand on, damaged by itself: what it judges is stopped, or still judged.

Never may a figure that cannot serve turn a check off and say nothing.
"""

import copy
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from nights import accuracy, night, series
from places import ROOT

from ofa_edge.cost import macs
from ofa_edge.device.measuring.samples import check_plausible
from ofa_edge.errors import ConfigError, ImplausibleError, UnsupportedError
from ofa_edge.files import canonical_json
from ofa_edge.latency.load import load_latency_model
from ofa_edge.records.night import BaselineRecord
from ofa_edge.supernet.zoo import UNTRAINED
from ofa_edge.targets import read_target
from ofa_edge.workflows.calibrate.journal import Journal, Run, sampled
from ofa_edge.workflows.nightly.history import read_history

WORDS = ("inf", "-inf", "nan", "0", "0.0", "-1", "1e300", "1e-300", "-1e-300", "true", '"fast"', "[]", "9" * 400)
VALUES = (math.inf, -math.inf, math.nan, 0, -1, 1e300, 1e-300, True, "fast", [], None, 10**400)
GONE = object()
SPACE = next(iter(UNTRAINED.values()))
NUMBER = re.compile(r"(?m)^\w+ = (-?[\d.]+)(?=\s|$)")
TARGETS = sorted(path.stem for path in (ROOT / "targets").glob("*.toml"))


def figures(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers stand; of a list of their like the first and the last."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from figures(each, (*path, key))
    elif isinstance(value, list):
        for place in sorted({0, len(value) - 1} if value else ()):
            yield from figures(value[place], (*path, place))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def damaged(value: Any) -> Iterator[tuple[str, Any]]:
    """Copies with one figure damaged, or gone; of what is tried, the words."""
    for *before, last in figures(value):
        for bad in (*VALUES, GONE):
            whole = copy.deepcopy(value)
            part = whole
            for key in before:
                part = part[key]
            if bad is GONE:
                del part[last]
            else:
                part[last] = bad
            yield f"{'.'.join(map(str, (*before, last)))} = {'nothing' if bad is GONE else str(bad)[:10]}", whole


@pytest.mark.parametrize("name", TARGETS)
def test_a_targets_figures_never_let_an_impossible_latency_pass(tmp_path, name):
    text = (ROOT / "targets" / f"{name}.toml").read_text()
    path, refused, taken = tmp_path / "mine.toml", [], []
    for match in NUMBER.finditer(text):
        if text[: match.start()].rpartition("\n[")[2].startswith("runtime.tvm"):
            continue  # TVM's own
        for word in (*WORDS, None):
            line = "" if word is None else text[match.start() : match.start(1)] + word
            path.write_text(text[: match.start()] + line + text[match.end() :])
            try:
                target = read_target(path)
            except ConfigError as error:
                refused.append(path.name in str(error))
                continue
            taken.append(f"{match[0]} -> {word}")
            for precision in target.runtime.precisions:
                with pytest.raises(ImplausibleError):
                    check_plausible(0.001, 300_000_000, target.hardware.peak_gmacs(precision))
            assert 0 < target.defaults.relative_budget <= 1
    assert all(refused)
    assert len(refused) > 3 * len(taken), taken


@pytest.mark.parametrize("name", ["raspberry-pi-4", "pixel-4", "host"])
def test_a_latency_files_figures_never_make_every_subnet_fit(tmp_path, name):
    """Its predictions stay intervals of time that the hardware could take, or nothing is predicted."""
    text = (ROOT / "targets" / f"{name}.toml").read_text()
    (tmp_path / f"{name}.toml").write_text(text)
    target = read_target(tmp_path / f"{name}.toml")
    content = json.loads((ROOT / "targets" / f"{name}.latency.json").read_text())
    wanted = (target.runtime.kind, target.defaults.precision, target.runtime.threads)
    of = [(each["key"]["runtime"], each["key"]["precision"], each["key"]["threads"]) for each in content["models"]]
    content["models"] = [content["models"][of.index(wanted)]]
    largest = SPACE.largest()
    floor_ms = macs(SPACE, largest) / (1.5e9 * target.hardware.peak_gmacs(wanted[1])) * 1e3
    tried, refused = 0, []
    for told, whole in damaged(content):
        target.latency_path.write_text(json.dumps(whole))
        tried += 1
        try:
            found = load_latency_model(target, SPACE, wanted[0], wanted[1]).predict(largest)
        except (ConfigError, UnsupportedError) as error:
            refused.append(target.name in str(error))
            continue
        low, ms, high = (float(each) for each in (found.low90, found.ms, found.high90))
        assert 0 < low < ms < high < math.inf, told
        assert high >= floor_ms, told
    assert all(refused)
    assert len(refused) > tried / 2


def test_a_historys_figures_never_bring_back_another_golden(tmp_path):
    path = tmp_path / "history.jsonl"
    at = night(series()).at
    golden = [BaselineRecord(at=at, artifact="net", sha256=str(number) * 64, size=5) for number in (1, 2)]
    records = [golden[0], night(series(), accuracy("RED", 3)), golden[1], night(series(), day=1)]
    lines = [record.model_dump(mode="json") for record in records]
    stopped = []
    for place, line in enumerate(lines):
        for told, bad in damaged(line):
            written = [json.dumps(bad if place == number else each) for number, each in enumerate(lines)]
            path.write_text("".join(f"{each}\n" for each in written))
            try:
                found = read_history(path).golden("net")
            except ConfigError as error:
                stopped.append(f"history.jsonl:{place + 1}" in error.why)
            else:
                assert found is not None
                assert found.sha256 == "2" * 64, (place, told)
    assert all(stopped)
    assert len(stopped) > 100


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty object", "nul"])
@pytest.mark.parametrize("place", range(4))
def test_a_historys_lines_never_bring_back_an_older_golden(tmp_path, place, damage):
    path = tmp_path / "history.jsonl"
    at = night(series()).at
    golden = [BaselineRecord(at=at, artifact="net", sha256=str(number) * 64, size=5) for number in (1, 2)]
    records = [golden[0], night(series()), golden[1], night(series(), day=1)]
    lines = [canonical_json(record.model_dump(mode="json")) for record in records]
    line = lines[place]
    lines[place] = {
        "cut": line[: len(line) // 2],
        "flipped": line[:10] + bytes([line[10] ^ 4]) + line[11:],
        "empty object": b"{}",
        "nul": b"\0" * len(line),
    }[damage]
    path.write_bytes(b"\n".join(lines) + b"\n")
    try:
        found = read_history(path).golden("net")
        said = "" if found is None else found.sha256
    except ConfigError as error:
        said = error.why
    assert said == "2" * 64 or f"history.jsonl:{place + 1}" in said


def test_a_journals_figures_are_measured_again_or_are_times(tmp_path):
    path, head = tmp_path / "journal.jsonl", {"plan": "a"}
    runs = [Run(session, 0, ("a", "b"), np.full((3, 2), 1e6), 1.0, 3) for session in range(3)]
    lines = [run.to_json() for run in runs]
    again = 0
    for told, bad in damaged(lines[1]):
        path.write_text("".join(f"{json.dumps(each)}\n" for each in (head, lines[0], bad, lines[2])))
        journal = Journal(path, head)
        again += journal.damaged == (3,)
        for found in sampled(journal.runs).values():
            assert 0 < found.ms < 1e12, told
            assert 0 < found.sd < math.inf, told
    assert again > 20
