import itertools
import re
from dataclasses import asdict

import numpy as np
import pytest
from lacking import elf

from ofa_edge.errors import (
    ConversionError,
    DeviceBusyError,
    DeviceError,
    DeviceLostError,
    DeviceRebootedError,
    DeviceRunError,
    DeviceTimeoutError,
    ImplausibleError,
    OtherModelError,
    ThrottledError,
)
from ofa_edge.export.inspect import Finding, Inspection
from ofa_edge.metrics import paired_drop
from ofa_edge.records.manifest import DeviceMeasurement, DropRecord, LatencyMeasurement, Rung
from ofa_edge.schema import changed
from ofa_edge.verify.gates import (
    accuracy_verdict,
    delegation_verdict,
    inconclusive,
    instructions_verdict,
    latency_verdict,
    memory_verdict,
    pages_verdict,
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
    verdict = parity_verdict([*ladder[:2], changed(rung("emulated"), images=64)])
    assert verdict.reason == "2 rungs within tolerance on 2000 images, 1 of them on 64"


def test_parity_is_open_where_inputs_cannot_tell_but_a_fault_counts_first():
    ladder = [rung("given file"), rung("onnx", "unverified", note="SNR 9.0 dB"), rung("tflite")]
    verdict = parity_verdict(ladder)
    assert code(verdict) == ("parity", "unverified", "own-noise")
    assert verdict.reason.startswith("onnx: SNR 9.0 dB; give --data")
    assert code(parity_verdict([*ladder, rung("device", "fail", note="x")]))[1:] == ("fail", "rung-out-of-tolerance")


def judged(right, lost, won, images, classes=10):
    """The verdict on an artifact that loses and wins so many of the images that its reference has right."""
    answers = np.arange(images) < right
    other = answers.copy()
    other[:lost] = False
    other[right : right + won] = True
    drop = DropRecord(**asdict(paired_drop(answers, other)))
    rungs = [
        Rung(name=name, outcome="pass", top1=part.mean(), images=images)
        for name, part in (("slice", answers), ("tflite", other))
    ]
    return accuracy_verdict(*rungs, drop, 1 / classes)


@pytest.mark.parametrize(
    ("right", "lost", "won", "images", "outcome"),
    [
        (1852, 0, 0, 2000, "pass"),
        # By hand: 70 changed of 2,000, standard error sqrt(70 - 2500 / 2000) / 2000 = 0.41 points; 2.5 - 0.8 < 1.85.
        (1852, 60, 10, 2000, "unverified"),
        (1852, 10, 60, 2000, "pass"),  # better
        (1852, 30, 20, 2000, "pass"),
        (1852, 300, 0, 2000, "fail"),
        (450, 14, 7, 600, "unverified"),  # 1.2 points, and as likely chance
        (450, 7, 14, 600, "pass"),
        (18, 0, 0, 20, "unverified"),  # not one image lost, and nothing proved
        (90, 0, 0, 100, "unverified"),
        (90, 60, 0, 100, "fail"),  # a few images are enough for a ruin
        (2, 1, 0, 2, "unverified"),
        (1, 0, 0, 1, "unverified"),
    ],
)
def test_an_accuracy_gate_knows_its_sample(right, lost, won, images, outcome):
    verdict = judged(right, lost, won, images)
    assert verdict.outcome == outcome
    codes = {"pass": {"above-floor"}, "fail": {"below-floor"}, "unverified": {"too-few-images", "reference-at-chance"}}
    assert verdict.code in codes[outcome]


def test_how_many_images_would_tell_is_said_and_true():
    reason = judged(450, 14, 7, 600).reason
    assert "600 images cannot tell, about" in reason
    wanted = int(re.search(r"about ([\d,]+) would", reason)[1].replace(",", ""))
    times = wanted / 600
    assert judged(round(450 * times), round(14 * times), round(7 * times), wanted).outcome == "pass"
    fewer = 0.9 * times
    assert judged(round(450 * fewer), round(14 * fewer), round(7 * fewer), round(0.9 * wanted)).outcome == "unverified"
    assert "20 images cannot tell, about 200 would" in judged(18, 0, 0, 20).reason
    assert "no number of images like these would" in judged(500, 10, 0, 1000).reason  # exactly what is allowed


def test_a_reference_that_proves_nothing_never_passes():
    assert code(judged(0, 0, 0, 2000)) == ("accuracy", "fail", "reference-answers-nothing")
    assert code(judged(200, 0, 0, 2000)) == ("accuracy", "unverified", "reference-at-chance")
    assert code(judged(1000, 0, 0, 2000, classes=2)) == ("accuracy", "unverified", "reference-at-chance")
    assert judged(240, 0, 0, 2000).outcome == "pass"  # a weak network, and better than chance


@pytest.mark.parametrize("tops", [(None, None), (0.9, None), (None, 0.9)])
def test_accuracy_of_random_weights_is_not_judged(tops):
    rungs = [rung(top1=value) for value in tops]
    verdict = accuracy_verdict(*rungs, None, 0.1, trained=False)
    assert code(verdict) == ("accuracy", "unverified", "untrained")
    assert code(accuracy_verdict(*rungs, None, 0.1)) == ("accuracy", "unverified", "no-labels")
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
            name="pi", kind="physical", connection="ssh", fingerprint={}, runner={"undelegated": left}
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
    ("error", "expected"),
    [
        (ThrottledError, "throttled"),
        (DeviceRebootedError, "device-rebooted"),
        (DeviceLostError, "device-lost"),
        (DeviceTimeoutError, "device-timeout"),
        (OtherModelError, "other-model"),
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


def test_pages_of_android_15(tmp_path):
    assert pages_verdict(elf(tmp_path, "aarch64", 16384)).outcome == "pass"
    small = pages_verdict(elf(tmp_path, "aarch64", 4096))
    assert (small.gate, small.outcome, small.code) == ("pages", "fail", "small-pages")
    assert small.reason == "aligned to pages of 4,096 bytes, 16,384 needed"
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    assert pages_verdict(tmp_path / "model.tflite") is None
    (tmp_path / "cut.so").write_bytes(b"\x7fELF\x02\x01\x01")
    with pytest.raises(ConversionError):
        pages_verdict(tmp_path / "cut.so")


def test_instructions_against_a_baseline():
    assert code(instructions_verdict(101_000, 100_000)) == ("instructions", "pass", "within-limit")
    assert code(instructions_verdict(101_001, 100_000)) == ("instructions", "fail", "more-instructions")
    assert code(instructions_verdict(50_000, 100_000)) == ("instructions", "pass", "within-limit")
    assert code(instructions_verdict(100, None)) == ("instructions", "unverified", "no-baseline")
    assert code(instructions_verdict(None, 100)) == ("instructions", "unverified", "not-counted")
