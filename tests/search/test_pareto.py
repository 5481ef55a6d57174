"""Pareto fronts against their definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ofa_edge.search.pareto import pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    latency = np.array([point[0] for point in points], dtype=float)
    score = np.array([point[1] for point in points], dtype=float)
    front = pareto_front(latency, score).tolist()

    def beaten(i: int) -> bool:
        return any(
            latency[j] <= latency[i] and score[j] >= score[i] and (latency[j], -score[j]) != (latency[i], -score[i])
            for j in range(len(points))
        )

    wanted = {(latency[i], score[i]) for i in range(len(points)) if not beaten(i)}
    assert {(latency[i], score[i]) for i in front} == wanted
    assert len(front) == len(wanted)  # of equal points one
    assert (np.diff(latency[front]) > 0).all()
    assert (np.diff(score[front]) > 0).all()
