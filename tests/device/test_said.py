import doctest

import ofa_edge.device.said as module


def test_examples():
    assert doctest.testmod(module).failed == 0
