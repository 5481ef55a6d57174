"""The kit that ships with the package, on each of our own connections."""

import sys

import adb_rig
import pytest
from ssh_rig import Server, needs_sshd

from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.device.emulation.emulated import open_emulated
from ofa_edge.device.emulation.emulated_system.connections import open_emulated_adb, open_emulated_ssh
from ofa_edge.errors import DeviceError, ToolMissingError, UnsupportedError
from ofa_edge.testing.connection_kit import *  # noqa: F403 - the tests themselves

EMULATED = {"emulated": open_emulated, "emulated-ssh": open_emulated_ssh, "emulated-adb": open_emulated_adb}
needs_adb = pytest.mark.skipif(adb_rig.WHY_NOT is not None, reason=str(adb_rig.WHY_NOT))


@pytest.fixture(
    scope="module",
    params=[
        "local",
        pytest.param("ssh", marks=needs_sshd),
        pytest.param("adb", marks=needs_adb),
        *EMULATED,
    ],
)
def connect(request, tmp_path_factory):
    """Each of ours; one that cannot be had here says why."""
    if request.param == "local":
        yield LocalConnection
    elif request.param == "ssh":
        server = Server(tmp_path_factory.mktemp("sshd"))
        yield lambda: SshConnection("bench", server.address(), (sys.executable,))
        server.stop()
    elif request.param == "adb":
        phone = adb_rig.Phone(tmp_path_factory.mktemp("adb-home"))
        yield phone.connect
        phone.stop()
    else:
        start = EMULATED[request.param]
        try:
            start("cortex-a72").close()
        except (DeviceError, ToolMissingError, UnsupportedError) as error:
            pytest.skip(f"{error.what}: {error.why}")
        yield lambda: start("cortex-a72")
