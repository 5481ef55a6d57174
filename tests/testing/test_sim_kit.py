"""What every connection must do, on the simulated one."""

import pytest

from ofa_edge.testing.connection_kit import *  # noqa: F403 - the tests themselves
from ofa_edge.testing.sim import SimConnection, SimDevice


@pytest.fixture(scope="module")
def connect():
    device = SimDevice()
    yield lambda: SimConnection(device)
    assert device.left_behind() == []
    device.remove()
