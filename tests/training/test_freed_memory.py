import ctypes
import resource

import pytest
import torch

from ofa_edge.training.freed_memory import kept

BYTES = 96 * 2**20
PAGES = BYTES // resource.getpagesize()


def faults() -> int:
    """Pages that the system gave to this process while blocks were made and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(BYTES // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="only glibc is told what to keep")
def test_blocks_are_got_once_while_memory_is_kept():
    alone = faults()
    with kept():
        torch.ones(BYTES // 4)
        within = faults()
    assert within < alone / 4 or alone < PAGES / 4  # huge pages: a block costs few faults either way


def test_nothing_is_lost_where_a_step_fails():
    with pytest.raises(ZeroDivisionError), kept():
        raise ZeroDivisionError
    assert torch.ones(4).sum() == 4
