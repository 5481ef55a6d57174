"""One run of the measuring protocol on a simulated device where something goes wrong, and what must hold after it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ofa_edge.device.conditions import prepared
from ofa_edge.device.measuring.lease import hold, leases_folder
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import LatencyPlan, Measurement, Request
from ofa_edge.errors import DeviceError
from ofa_edge.testing.sim import Fault, SimConnection, SimDevice

SESSIONS = 3
PLAN = LatencyPlan(sessions=SESSIONS, min_runs=8, min_seconds=0.0)
CLASSES = 10
LIMIT_S = 60.0


@dataclass(frozen=True)
class Attempt:
    """How it ended. Both are set where the device answered, and was not fit for its latency to be measured."""

    measurement: Measurement | None
    error: DeviceError | None
    calls: tuple[str, ...]


def attempt(device: SimDevice, artifact, images, faults: Sequence[Fault] = (), name: str = "board") -> Attempt:
    """Measure once. Anything but an error of the device's tree passes through and fails the test."""
    request = Request(artifact, litert_program, images, CLASSES, latency=PLAN, timeout_s=LIMIT_S, memory=True)
    connection = SimConnection(device, name, faults)
    try:
        with hold(connection), prepared(connection, deadline_s=0.0) as conditions:
            found = measure(connection, request, conditions)
            return Attempt(found, found.no_latency, tuple(connection.faults.calls))
    except DeviceError as error:
        return Attempt(None, error, tuple(connection.faults.calls))
    finally:
        connection.close()


def check_whole(found: Measurement, device: SimDevice, artifact, images) -> None:
    """A measurement that was given is all there, and every session in it is one process of one boot."""
    np.testing.assert_array_equal(found.outputs, device.answer(artifact, images.transpose(0, 2, 3, 1)))
    assert found.peak_memory == device.truth.memory_bytes
    assert len(found.latency.samples_ns) == SESSIONS
    ran = {session.samples_ns: session.boot_id for session in device.sessions}
    assert len(ran) == len(device.sessions)
    assert len(set(found.latency.samples_ns)) == SESSIONS
    assert {ran[samples] for samples in found.latency.samples_ns} == {found.fingerprint.boot_id}


def check_next_device(device: SimDevice, artifact, images) -> None:
    """A device measured after the one that went wrong gives what it would have given alone."""
    after = attempt(device, artifact, images, name="next")
    assert after.error is None
    check_whole(after.measurement, device, artifact, images)
    truth = device.truth.latency_ms
    assert abs(after.measurement.latency.p50_ms - truth) < 0.05 * truth
    check_free(device)


def check_free(device: SimDevice) -> None:
    """Nothing is left on the device, no work folder and no lease, and no lease is held here."""
    assert device.left_behind() == []
    assert not list(leases_folder().glob("*.json"))
