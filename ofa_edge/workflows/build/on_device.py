"""The device stage: run the artifact where it will live, or on what stands in for that."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge import cost
from ofa_edge.device.conditions import COOL_DEADLINE_S, DeviceConditions, prepared
from ofa_edge.device.measuring.lease import hold
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.protocol import Connection, Fingerprint, LatencyPlan, Measurement, Request
from ofa_edge.device.registry.devices_file import expected_of, open_connection
from ofa_edge.errors import ConfigError
from ofa_edge.files import sha256_file, write_json
from ofa_edge.records.manifest import DeviceMeasurement, LatencyMeasurement
from ofa_edge.space import Subnet
from ofa_edge.verify.gates import inconclusive
from ofa_edge.workflows.build.plan import Plan
from ofa_edge.workflows.build.stages import LOGITS, StageRunner, inputs_for, load_logits, save_array

LOCAL_DEADLINE_S = 30.0  # this machine is hot from the build itself


@dataclass(frozen=True)
class DeviceResult:
    """What a device answered, and whether it is the target's own hardware."""

    logits: NDArray[np.float32]
    record: DeviceMeasurement
    is_target: bool


def run_on_device(
    runner: StageRunner, plan: Plan, artifact: Path, subnet: Subnet, tvm_runner: Path | None
) -> DeviceResult | None:
    """Measure the artifact on the plan's device; None for the device "none".

    An emulated device is deterministic, so its answers are kept in the cache; hardware is measured each time.
    """
    connection = open_connection(plan.device.name, plan.target)
    if connection is None:
        return None
    try:
        if connection.kind == "emulated":
            return _cached(runner, plan, artifact, subnet, tvm_runner, connection)
        return _fresh(plan, artifact, subnet, tvm_runner, connection)
    finally:
        connection.close()


def measure_artifact(
    plan: Plan, artifact: Path, subnet: Subnet, tvm_runner: Path | None, release: bool = False
) -> DeviceResult:
    """Measure an artifact on the plan's device, whatever kind it is, without the cache. Raises ConfigError for none.

    With `release` latency is sampled as a release asks; else as long as usual.
    """
    with connected(plan, "verify") as connection:
        return _fresh(plan, artifact, subnet, tvm_runner, connection, LatencyPlan.release() if release else None)


@contextlib.contextmanager
def connected(plan: Plan, purpose: str) -> Iterator[Connection]:
    """The plan's device, given up at the end. Raises ConfigError for none: `purpose` is a verb for the message."""
    connection = open_connection(plan.device.name, plan.target)
    if connection is None:
        raise ConfigError(f"no device to {purpose} on", "--device none", "--device NAME; see: ofa-edge devices list")
    try:
        yield connection
    finally:
        connection.close()


def time_artifact(
    plan: Plan,
    artifact: Path,
    subnet: Subnet,
    tvm_runner: Path | None,
    connection: Connection,
    conditions: DeviceConditions | None,
) -> DeviceMeasurement:
    """Latency of an artifact by the usual protocol on a device that is `held`, its answers but for one left out."""
    measurement = _measure(plan, artifact, subnet, tvm_runner, connection, conditions, images=1)
    return _record(measurement, connection.kind)


def _fresh(
    plan: Plan,
    artifact: Path,
    subnet: Subnet,
    tvm_runner: Path | None,
    connection: Connection,
    latency: LatencyPlan | None = None,
) -> DeviceResult:
    """Measure under the device's lease; where it is hardware, in the state that measuring needs."""
    with held(connection) as conditions:
        measurement = _measure(plan, artifact, subnet, tvm_runner, connection, conditions, latency)
    record = _record(measurement, connection.kind)
    return DeviceResult(measurement.outputs, record, is_target(plan, measurement.fingerprint, connection))


