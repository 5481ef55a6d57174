from ofa_edge.export.tvm.schedules.facts import FunctionFacts, ScheduleFacts

FAST = FunctionFacts("conv", "pointwise", "", 2, 40, "a")
SLOW = FunctionFacts("odd", "default", "no sum of products", 1, 20, "b")
FACTS = ScheduleFacts("avx2", 1, (FAST, SLOW))


def test_share_of_work_counts_calls():
    assert FACTS.share_kind == "estimated"
    assert FACTS.share(SLOW) == 0.2
    assert FACTS.share(FAST) == 0.8


def test_share_of_time_where_it_was_measured():
    timed = FACTS.timed({"conv": 1.0, "odd": 3.0})
    assert timed.share(SLOW) == 0.75
    assert timed.to_json()["share_of"] == "time"


def test_fallbacks_are_named():
    assert FACTS.to_json() == {
        "isa": "avx2",
        "threads": 1,
        "layout": "NHWC",
        "rules": {"default": 1, "pointwise": 1},
        "share_of": "work",
        "fallbacks": [{"function": "odd", "why": "no sum of products", "calls": 1, "share": 0.2}],
    }
