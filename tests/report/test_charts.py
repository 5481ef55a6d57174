"""Charts: what is drawn stands where the numbers say."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import SPACE, SUBNET, manifest

from ofa_edge.report.charts import stage_chart
from ofa_edge.report.subnet import TALLEST, subnet_drawing
from ofa_edge.report.svg import Axis, element, tick_text


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [item for item in root.iter() if name in item.get("class", "").split()]


def test_no_stages_no_chart() -> None:
    assert stage_chart(()) == ""


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
    assert [item.get("class") for item in blocks] == [f"block k{kernel}" for kernel in kernels]
    heights = [float(item.get("height", "")) for item in blocks]
    middles = [block.spec.middle(block.expand) for block in SPACE.active_blocks(SUBNET)]
    widest = max(spec.middle(6) for spec in SPACE.blocks)
    assert heights == pytest.approx([TALLEST * (middle / widest) ** 0.5 for middle in middles], abs=0.01)
    assert [int(item.text or "") for item in of_class(root, "channels")] == middles
    assert len(of_class(root, "offered")) == len(kernels)
    assert len(of_class(root, "skipped")) == len(SPACE.blocks) - len(kernels)
    words = "".join(root.itertext())
    assert "16 ch, 12 to 6 px" in words  # stage 2 at 24 px: stem stride 1, then 2 and 2
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
