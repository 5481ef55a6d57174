"""The floors of the house stand in two places, pyproject.toml and CONTRIBUTING.md, and are the same."""

import re
import tomllib

from places import ROOT


def floors() -> list[set[str]]:
    """Rooms by floor from the top, as import-linter is told."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [{room.strip().removeprefix("ofa_edge.") for room in layer.split("|")} for layer in contract["layers"]]


def test_contributing_lists_the_floors_that_are_checked():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## The house")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, re.MULTILINE)
    named = [re.findall(r"`([^`]+)`", row) for row in rows]
    assert [{room.removesuffix("/").removesuffix(".py") for room in row} for row in named] == floors()
    for room in (room for row in named for room in row):
        assert (ROOT / "ofa_edge" / room).is_dir() == room.endswith("/"), room


def test_every_room_is_on_a_floor():
    rooms = {
        path.stem for path in (ROOT / "ofa_edge").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - {"__init__"} == set().union(*floors())
