"""Measure one artifact on one device: what it answers, how fast (hardware only), how many instructions (emulated)."""

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.accuracy import accuracy_pass
from ofa_edge.device.measuring.counting import count_inference
from ofa_edge.device.measuring.passes import Memory, memory_pass
from ofa_edge.device.measuring.samples import check_plausible, summarise
from ofa_edge.device.measuring.session import OpenArtifact, check_images, open_artifact, valid_sessions
from ofa_edge.device.protocol import Conditions, Connection, Instructions, Latency, Measurement, Request
from ofa_edge.errors import DeviceBusyError, DeviceError, ImplausibleError, ThrottledError

_FIGURES = ("latency_ns", "load_ns", "first_ns", "warmup_runs", "settled", "outputs")  # of one pass, not of the runner


def measure(connection: Connection, request: Request, conditions: Conditions | None = None) -> Measurement:
    """Run the artifact over all inputs, then sample latency (hardware) or count instructions (emulated).

    An emulated device never gives milliseconds: `latency` is None whatever the request says. A device that was not
    fit to be measured, was slowed down, or gave a latency that cannot be, gives none either; `no_latency` says why, and
    its answers hold all the same.

    Raises:
        DeviceError: the device was lost, restarted, too slow, or failed.
        UsageError: the request cannot be run there.
    """
    check_images(request.inputs)
    with open_artifact(connection, request, conditions) as artifact:
        answered = accuracy_pass(artifact)
        latency: Latency | None = None
        failure: DeviceError | None = None
        instructions: Instructions | None = None
        memory = memory_pass(artifact) if request.memory and not artifact.emulated else None
        notes: tuple[str, ...] = ()
        if artifact.emulated:
            instructions, notes = count_inference(artifact)
        elif request.latency is not None:
            try:
                latency = _latency(artifact, answered.outputs[0])
            except (DeviceBusyError, ThrottledError, ImplausibleError) as error:
                failure = error
        return Measurement(
            device=connection.name,
            fingerprint=artifact.fingerprint,
            outputs=answered.outputs,
            runner={key: value for key, value in answered.facts.items() if key not in _FIGURES},
            latency=latency,
            emulation_wall_ms=answered.wall_ms if artifact.emulated else None,
            instructions=instructions,
            notes=notes,
            peak_memory=memory.peak if isinstance(memory, Memory) else None,
            conditions={} if conditions is None else dict(conditions.facts),
            no_latency=failure,
        )


def _latency(artifact: OpenArtifact, expected: NDArray[np.float32]) -> Latency:
    """Several valid sessions and their figures, if they can be true."""
    request = artifact.request
    assert request.latency is not None
    latency = summarise(valid_sessions(artifact, request.latency, expected), request.threads)
    check_plausible(latency.p50_ms, request.macs, request.peak_gmacs)
    return latency
