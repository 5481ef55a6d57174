"""Each step of the measuring protocol x each thing that can go wrong on a device: what must be true afterwards.

The right class of error or a whole result, nothing left on the device (at the latest when it is measured again, where
it was gone when it should have been cleaned), no session joined from two, and the next device untouched.
"""

import pytest
from attempts import SESSIONS, attempt, check_free, check_next_device, check_whole

from ofa_edge.errors import (
    DeviceBusyError,
    DeviceLostError,
    DeviceRebootedError,
    DeviceRunError,
    DeviceTimeoutError,
    ThrottledError,
)
from ofa_edge.testing.sim import FAULT_KINDS, Fault

# step: the calls that belong to it, as globs, and which of those that match
LEASE = {"lease": ("run ln *", 0)}
FINGERPRINT = {
    "uname before": ("run uname *", 0),
    "system files before": ("run head */proc/cpuinfo*", 0),
}
WORKDIR = {"work folder": ("run mktemp *", 0)}
TRANSFERS = {
    "push program": ("send litert_runner.py.part", 0),
    "compare program": ("run sha256sum */litert_runner.py.part", 0),
    "push artifact": ("send model.tflite.part", 0),
    "compare artifact": ("run sha256sum */model.tflite.part", 0),
    "push inputs": ("send inputs-0.npy.part", 0),
    "pull outputs": ("fetch outputs-0.npy", 0),
    "compare outputs": ("run sha256sum */outputs-0.npy", 0),
    "pull timed outputs": ("fetch timed.npy", 0),
}
RENAMES = {"rename artifact": ("run mv *model.tflite", 0), "rename inputs": ("run mv *inputs-0.npy", 0)}
RUNS = {
    "accuracy run": ("run sim-python *inputs-0.npy*", 0),
    "memory pass": ("run sim-python *--memory*", 0),
    "first session": ("run sim-python *--latency*", 0),
    "second session": ("run sim-python *--latency*", 1),
    "last session": ("run sim-python *--latency*", 2),
}
CONDITIONS = {
    "identity": ("run head *serial-number *", 0),
    "family": ("run getprop *", 0),
    "governor": ("run head *scaling_governor *", 1),
    "heat": ("run head *thermal_zone0/temp *", 0),
    "load": ("run head */proc/loadavg *", 0),
    "throttled": ("run vcgencmd *", 0),
}
CONDITIONS_AFTER = {
    "governor and ceiling after": ("run head *scaling_governor *", 2),
    "heat after": ("run head *thermal_zone0/temp *", 1),
    "throttled after": ("run vcgencmd *", 1),
}
AFTER = {"uname after": ("run uname *", 5), "system files after": ("run head */proc/cpuinfo*", 5)}
CLEANUP = {"cleanup": ("run rm -rf *", 0), "lease given back": ("run rm -f *", 0)}
STEPS = {
    **LEASE,
    **FINGERPRINT,
    **WORKDIR,
    **TRANSFERS,
    **RENAMES,
    **RUNS,
    **CONDITIONS,
    **CONDITIONS_AFTER,
    **AFTER,
    **CLEANUP,
}

AT_ONCE = 1  # calls that a device which starts anew does not answer
KINDS = [(kind, False, None) for kind in FAULT_KINDS] + [("reboot", False, AT_ONCE)]
LATE = [(kind, True, None) for kind in ("hang", "disconnect", "reboot")]


def expected(step, kind, calls):
    """The class of error with which a run must end, or None for a whole result."""
    unread = ("exit", "garbage", "truncate")
    if step in CLEANUP:
        wanted = None
    elif kind == "throttle":
        wanted = throttled(step)
    elif kind == "hang":
        wanted = DeviceTimeoutError
    elif kind == "reboot":
        told = step in TRANSFERS or (calls == AT_ONCE and step in (*RUNS, *RENAMES))
        wanted = DeviceRebootedError if told else DeviceLostError
    elif kind == "disk-full":
        wanted = None if step in AFTER else DeviceRunError
    elif (step in TRANSFERS and kind != "exit") or (step in (*CONDITIONS, *CONDITIONS_AFTER) and kind in unread):
        wanted = None  # damaged or cut off: tried again. Not told: measured without, or the session is run again
    elif step in (*RENAMES, *LEASE) and kind in ("garbage", "truncate"):
        wanted = None  # these programs say nothing that anyone reads
    else:
        wanted = DeviceLostError if kind == "disconnect" else DeviceRunError
    return wanted


def throttled(step):
    """Hot before the first session: not fit to be measured. In a session: what was measured counts for nothing."""
    if step in AFTER:
        return None
    during = ("pull timed outputs", *[name for name in RUNS if "session" in name], *CONDITIONS_AFTER)
    return ThrottledError if step in during else DeviceBusyError


@pytest.mark.parametrize(("kind", "late", "calls"), KINDS + LATE)
@pytest.mark.parametrize("step", STEPS)
def test_after_a_fault(make_device, artifact, images, step, kind, late, calls):
    device, other = make_device(), make_device()
    on, nth = STEPS[step]
    found = attempt(device, artifact, images, [Fault(kind, on, nth, late, calls)])
    wanted = expected(step, kind, calls)
    if wanted is None:
        assert found.error is None
        check_whole(found.measurement, device, artifact, images)
    else:
        assert isinstance(found.error, wanted), found.error
        assert isinstance(found.error, DeviceRebootedError) <= (kind == "reboot")
        assert found.measurement is None or found.measurement.latency is None
    check_next_device(other, artifact, images)
    if step in CONDITIONS_AFTER and kind in ("exit", "garbage", "truncate"):
        assert len(device.sessions) == SESSIONS + 1  # the session of which nothing is known was run again
    device.recover()
    again = attempt(device, artifact, images)
    assert again.error is None
    check_whole(again.measurement, device, artifact, images)
    check_free(device)


def test_every_step_is_struck(make_device, artifact, images):
    calls = attempt(make_device(), artifact, images).calls
    for step, (on, nth) in STEPS.items():
        schedule = [Fault("exit", on, nth)]
        assert attempt(make_device(), artifact, images, schedule).calls != calls or step in CLEANUP
