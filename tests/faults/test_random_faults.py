"""Whatever goes wrong, and however often: no files, leases or spliced samples are left, and nothing waits for ever."""

from attempts import LIMIT_S, attempt, check_free, check_next_device, check_whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_edge.testing.sim import FAULT_KINDS, FOR_GOOD, Fault

_ON = [
    "*",
    "run *",
    "send *",
    "fetch *",
    "run sim-python *",
    "run sha256sum *",
    "run rm *",
    "run head *",
    "run uname *",
]
TRANSFER_S = 300.0  # what a copy, or comparing one, may take
AFTERWARDS_S = 240.0  # a handful of calls of 15 or 30 s, and the simulated sessions
faults = st.builds(
    Fault,
    kind=st.sampled_from(FAULT_KINDS),
    on=st.sampled_from(_ON),
    nth=st.integers(0, 60),
    late=st.booleans(),
    calls=st.sampled_from([None, 1, 2, 3, 10, FOR_GOOD]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedules=st.lists(st.lists(faults, min_size=1, max_size=3), min_size=1, max_size=3), keeps_files=st.booleans())
def test_random_faults(make_device, artifact, images, schedules, keeps_files):
    device, other = make_device(), make_device()
    for schedule in schedules:  # several runs one after the other, none of which is cleaned up after by hand
        begin = device.clock_s
        found = attempt(device, artifact, images, schedule)
        if found.error is None:
            check_whole(found.measurement, device, artifact, images)
        elif found.measurement is not None:
            assert found.measurement.latency is None
        # The first call that outlasts its limit ends the run; only questions and cleaning up come after it.
        assert device.clock_s - begin <= TRANSFER_S + LIMIT_S + AFTERWARDS_S
        if not keeps_files:
            device.reboot(keep_files=False)
    check_next_device(other, artifact, images)
    device.recover()
    last = attempt(device, artifact, images)
    assert last.error is None
    check_whole(last.measurement, device, artifact, images)
    check_free(device)
