"""Search and prediction through the front door: the command line's own results, as values."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import ofa_edge as oe
from ofa_edge.api import search
from ofa_edge.cli import main
from ofa_edge.report.picture import draw
from ofa_edge.targets import builtin_folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What the command line prints as JSON."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--json"])
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_search_finds_what_the_command_finds(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "search", "--target", "pixel-4", "--kernels", "3,5", "--evaluations", "500")
    found = oe.search_front("pixel-4", constraints=oe.Constraints(kernels=(3, 5)), evaluations=500)
    assert [point.subnet.config() for point in found.front.points] == [row["subnet"] for row in said["front"]]
    assert (found.budget_ms, found.bound) == (said["budget_ms"], said["bound"])
    assert [each.subnet.id for each in found.best] == [row["id"] for row in said["best"]]


def test_the_picture_is_what_the_command_draws(tmp_path: Path) -> None:
    file = tmp_path / "front.svg"
    with pytest.raises(SystemExit):
        main(["search", "--target", "pixel-4", "--evaluations", "300", "--plot", str(file)])
    picture = oe.search_front("pixel-4", evaluations=300).picture
    assert str(draw(picture)) == file.read_text()


def test_what_was_measured_is_drawn_beside_the_front() -> None:
    found = oe.search_front("pixel-4", evaluations=300)
    space = found.front.space
    best, worst = found.front.points[-1].subnet, space.smallest()
    plain, with_both = (
        str(draw(picture)) for picture in (found.picture, found.picture_with({best: 0.93, worst: 0.91}))
    )
    assert (plain.count('class="measured"'), with_both.count('class="measured"')) == (0, 3)  # two, and one in the key
    assert ">measured</text>" in with_both
    assert str(draw(found.picture_with({}))) == plain
    with pytest.raises(oe.ConfigError, match="not of space"):
        found.picture_with({oe.Space("other", resolutions=(64,)).largest(): 0.9})
    package = oe.open_supernet("ofa_mbv3_d234_e346_k357_w1.0", untrained=True)
    of_macs = oe.search_front("pixel-4", supernet=package, evaluations=200)
    with pytest.raises(oe.ConfigError, match="cannot be drawn"):
        of_macs.picture_with({package.space.largest(): 0.7})


def test_a_target_by_name_by_file_and_as_a_value_is_one() -> None:
    file = builtin_folder() / "pixel-4.toml"
    by_name, *others = (
        oe.search_front(target, evaluations=200).best[0] for target in ("pixel-4", file, oe.load_target("pixel-4"))
    )
    assert others == [by_name, by_name]


def test_a_supernet_without_weights_is_searched_for_macs() -> None:
    package = oe.open_supernet("ofa_mbv3_d234_e346_k357_w1.0", untrained=True)
    found = oe.search_front("pixel-4", supernet=package, evaluations=200)
    assert found.ranked.by == "macs"
    assert found.best[0].accuracy == oe.cost.macs(package.space, found.best[0].subnet)


def test_ctrl_c_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    found = oe.search_front("pixel-4", evaluations=200)
    for words, ends in (("interrupted", True), ("out of time", False)):
        stopped = dataclasses.replace(found.front, interrupted=words)
        monkeypatch.setattr(search, "predicted_search", lambda *_, stopped=stopped: stopped)
        if ends:
            with pytest.raises(KeyboardInterrupt):
                oe.search_front("pixel-4", evaluations=200)
        else:
            assert oe.search_front("pixel-4", evaluations=200).front is stopped


def test_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = {"pixel-4": 2.0, "raspberry-pi-4": 3.0}
    fleet = oe.search_fleet(budgets, max_models=1, evaluations=300)
    (row,) = fleet.chosen.rows
    assert [plan.target.name for plan in fleet.plans] == list(budgets)
    for name, budget in budgets.items():
        assert oe.predict(fleet.subnet(row), name).ms <= budget
    with pytest.raises(oe.ConfigError, match="a fleet has 2 to"):
        oe.search_fleet({"pixel-4": 2.0})
    stopped = dataclasses.replace(fleet, interrupted=True)
    monkeypatch.setattr(search, "searched_fleet", lambda *_: stopped)
    with pytest.raises(KeyboardInterrupt):
        oe.search_fleet(budgets)


def test_a_prediction_is_what_explain_says(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(capsys, "explain", "--target", "raspberry-pi-4")
    space = oe.open_supernet("fashion-mnist").space
    for supernet in ("fashion-mnist", space, oe.open_supernet("fashion-mnist")):
        found = oe.predict(space.largest(), "raspberry-pi-4", supernet=supernet)
        assert found.interval.to_json() == said["latency_ms"]
        assert [part.ms for part in found.parts] == [part["ms"] for part in said["parts"]]
    with pytest.raises(oe.ConfigError, match="not of space"):
        oe.predict(oe.Space("other", resolutions=(64,)).largest(), "raspberry-pi-4", supernet=space)
