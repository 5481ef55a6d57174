"""How loops are shared by threads: as few as give all alike, and none for little work."""

import pytest

from ofa_edge.export.tvm.schedules.isa import Isa
from ofa_edge.export.tvm.schedules.knobs import Knobs
from ofa_edge.export.tvm.schedules.tiles import _shared, threads_of


@pytest.mark.parametrize(
    ("sizes", "threads", "count"),
    [
        ((1, 112, 112), 2, 2),  # whole lines of pixels; the last loop stays
        ((1, 7, 7, 3), 2, 3),  # 49 turns leave a thread waiting for one in fifty
        ((4, 9), 4, 1),
        ((6, 9), 4, 2),
        ((3, 3), 4, 1),  # nothing is even: the fewest loops
        ((1, 1), 2, 1),
    ],
)
def test_the_fewest_loops_that_give_all_alike(sizes, threads, count):
    assert _shared(sizes, threads) == count


def test_little_work_stays_on_one_thread():
    four = Isa("neon", 16, 32, threads=4)
    assert [threads_of(four, work, Knobs(parallel_work=1000)) for work in (999, 1000)] == [1, 4]
    assert threads_of(Isa("neon", 16, 32), 1000, Knobs(parallel_work=1)) == 1
