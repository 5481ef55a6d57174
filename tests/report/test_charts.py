"""Charts: what is drawn stands where the numbers say."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import SPACE, SUBNET, facts, manifest

from ofa_edge.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, front_chart, stage_chart
from ofa_edge.report.subnet import subnet_drawing
from ofa_edge.report.svg import Axis, element, tick_text


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [item for item in root.iter() if name in item.get("class", "").split()]


def test_the_front_rises_and_stays_inside_the_frame() -> None:
    root = parse(front_chart(manifest()))
    points = [(float(item.get("cx", "")), float(item.get("cy", ""))) for item in of_class(root, "front-point")]
    assert len(points) == 12
    assert points == sorted(points, key=lambda point: point[0])
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # SVG's y runs down
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y in points)
    assert len(of_class(root, "measured")) == 3


def test_the_chosen_subnet_and_its_interval_are_on_scale() -> None:
    root = parse(front_chart(manifest()))
    budget = float(of_class(root, "budget")[0].get("x1", ""))
    per_ms = (budget - LEFT) / 20.4  # the axis starts at 0 ms
    [chosen] = of_class(root, "chosen")
    assert float(chosen.get("cx", "")) == pytest.approx(LEFT + 18.6 * per_ms, abs=0.05)
    bar = of_class(root, "interval")[0]
    assert float(bar.get("x1", "")) == pytest.approx(LEFT + 16.9 * per_ms, abs=0.05)
    assert float(bar.get("x2", "")) == pytest.approx(LEFT + 20.4 * per_ms, abs=0.05)


def test_no_search_no_chart() -> None:
    assert front_chart(manifest(search=None)) == ""
    assert stage_chart(()) == ""


def test_one_point_is_a_chart_too() -> None:
    search = facts()["search"]
    root = parse(front_chart(manifest(search=search.model_copy(update={"front": search.front[:1], "candidates": ()}))))
    assert len(of_class(root, "front-point")) == 1
    assert of_class(root, "chosen") == []


def test_bars_are_as_long_as_the_stages() -> None:
    root = parse(stage_chart(manifest().stages))
    widths = [float(bar.get("width", "")) for bar in of_class(root, "bar")]
    assert widths[1] / widths[3] == pytest.approx(6.4 / 17.5, rel=1e-3)
    assert len(of_class(root, "cached")) == 1
    assert "from cache, made in 9.0 s" in "".join(root.itertext())


def test_the_subnet_is_drawn_block_by_block() -> None:
    root = parse(subnet_drawing(manifest()))
    blocks = of_class(root, "block")
    kernels = [kernel for stage in SUBNET.stages for kernel, _ in stage]
    expands = [expand for stage in SUBNET.stages for _, expand in stage]
    assert [item.get("class") for item in blocks] == [f"block k{kernel}" for kernel in kernels]
    heights = [float(item.get("height", "")) for item in blocks]
    assert heights == pytest.approx([84.0 * expand / 6 for expand in expands])
    assert len(of_class(root, "skipped")) == len(SPACE.blocks) - len(kernels)
    words = "".join(root.itertext())
    assert "16 ch, 6 px" in words  # stage 2 at 24 px: stem stride 1, then 2 and 2
    assert "10 classes" in words


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_ticks_are_round_inside_and_few(low: float, span: float, about: int) -> None:
    axis = Axis.over([low, low + span], 0.0, 100.0)
    ticks = axis.ticks(about)
    assert len(ticks) <= about + 1
    slack = 1e-6 * (axis.high - axis.low) + 1e-9 * abs(low)
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)


def test_tick_labels_have_the_decimals_that_the_step_needs() -> None:
    assert [tick_text(value, [0.1, 0.2]) for value in (0.1, 0.30000000000000004)] == ["0.1", "0.3"]
    assert tick_text(20.0, [10.0, 20.0]) == "20"
    assert tick_text(0.05, [0.05, 0.1]) == "0.05"


def test_elements_are_escaped() -> None:
    markup = element("text", '<b>"&', x=1.0, class_='"><script>')
    root = parse(markup)
    assert root.text == '<b>"&'
    assert root.get("class") == '"><script>'
    assert root.get("x") == "1"
