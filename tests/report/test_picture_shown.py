"""A picture in a notebook."""

import sys
from pathlib import Path

import pytest
from manifests import SPACE, SUBNET, corrected, facts

from ofa_edge.errors import ToolMissingError
from ofa_edge.records.network import SubnetRecord
from ofa_edge.report.picture import Picture, require_picture, write_picture


def test_a_notebook_shows_what_the_file_holds(tmp_path) -> None:
    chosen = SubnetRecord.of(SPACE, SUBNET)
    picture = Picture("title", "below", corrected(facts()["search"]), SPACE, chosen, 16.9, 20.4)
    write_picture(tmp_path / "front.svg", picture)
    assert picture._repr_svg_() == (tmp_path / "front.svg").read_text()
    assert repr(picture) == "Picture(title='title', subtitle='below', low90=16.9, high90=20.4)"


def test_what_draws_a_png_is_named_before_any_work(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)  # as if it were not installed
    with pytest.raises(ToolMissingError) as caught:
        require_picture(Path("front.png"))
    assert "pip install 'ofa-edge[plot]'" in caught.value.hint
    assert "--plot front.svg" in caught.value.hint
