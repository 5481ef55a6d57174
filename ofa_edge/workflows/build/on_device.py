"""The device stage: run the artifact where it will live, or on what stands in for that."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import Build
from ofa_edge.data.dataset import Samples
from ofa_edge.device.access import connected, held, is_target, peak_gmacs
from ofa_edge.device.conditions import DeviceConditions
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.turns import check_timeable
from ofa_edge.device.protocol import Connection, LatencyPlan, Measurement, Request
from ofa_edge.files import write_json
from ofa_edge.network import Network
from ofa_edge.records.manifest import DeviceMeasurement, LatencyMeasurement, ModelledCyclesRecord
from ofa_edge.runtimes import Artifact, Stages
from ofa_edge.runtimes.answers import LOGITS, installed, load_logits, save_array
from ofa_edge.targets import Target
from ofa_edge.verify.gates import inconclusive


@dataclass(frozen=True)
class Trial:
    """What is run on a device: an artifact of a network, built for a target, over images."""

    artifact: Artifact
    network: Network
    target: Target
    images: Samples

    @classmethod
    def of(cls, build: Build, images: Samples) -> "Trial":
        """The artifact of a build, over images."""
        return cls(build.artifact, build.network, build.target, images)


@dataclass(frozen=True)
class DeviceResult:
    """What a device answered, and whether it is the target's own hardware."""

    logits: NDArray[np.float32]
    record: DeviceMeasurement
    is_target: bool


def request_of(
    trial: Trial,
    connection: Connection,
    *,
    latency: LatencyPlan | None = None,
    memory: bool = False,
    timeout_s: float = 900.0,
) -> Request:
    """What is asked of a device; `latency` is by default what such a connection is given."""
    artifact, target, runs = trial.artifact, trial.target, trial.target.runtime
    return Request(
        artifact=artifact.path,
        program=artifact.runtime.program,
        inputs=trial.network.inputs(trial.images),
        classes=trial.network.values,
        shapes=trial.network.interface.shapes if len(trial.network.interface.inputs) > 1 else (),
        threads=runs.threads,
        cores=runs.cores,
        runner=artifact.runner,
        macs=trial.network.macs,
        peak_gmacs=peak_gmacs(target, artifact.precision, connection.fingerprint(), connection),
        latency=latency or (LatencyPlan.quick() if connection.kind == "local" else LatencyPlan()),
        memory=memory,
        timeout_s=timeout_s,
    )


def check_tunable(device: str, target: Target) -> None:
    """Raise, before any work, where `--tune` was asked for on a device that cannot be reached or gives no times."""
    with connected(device, target, "tune") as connection:
        check_timeable(connection, target.hardware.arch)


def run_on_device(stages: Stages, device: str, trial: Trial) -> DeviceResult | None:
    """Measure an artifact on a device; None for the device "none".

    An emulated device is deterministic, so its answers are kept in the cache; hardware is measured each time.
    """
    if device == "none":
        return None
    with connected(device, trial.target, "build for") as connection:
        return _cached(stages, trial, connection) if connection.kind == "emulated" else _fresh(trial, connection)


def measure_artifact(device: str, trial: Trial, release: bool = False) -> DeviceResult:
    """Measure an artifact on a device of whatever kind, without the cache. Raises ConfigError for none.

    With `release` latency is sampled as a release asks; else as long as usual.
    """
    with connected(device, trial.target, "verify") as connection:
        return _fresh(trial, connection, LatencyPlan.release() if release else None)


def time_artifact(trial: Trial, connection: Connection, conditions: DeviceConditions | None) -> DeviceMeasurement:
    """Latency of an artifact by the usual protocol on a device that is `held`, its answers but for one left out."""
    one = Trial(trial.artifact, trial.network, trial.target, trial.images.sample(1))
    return _record(_measure(one, connection, conditions), connection.kind)


def _fresh(trial: Trial, connection: Connection, latency: LatencyPlan | None = None) -> DeviceResult:
    """Measure under the device's lease; where it is hardware, in the state that measuring needs."""
    with held(connection, trial.target) as conditions:
        measurement = _measure(trial, connection, conditions, latency)
    record = _record(measurement, connection.kind)
    return DeviceResult(measurement.outputs, record, is_target(trial.target, measurement.fingerprint, connection))


def _cached(stages: Stages, trial: Trial, connection: Connection) -> DeviceResult:
    def produce(folder: Path) -> None:
        measurement = _measure(trial, connection)
        save_array(folder / LOGITS, measurement.outputs)
        write_json(folder / "device.json", _record(measurement, connection.kind).model_dump(mode="json"))

    inputs = {
        "artifact": trial.artifact.sha256,
        "runtime": trial.artifact.runtime.name,
        "test": trial.images.digest,
        "device": connection.fingerprint().to_json() | {"boot_id": ""},
    }
    packages = tuple(each for each in trial.artifact.runtime.packages if installed(each))
    entry = stages.run("device", inputs, packages, produce)
    record = DeviceMeasurement.model_validate_json(entry.path("device.json").read_bytes())
    return DeviceResult(load_logits(entry), record, False)


def _measure(
    trial: Trial,
    connection: Connection,
    conditions: DeviceConditions | None = None,
    latency: LatencyPlan | None = None,
) -> Measurement:
    # An emulated device has no conditions, and is measured without: it gives no times.
    request = request_of(trial, connection, latency=latency, memory=True)
    return measure(connection, request) if conditions is None else measure(connection, request, conditions)


def _record(measurement: Measurement, kind: str) -> DeviceMeasurement:
    latency, cycles = measurement.latency, measurement.modelled_cycles
    facts = measurement.fingerprint.to_json()
    del facts["boot_id"]  # names one machine; what is published need not
    return DeviceMeasurement(
        name=measurement.device,
        kind=measurement.fingerprint.device_kind,
        connection=kind,
        fingerprint={key: str(value) for key, value in facts.items() if value is not None},
        runner=dict(measurement.runner),
        conditions=dict(measurement.conditions),
        latency_ms=None
        if latency is None
        else LatencyMeasurement(
            p50=latency.p50_ms,
            p90=latency.p90_ms,
            min=latency.min_ms,
            mad=latency.mad_ms,
            low95=latency.low95_ms,
            high95=latency.high95_ms,
            runs=latency.runs,
            sessions=latency.sessions,
        ),
        no_latency=None if measurement.no_latency is None else inconclusive(measurement.no_latency),
        peak_memory=measurement.peak_memory,
        instructions_per_inference=measurement.instructions_per_inference,
        modelled_cycles=None if cycles is None else ModelledCyclesRecord(**asdict(cycles)),
        emulation_wall_ms=measurement.emulation_wall_ms,
        note="; ".join(measurement.notes),
    )
