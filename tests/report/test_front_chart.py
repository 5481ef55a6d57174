"""The picture of a front: marks stand where the numbers say, names do not cover each other."""

import xml.etree.ElementTree as ET

import pytest
from manifests import NET, SPACE, SUBNET, corrected, facts

from ofa_edge.errors import ConfigError, ToolMissingError
from ofa_edge.records.network import SubnetRecord
from ofa_edge.records.search import ReferencePoint, SearchRecord
from ofa_edge.report.agreement import agreement_chart
from ofa_edge.report.front import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chosen, front_chart
from ofa_edge.report.picture import Picture, draw, require_picture, write_picture

SEARCH: SearchRecord = facts()["search"]
CHOSEN = Chosen(NET, 16.9, 20.4)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [item for item in root.iter() if name in item.get("class", "").split()]


def test_the_front_rises_and_stays_inside_the_frame() -> None:
    root = parse(front_chart(SEARCH, CHOSEN))
    points = [(float(item.get("cx", "")), float(item.get("cy", ""))) for item in of_class(root, "front-point")]
    assert len(points) == 12
    assert points == sorted(points, key=lambda point: point[0])
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # SVG's y runs down
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in points)
    assert len(of_class(root, "measured")) == 3


def test_the_chosen_subnet_and_its_interval_are_on_scale() -> None:
    root = parse(front_chart(SEARCH, CHOSEN))
    budget = float(of_class(root, "budget")[0].get("x1", ""))
    per_ms = (budget - LEFT) / 20.4  # the axis starts at 0 ms
    [chosen] = of_class(root, "chosen")
    assert float(chosen.get("cx", "")) == pytest.approx(LEFT + 18.6 * per_ms, abs=0.05)
    bar = of_class(root, "interval")[0]
    assert float(bar.get("x1", "")) == pytest.approx(LEFT + 16.9 * per_ms, abs=0.05)
    assert float(bar.get("x2", "")) == pytest.approx(LEFT + 20.4 * per_ms, abs=0.05)


def test_no_search_no_chart() -> None:
    assert front_chart(None, CHOSEN) == ""


def test_one_point_is_a_chart_too() -> None:
    root = parse(front_chart(SEARCH.model_copy(update={"front": SEARCH.front[:1], "candidates": ()}), CHOSEN))
    assert len(of_class(root, "front-point")) == 1
    assert of_class(root, "chosen") == []


def test_the_chosen_subnet_stands_at_what_is_expected_of_it() -> None:
    search = corrected(SEARCH)
    root = parse(front_chart(search, CHOSEN))
    [mark] = of_class(root, "chosen")
    heights = {float(item.get("cy", "")): float(item.get("cx", "")) for item in of_class(root, "measured")}
    assert float(mark.get("cy", "")) not in heights  # shrunk: not at its measured value
    assert len(of_class(root, "interval")) == 6  # both intervals, with their ends


def test_cloud_band_and_named_subnets_are_drawn_and_names_keep_apart() -> None:
    names = [
        ReferencePoint(name=f"uniform number {index}", subnet=f"{index:012x}", latency_ms=15 + index, score=0.92)
        for index in range(4)
    ]
    search = corrected(SEARCH).model_copy(update={"references": tuple(names)})
    root = parse(front_chart(search, CHOSEN))
    assert 0 < len(of_class(root, "cloud")) <= len(search.cloud)
    assert len(of_class(root, "reference")) == 4
    corners = [pair.split(",") for pair in of_class(root, "band")[0].get("points", "").split()]
    assert len(corners) == 2 * len(search.front)
    places = [(float(item.get("x", "")), float(item.get("y", ""))) for item in of_class(root, "reference-name")]
    assert len({round(y) for _, y in places}) > 1  # in one row they would cover each other


def test_predicted_against_measured_is_drawn_for_each_candidate() -> None:
    search = corrected(SEARCH)
    root = parse(agreement_chart(search))
    assert len(of_class(root, "foreseen")) == len(of_class(root, "predicted")) == len(search.candidates)
    assert agreement_chart(SEARCH) == ""


def picture() -> Picture:
    return Picture("<title>", "below", corrected(SEARCH), SPACE, SubnetRecord.of(SPACE, SUBNET), 16.9, 20.4)


def test_a_picture_needs_nothing_else(tmp_path) -> None:
    write_picture(tmp_path / "front.svg", picture())
    text = (tmp_path / "front.svg").read_text()
    root = parse(text)
    assert "var(" not in text
    assert text.count("http") == 1  # the namespace
    assert "&lt;title&gt;" in text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert str(draw(picture())) == text


def test_a_picture_of_another_kind_is_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"front\.pdf"):
        require_picture(tmp_path / "front.pdf")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolMissingError) as caught:
        require_picture(tmp_path / "front.png")
    assert "front.svg" in caught.value.hint