@contextlib.contextmanager
def held(connection: Connection) -> Iterator[DeviceConditions | None]:
    """A device's lease, and its conditions where it is hardware: None for an emulated one, which many may share.

    Raises:
        DeviceBusyError: somebody else holds it, it is not the device of the devices file, or it cannot be prepared.
        DeviceError: it was lost.
        ConfigError: the devices file is bad.
    """
    if connection.fingerprint().device_kind == "emulated":
        yield None
        return
    deadline_s = LOCAL_DEADLINE_S if connection.kind == "local" else COOL_DEADLINE_S
    expected = expected_of(connection.name)
    with hold(connection) as lease, prepared(connection, expected, deadline_s, lease.check) as conditions:
        yield conditions


def _cached(
    runner: StageRunner,
    plan: Plan,
    artifact: Path,
    subnet: Subnet,
    tvm_runner: Path | None,
    connection: Connection,
) -> DeviceResult:
    def produce(folder: Path) -> None:
        measurement = _measure(plan, artifact, subnet, tvm_runner, connection)
        save_array(folder / LOGITS, measurement.outputs)
        write_json(folder / "device.json", _record(measurement, connection.kind).model_dump(mode="json"))

    inputs = {
        "artifact": sha256_file(artifact),
        "runtime": plan.runtime,
        "test": plan.data.digests["test"],
        "device": connection.fingerprint().to_json() | {"boot_id": ""},
    }
    entry = runner.run("device", inputs, ("ai-edge-litert", "apache-tvm"), produce)
    record = DeviceMeasurement.model_validate_json(entry.path("device.json").read_bytes())
    return DeviceResult(load_logits(entry), record, False)


def _measure(
    plan: Plan,
    artifact: Path,
    subnet: Subnet,
    tvm_runner: Path | None,
    connection: Connection,
    conditions: DeviceConditions | None = None,
    latency: LatencyPlan | None = None,
    images: int | None = None,
) -> Measurement:
    request = Request(
        artifact=artifact,
        runtime=plan.runtime,
        inputs=inputs_for(plan, subnet, images),
        classes=plan.package.space.num_classes,
        threads=plan.target.runtime.threads,
        cores=plan.target.runtime.cores,
        runner=tvm_runner,
        macs=cost.macs(plan.package.space, subnet),
        peak_gmacs=peak_gmacs(plan, connection.fingerprint(), connection),
        latency=latency or (LatencyPlan.quick() if connection.kind == "local" else LatencyPlan()),
        memory=True,
    )
    # An emulated device has no conditions, and is measured without: it gives no times.
    return measure(connection, request) if conditions is None else measure(connection, request, conditions)


def _record(measurement: Measurement, kind: str) -> DeviceMeasurement:
    latency = measurement.latency
    facts = measurement.fingerprint.to_json()
    del facts["boot_id"]  # names one machine; what is published need not
    fingerprint = {key: str(value) for key, value in facts.items() if value is not None}
    fingerprint |= {f"condition_{key.replace(' ', '_')}": value for key, value in measurement.conditions.items()}
    return DeviceMeasurement(
        name=measurement.device,
        kind=measurement.fingerprint.device_kind,
        connection=kind,
        fingerprint=fingerprint | {f"runner_{key}": json.dumps(value) for key, value in measurement.runner.items()},
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
        emulation_wall_ms=measurement.emulation_wall_ms,
        note="; ".join(measurement.notes),
    )


def is_target(plan: Plan, fingerprint: Fingerprint, connection: Connection) -> bool:
    """Whether the device is the target's hardware, by what it says about itself."""
    if plan.target.at_hand:
        return connection.kind == "local"
    return fingerprint.device_kind == "physical" and plan.target.is_hardware(fingerprint.model, fingerprint.cpu)


def peak_gmacs(plan: Plan, fingerprint: Fingerprint, connection: Connection) -> float | None:
    """Peak of the device at hand in 1e9 MAC/s at the plan's precision; None where it is not known.

    It is known of the target's own hardware only; of this machine it is a guess. Where a core has no arithmetic of that
    precision the runtime computes in fp32.
    """
    if plan.target.at_hand or not is_target(plan, fingerprint, connection):
        return None
    hardware = plan.target.hardware
    narrow = {"fp16": hardware.peak_gmacs_fp16, "int8": hardware.peak_gmacs_int8, "dynamic": hardware.peak_gmacs_int8}
    return narrow.get(plan.precision) or hardware.peak_gmacs_fp32
