import itertools
import json

import pytest

from ofa_edge.errors import (
    DeviceBusyError,
    DeviceError,
    DeviceLostError,
    DeviceRebootedError,
    DeviceRunError,
    DeviceTimeoutError,
    ImplausibleError,
    ThrottledError,
)
from ofa_edge.export.inspect import Finding, Inspection
from ofa_edge.manifest import DeviceMeasurement, DropRecord, LatencyMeasurement, Rung
from ofa_edge.verify.gates import (
    ACCURACY_FLOOR,
    accuracy_verdict,
    delegation_verdict,
    inconclusive,
    instructions_verdict,
    latency_verdict,
    memory_verdict,
    parity_verdict,
    size_verdict,
)


def rung(name="onnx", outcome="pass", top1=0.9, note=""):
    return Rung(name=name, outcome=outcome, top1=top1, images=2000, note=note)


def device(kind="physical", p90=None, name="pi"):
    latency = p90 and LatencyMeasurement(
        p50=0.9 * p90, p90=p90, min=0.8 * p90, mad=0.01, low95=0.8 * p90, high95=p90, runs=100, sessions=3
    )
    return DeviceMeasurement(name=name, kind=kind, connection="ssh", fingerprint={}, latency_ms=latency)


def code(verdict):
    return verdict.gate, verdict.outcome, verdict.code


def test_parity_names_the_first_rung_that_fails():
    ladder = [rung("slice"), rung("onnx"), rung("tflite", "fail", note="SNR 9.0 dB"), rung("device", "fail", note="x")]
    verdict = parity_verdict(ladder)
    assert code(verdict) == ("parity", "fail", "rung-out-of-tolerance")
    assert verdict.reason == "tflite: SNR 9.0 dB"
    verdict = parity_verdict([*ladder[:2], rung("tflite")])
    assert code(verdict) == ("parity", "pass", "all-rungs-within-tolerance")
    assert verdict.reason == "2 rungs within tolerance on 2000 images"


def test_accuracy_is_held_against_the_supernets_slice():
    def judged(first, last):
        return code(accuracy_verdict([rung(top1=first), rung(top1=0.0), rung(top1=last)]))

    assert judged(0.9, 0.9) == ("accuracy", "pass", "above-floor")
    assert judged(0.9, 0.95) == ("accuracy", "pass", "above-floor")
    assert judged(1.0, ACCURACY_FLOOR) == ("accuracy", "pass", "above-floor")
    assert judged(1.0, ACCURACY_FLOOR - 1e-6) == ("accuracy", "fail", "below-floor")
    assert judged(0.0, 0.0) == ("accuracy", "pass", "above-floor")  # a share of nothing: no division by zero
    reason = accuracy_verdict([rung("supernet slice", top1=0.9), rung(top1=0.45)]).reason
    assert "45.00 % top-1 on 2000 images, 50.00 % of the supernet slice's; floor 98 %" in reason


@pytest.mark.parametrize("tops", [(None, None), (0.9, None), (None, 0.9)])
def test_accuracy_of_random_weights_is_not_judged(tops):
    verdict = accuracy_verdict([rung(top1=value) for value in tops])
    assert code(verdict) == ("accuracy", "unverified", "untrained")
    assert "%" not in verdict.reason


def inspected(*findings):
    facts = {"precision": "fp32", "LiteRT 2.3.0": "1 XNNPACK partition, 60 of 60 operators delegated"}
    return Inspection("model.tflite", "tflite", 1000, facts, {"CONV_2D": 60}, findings)


def test_delegation_is_gated_on_faults():
    note = Finding("no-metadata", "note", "no metadata", "")
    verdict = delegation_verdict(inspected(note))
    assert code(verdict) == ("delegation", "pass", "all-delegated")
    assert "60 of 60 operators delegated" in verdict.reason
    faults = [Finding(name, "fault", f"{name} it is", "") for name in ("int8-hard-swish", "several-partitions")]
    verdict = delegation_verdict(inspected(*faults, note))
    assert code(verdict) == ("delegation", "fail", "int8-hard-swish")
    assert verdict.reason == "int8-hard-swish it is; 1 more: ofa-edge inspect model.tflite"


def test_delegation_is_gated_on_what_the_device_says():
    def on(left):
        item = DeviceMeasurement(
            name="pi", kind="physical", connection="ssh", fingerprint={"runner_undelegated": json.dumps(left)}
        )
        return delegation_verdict(inspected(), [device(), item])

    assert code(on({})) == ("delegation", "pass", "all-delegated")
    assert code(on({"HARD_SWISH": 3})) == ("delegation", "fail", "undelegated-on-device")
    assert "pi leaves to LiteRT's own kernels: HARD_SWISH 3" in on({"HARD_SWISH": 3}).reason


