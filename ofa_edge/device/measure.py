"""Measure one artifact on one device: what it answers, how fast (hardware only), how many instructions (emulated)."""

from ofa_edge.device.accuracy import accuracy_pass
from ofa_edge.device.counting import count_inference
from ofa_edge.device.protocol import Conditions, Connection, Instructions, Latency, Measurement, Request
from ofa_edge.device.samples import check_plausible, summarise
from ofa_edge.device.session import check_images, open_artifact, valid_sessions

_FIGURES = ("latency_ns", "load_ns", "first_ns", "warmup_runs", "settled", "outputs")  # of one pass, not of the runner


def measure(connection: Connection, request: Request, conditions: Conditions | None = None) -> Measurement:
    """Run the artifact over all inputs, then sample latency (hardware) or count instructions (emulated).

    An emulated device never gives milliseconds: `latency` is None whatever the request says.

    Raises:
        DeviceBusyError: the device was not fit to be measured by the deadline.
        ThrottledError: too many sessions were invalid.
        DeviceError: the device was lost, restarted, too slow, failed, or gave a latency that cannot be.
        UsageError: the request cannot be run there.
    """
    check_images(request.inputs)
    with open_artifact(connection, request, conditions) as artifact:
        answered = accuracy_pass(artifact)
        latency: Latency | None = None
        instructions: Instructions | None = None
        notes: tuple[str, ...] = ()
        if artifact.emulated:
            instructions, notes = count_inference(artifact)
        elif request.latency is not None:
            sessions = valid_sessions(artifact, request.latency, answered.outputs[0])
            latency = summarise(sessions, request.threads)
            check_plausible(latency.p50_ms, request.macs, request.peak_gmacs)
        return Measurement(
            device=connection.name,
            fingerprint=artifact.fingerprint,
            outputs=answered.outputs,
            runner={key: value for key, value in answered.facts.items() if key not in _FIGURES},
            latency=latency,
            emulation_wall_ms=answered.wall_ms if artifact.emulated else None,
            instructions=instructions,
            notes=notes,
        )
