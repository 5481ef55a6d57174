"""docs/measuring.md shows what its command prints, and the command's figures are what it says they are."""

import a_a
import pytest


def nights(*medians, noise=0.01):
    """Eight pairs a night around a median ratio."""
    spread = [-1.0, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1.0]
    return [[[2.0, 2.0 * median * (1 + noise * step)] for step in spread] for median in medians]


def test_the_page_shows_the_record():
    text = a_a.PAGE.read_text()
    assert text[text.index(a_a.BEGIN) + len(a_a.BEGIN) : text.index(a_a.END)] == f"\n{a_a.table()}"


def test_a_nights_ratio_is_its_median():
    assert a_a.night_ratio(nights(1.03)[0]) == pytest.approx(1.03, rel=1e-3)


def test_what_can_be_seen_is_never_under_the_floor():
    assert a_a.visible(nights(1.0, 1.0, 1.001)) == 0.05
    assert a_a.visible(nights(0.9, 1.0, 1.1, 1.2, 0.8)) > 0.2


@pytest.mark.parametrize(("slower", "expected"), [(0.0, 0), (0.03, 0), (0.1, 3)])
def test_alarms(slower, expected):
    assert a_a.alarms(nights(0.99, 1.0, 1.01), slower) == expected


def test_a_ratio_over_the_limit_that_chance_could_give_is_no_alarm():
    uneven = [[[1.0, 1.2], [1.0, 1.3], [1.0, 0.8], [1.0, 1.15], [1.0, 0.7], [1.0, 1.25]]]
    assert a_a.alarms(uneven, 0.0) == 0
