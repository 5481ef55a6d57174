import doctest

import ofa_edge.device.connections.plain_text as module


def test_examples():
    assert doctest.testmod(module).failed == 0
