from html.parser import HTMLParser

import pytest
from nights import EVIL, accuracy, night, series

from ofa_edge.report.nightly import figures, render_nightly
from ofa_edge.report.trends import percent_of, trend_chart, trends


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_page_shows_verdicts_heaviest_first_and_a_trend_each():
    nights = [night(series(), accuracy(), day=day) for day in range(3)]
    nights.append(night(series("RED", ratio=0.12, reason="slower"), accuracy("YELLOW", 7), day=3))
    text = render_nightly(nights)
    tags = Tags(text)
    badges = [attributes["class"] for tag, attributes in tags.found if attributes.get("class", "").startswith("badge")]
    assert badges == ["badge big red", "badge red", "badge yellow", "badge red", "badge yellow"]
    assert sum(tag == "circle" for tag, _ in tags.found) == 8
    assert "night 4" in text
    assert "7 images are answered differently" in text


def test_where_a_device_stood_is_on_the_page():
    text = render_nightly([night(series())])
    assert "<dt>clock ceiling</dt><dd>1.80 GHz of 1.80 GHz</dd>" in text
    assert "<dt>not read</dt><dd>load</dd>" in text


def test_what_a_device_says_stays_text():
    text = render_nightly([night(series(reason=EVIL, device=EVIL, artifact=EVIL))], torn=2, damaged=(3, 7))
    assert not [tag for tag, _ in Tags(text).found if tag == "script"]
    assert "2 nights of the history were cut short" in text
    assert "The history cannot be read in lines 3, 7" in text


def test_a_night_with_nothing_to_draw_is_still_a_page():
    bare = series("INCONCLUSIVE", "run", ratio=None, golden=None, candidate=None, visible=None, unit="")
    assert "INCONCLUSIVE" in render_nightly([night(bare)])
    assert trend_chart(trends([night(bare)])[0]) == ""


def test_a_change_of_golden_is_marked():
    nights = [night(series(golden_sha256=sha * 64), day=day) for day, sha in enumerate("112")]
    assert [point.new_golden for point in trends(nights)[0].points] == [False, False, True]
    assert str(trend_chart(trends(nights)[0])).count('class="epoch"') == 1


def test_only_the_last_nights_are_drawn():
    nights = [night(series(), day=day) for day in range(80)]
    assert [len(trend.points) for trend in trends(nights, most=60)] == [60]
    assert trends(nights, most=60)[0].points[-1].night == 80


@pytest.mark.parametrize(
    ("item", "percent", "words"),
    [
        (series(ratio=0.0953101798), 10.0, "2 -> 2.01 ms (+10.0 %)"),
        (accuracy(lost=10), 1.0, "93.00 -> 92.00 %"),
        (series(unit="bytes", ratio=None, golden=1000.0, candidate=1100.0), 10.0, "1,000 -> 1,100 B (+10.0 %)"),
        (series(ratio=None, golden=None), None, ""),
    ],
)  # fmt: skip
def test_figures_in_words(item, percent, words):
    assert percent_of(item) == (None if percent is None else pytest.approx(percent))
    assert figures(item) == words
