from ofa_edge.records.manifest import PartRecord
from ofa_edge.report.charts import parts_chart


def test_each_block_has_a_bar_with_its_share_and_what_bounds_it() -> None:
    parts = (
        PartRecord(name="stem", ms=1.0, bound="conv"),
        PartRecord(name="<head>", ms=3.0, bound="weights"),
    )
    drawn = str(parts_chart(parts))
    assert drawn.count('class="bar"') == 2
    assert "1 ms, 25.0%: conv" in drawn
    assert "3 ms, 75.0%: weights" in drawn
    assert "&lt;head&gt;" in drawn


def test_no_parts_no_chart() -> None:
    assert parts_chart(()) == ""