def test_latency_on_the_target_is_gated():
    assert code(latency_verdict([device(p90=10.0)], 10.0, True)) == ("latency", "pass", "within-budget")
    verdict = latency_verdict([device(p90=10.01)], 10.0, True)
    assert code(verdict) == ("latency", "fail", "over-budget")
    assert verdict.reason == "p90 10.010 ms on pi, budget 10.000 ms"


def test_latency_elsewhere_is_unverified():
    assert code(latency_verdict([device(p90=1.0)], 10.0, False)) == ("latency", "unverified", "not-the-target")
    assert code(latency_verdict([device("emulated")], 10.0, False)) == ("latency", "unverified", "emulated-device")
    verdict = latency_verdict([], 10.0, False, "no emulated device: no QEMU")
    assert code(verdict) == ("latency", "unverified", "no-device")
    assert verdict.reason == "no emulated device: no QEMU"
    assert "--device" in latency_verdict([], 10.0, False).reason


@pytest.mark.parametrize("is_target", [True, False])
def test_a_latency_that_cannot_be_fails(is_target):
    found = inconclusive(ImplausibleError("implausible latency: 0.1 ms", "floor 5 ms", "?"))
    failed = device().model_copy(update={"no_latency": found})
    assert code(latency_verdict([failed], 10.0, is_target)) == ("latency", "fail", "implausible")


def test_no_emulated_measurement_ever_gives_a_latency_verdict():
    emulated = device("emulated", name="emulated")
    for others, is_target in itertools.product(([], [device()]), (True, False)):
        assert code(latency_verdict([*others, emulated], 1e9, is_target)) == (
            "latency",
            "unverified",
            "emulated-device",
        )
    with pytest.raises(ValueError, match="emulated device gives no latency"):
        device("emulated", p90=1.0)  # the schema itself refuses one


def test_a_device_without_latency_is_not_a_measurement():
    assert latency_verdict([device()], 10.0, True).outcome == "unverified"


@pytest.mark.parametrize(
    ("lost", "won", "expected"),
    [
        (60, 10, "significant-drop"),  # 2.5 points of 2,000
        (12, 2, "above-floor"),  # p 0.013
        (16, 6, "above-floor"),  # p 0.05, exactly half a point
        (60, 50, "above-floor"),  # half a point, and chance
        (9, 0, "above-floor"),  # p 0.004, under half a point
        (12, 0, "significant-drop"),
        (10, 60, "above-floor"),  # better
        (0, 0, "above-floor"),
    ],
)
def test_a_drop_fails_where_it_is_certain_and_large(lost, won, expected):
    share = (lost - won) / 2000
    drop = DropRecord(drop=share, low95=share, high95=share, lost=lost, won=won, images=2000)
    verdict = accuracy_verdict([rung(top1=0.9), rung(top1=0.9 - share)], drop)
    assert verdict.code == expected
    assert verdict.outcome == ("fail" if expected == "significant-drop" else "pass")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ThrottledError, "throttled"),
        (DeviceRebootedError, "device-rebooted"),
        (DeviceLostError, "device-lost"),
        (DeviceTimeoutError, "device-timeout"),
        (DeviceRunError, "device-run-failed"),
        (DeviceError, "device-failed"),
        (lambda *words: DeviceBusyError(*words, reason="leased"), "leased"),
    ],
)
def test_a_device_that_failed_proves_nothing(error, expected):
    found = inconclusive(error("what", "why", "try"))
    assert (found.code, found.reason) == (expected, "what: why")
    measured = device().model_copy(update={"no_latency": found})
    verdict = latency_verdict([measured], 5.0, is_target=True)
    assert code(verdict) == ("latency", "inconclusive", expected)


def test_an_emulated_device_is_unverified_not_inconclusive():
    assert latency_verdict([device("emulated")], 5.0, is_target=False).code == "emulated-device"
    assert latency_verdict([], 5.0, is_target=False).code == "no-device"


def test_size_and_memory_against_a_limit():
    assert code(size_verdict(1000, 1000)) == ("size", "pass", "within-limit")
    assert code(size_verdict(1001, 1000)) == ("size", "fail", "over-limit")
    measured = device().model_copy(update={"peak_memory": 50 * 2**20})
    assert code(memory_verdict([measured], 50 * 2**20)) == ("memory", "pass", "within-limit")
    assert code(memory_verdict([measured], 50 * 2**20 - 1)) == ("memory", "fail", "over-limit")
    assert code(memory_verdict([device()], 1)) == ("memory", "unverified", "not-measured")


def test_instructions_against_a_baseline():
    assert code(instructions_verdict(101_000, 100_000)) == ("instructions", "pass", "within-limit")
    assert code(instructions_verdict(101_001, 100_000)) == ("instructions", "fail", "more-instructions")
    assert code(instructions_verdict(50_000, 100_000)) == ("instructions", "pass", "within-limit")
    assert code(instructions_verdict(100, None)) == ("instructions", "unverified", "no-baseline")
    assert code(instructions_verdict(None, 100)) == ("instructions", "unverified", "not-counted")
