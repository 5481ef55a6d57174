import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.export.tvm.tuning.budget import Budget, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("90s", 90.0), ("5m", 300.0), ("1h", 3600.0), ("1.5m", 90.0), ("0s", 0.0)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5d", "1e9s", "nan", "5m5s", "m5"])
def test_other_words_are_refused(text):
    with pytest.raises(ConfigError, match=r"bad tuning budget") as caught:
        parse_duration(text)
    assert "90s, 5m or 1h" in caught.value.hint


def test_a_budget_runs_out():
    now = [100.0]
    budget = Budget(10, lambda: now[0])
    now[0] = 104.0
    assert (budget.spent(), budget.left()) == (4.0, 6.0)
    now[0] = 111.0
    assert budget.left() == 0.0
