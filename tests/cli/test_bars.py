"""Progress bars: all of them, time left too, within a terminal of 80 columns."""

import io

import pytest
from rich.console import Console

from ofa_edge.cli.bars import Bars
from ofa_edge.cli.training_bars import TrainingBars
from ofa_edge.training.run import Progress


def drawn(bars: Bars) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(bars.bars.get_renderable())
    return captured.get().splitlines()


def test_a_long_training_is_not_cut() -> None:
    bars = TrainingBars(quiet=True)
    bars.step(Progress(123456, 180000, "expand-2", 9, 0.01, 12.345, 100.0, (12.345,), macs=7.0, expected_macs=10.0))
    (line,) = drawn(bars)
    assert line.rstrip().endswith("123456/180000 expand-2  loss 12.35  top-1 100")
    assert "70 %" in line
    assert "left" in line


@pytest.mark.parametrize(
    "facts", ["1,000,000 of 1,000,000 subnets evaluated", "127 of 127 sets of targets searched for"]
)
def test_a_search_is_not_cut(facts: str) -> None:
    bars = Bars(quiet=True)
    bars.update("search", 1.0, facts)
    (line,) = drawn(bars)
    assert line.rstrip().endswith(facts)


def test_a_bar_moves() -> None:
    bars = Bars(quiet=True)
    bars.update("pairs", 0.1, "1 of 10")
    bars.update("pairs", 0.5, "5 of 10")
    assert [line.split()[-3:] for line in drawn(bars)] == [["5", "of", "10"]]
