"""What stands around each run of a calibration, so that no sample of a hot or restarted device counts."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from ofa_edge.device.protocol import Conditions, Connection
from ofa_edge.errors import DeviceRebootedError, ThrottledError

Guard = Callable[[Connection], AbstractContextManager[None]]
"""What stands around each run: it raises a DeviceError where the run's samples must not count."""


@contextlib.contextmanager
def same_boot(connection: Connection) -> Iterator[None]:
    """Raise DeviceRebootedError where the device restarted during a run."""
    before = connection.fingerprint().boot_id
    yield
    if connection.fingerprint().boot_id != before:
        raise DeviceRebootedError(f"{connection.name} restarted", "its boot id changed during the run", "run it again")


def judged_by(conditions: Conditions) -> Guard:
    """The guard of a device in these conditions: waits until it is fit, and refuses a run that heat slowed down."""

    @contextlib.contextmanager
    def guard(connection: Connection) -> Iterator[None]:
        conditions.before()
        with same_boot(connection):
            yield
        reason = conditions.after()
        if reason is not None:
            raise ThrottledError(f"{connection.name} did not stay as it was", reason, "cool it, check its power supply")

    return guard
