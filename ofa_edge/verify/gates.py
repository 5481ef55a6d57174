"""The gates: what the ladder and the measurements prove, in verdicts with reason codes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ofa_edge.device.connections.plain_text import one_line
from ofa_edge.elf import LARGE_PAGE, ElfError, image, is_elf
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
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.export.tflite.flatbuffer import SUPPRESSION
from ofa_edge.records.manifest import DeviceMeasurement, DropRecord, Inconclusive, Rung, Verdict
from ofa_edge.shown import pasteable
from ofa_edge.verify.accuracy import FLOOR, judge_drop
from ofa_edge.vocabulary import Outcome

INSTRUCTIONS_LIMIT = 1.01  # of the baseline's
IMPLAUSIBLE = "implausible"
_CODES: tuple[tuple[type[DeviceError], str], ...] = (  # the first that fits
    (ThrottledError, "throttled"),
    (ImplausibleError, IMPLAUSIBLE),
    (DeviceRebootedError, "device-rebooted"),
    (DeviceLostError, "device-lost"),
    (DeviceTimeoutError, "device-timeout"),
    (OtherModelError, "other-model"),
    (DeviceRunError, "device-run-failed"),
)


def inconclusive(error: DeviceError) -> Inconclusive:
    """What a device's failure says about the artifact: nothing; and the code for why."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "device-failed")
    if isinstance(error, DeviceBusyError):
        code = error.reason
    return Inconclusive(code=code, reason=one_line(f"{error.what}: {error.why}"))


def parity_verdict(ladder: Sequence[Rung]) -> Verdict:
    """Every rung within its tolerance."""
    failed = [rung for rung in ladder if rung.outcome == "fail"]
    if failed:
        return Verdict(
            gate="parity", outcome="fail", code="rung-out-of-tolerance", reason=f"{failed[0].name}: {failed[0].note}"
        )
    open_ones = [rung for rung in ladder if rung.outcome == "unverified"]
    if open_ones:
        reason = f"{open_ones[0].name}: {open_ones[0].note}; give --data with images that the network answers to"
        return Verdict(gate="parity", outcome="unverified", code="own-noise", reason=reason)
    if len(ladder) < 2:
        return Verdict(gate="parity", outcome="unverified", code="nothing-beside-it", reason="there is no other rung")
    reason = f"{len(ladder) - 1} rung{'s' * (len(ladder) != 2)} within tolerance on {ladder[0].images} images"
    fewer = Counter(rung.images for rung in ladder if rung.images != ladder[0].images)
    reason += "".join(f", {rungs} of them on {images}" for images, rungs in fewer.items())
    return Verdict(gate="parity", outcome="pass", code="all-rungs-within-tolerance", reason=reason)


def accuracy_verdict(
    reference: Rung, judged: Rung, drop: DropRecord | None, chance: float, *, trained: bool = True
) -> Verdict:
    """The artifact's accuracy against a floor relative to its reference's, as far as the images can tell.

    Args:
        reference: the rung that the artifact is held against.
        judged: the artifact's, on the same images.
        drop: between the two; None without labels.
        chance: what guessing is worth: a reference that is no better is nothing to hold against.
        trained: whether the weights are.
    """

    def verdict(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(gate="accuracy", outcome=outcome, code=code, reason=reason)

    start, last, name = reference.accuracy, judged.accuracy, reference.metric
    if start is None or last is None or drop is None:
        why = "no labelled images were given" if trained else "the weights are random"
        return verdict("unverified", "no-labels" if trained else "untrained", f"{why}: nothing to hold")
    if not start:
        has = "none of" if name == "top-1" else f"a {name} of 0 on"
        words = f"the {reference.name} has {has} {reference.images} images{' right' if name == 'top-1' else ''}"
        return verdict("fail", "reference-answers-nothing", f"{words}: labels and network do not belong together")
    if reference.accuracy_low95 <= chance:
        words = f"the {reference.name}'s {100 * start:.2f} % {name} on {reference.images} images"
        return verdict("unverified", "reference-at-chance", f"{words} may be chance, which is {100 * chance:.2f} %")
    found = judge_drop(drop, start, (1 - FLOOR) * start)
    code = {"pass": "above-floor", "fail": "below-floor", "unverified": "too-few-images"}[found.outcome]
    words = f"{100 * last:.2f} % {name} on {judged.images} images, {100 * last / start:.2f} % of the {reference.name}'s"
    return verdict(found.outcome, code, f"{words}; {found.words}")


def delegation_verdict(inspection: Inspection, measurements: Sequence[DeviceMeasurement] = ()) -> Verdict:
    """Whether a TFLite artifact runs on fast kernels throughout: no fault in it, and all of it delegated on the device.

    Args:
        inspection: of the artifact, on this machine.
        measurements: what devices did; a device's runner says which operators its own delegate left.
    """

    def verdict(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(gate="delegation", outcome=outcome, code=code, reason=reason)

    faults = inspection.faults
    if faults:
        first, more = faults[0], f"; {len(faults) - 1} more" if len(faults) > 1 else ""
        return verdict("fail", first.code, f"{first.what}{more}: {pasteable('ofa-edge', 'inspect', inspection.file)}")
    for item in measurements:
        said = item.runner.get("undelegated")
        left = {name: count for name, count in said.items() if name != SUPPRESSION} if isinstance(said, dict) else {}
        if left:  # suppression is inside where it was asked for, and nowhere delegated
            words = ", ".join(f"{name} {count}" for name, count in left.items())
            return verdict("fail", "undelegated-on-device", f"{item.name} leaves to LiteRT's own kernels: {words}")
    words = next((value for name, value in inspection.facts.items() if name.startswith("LiteRT")), "no fault")
    return verdict("pass", "all-delegated", f"{words}; no slow kernel, one scale a channel")


def latency_verdict(
    measurements: Sequence[DeviceMeasurement], budget_ms: float | None, is_target: bool, why_not: str = ""
) -> Verdict:
    """p90 on the target's own hardware against the budget.

    Args:
        measurements: what devices did.
        budget_ms: the budget; None where none was given.
        is_target: whether the physical device measured is the target's own hardware.
        why_not: why nothing was measured on the target, in words.
    """
    outcome: Outcome
    physical = [item for item in measurements if item.latency_ms is not None]
    if physical and is_target:
        latency = physical[-1].latency_ms
        assert latency is not None
        if budget_ms is None:
            reason = f"p90 {latency.p90:.3f} ms on {physical[-1].name}; no budget was given: --latency-ms X"
            return Verdict(gate="latency", outcome="unverified", code="no-budget", reason=reason)
        outcome = "pass" if latency.p90 <= budget_ms else "fail"
        code = "within-budget" if outcome == "pass" else "over-budget"
        reason = f"p90 {latency.p90:.3f} ms on {physical[-1].name}, budget {budget_ms:.3f} ms"
        return Verdict(gate="latency", outcome=outcome, code=code, reason=reason)
    failed = next((item.no_latency for item in measurements if item.no_latency is not None), None)
    if failed is not None:
        outcome = "fail" if failed.code == IMPLAUSIBLE else "inconclusive"
        return Verdict(gate="latency", outcome=outcome, code=failed.code, reason=failed.reason)
    if any(item.kind == "emulated" for item in measurements):
        return Verdict(
            gate="latency",
            outcome="unverified",
            code="emulated-device",
            reason="an emulated device gives no milliseconds",
        )
    if physical:
        return Verdict(
            gate="latency",
            outcome="unverified",
            code="not-the-target",
            reason=f"measured on {physical[-1].name}, which is not the target's hardware",
        )
    return Verdict(
        gate="latency",
        outcome="unverified",
        code="no-device",
        reason=why_not or "no device was given: use --device NAME",
    )


def size_verdict(size: int, limit: int) -> Verdict:
    """An artifact's bytes against a limit."""
    outcome: Outcome = "pass" if size <= limit else "fail"
    code = "within-limit" if outcome == "pass" else "over-limit"
    return Verdict(gate="size", outcome=outcome, code=code, reason=f"{size:,} bytes, limit {limit:,}")


def pages_verdict(artifact: Path) -> Verdict | None:
    """Whether Android 15 and later, with their pages of 16 KB, load an artifact; None for one that is no machine code.

    Raises:
        ConversionError: it is a damaged library.
    """
    data = artifact.read_bytes()
    if not is_elf(data):
        return None
    try:
        page = image(data).page
    except ElfError as error:
        raise ConversionError(f"{artifact.name} is a damaged library", str(error), "build again") from error
    fits = page is None or page >= LARGE_PAGE
    reason = "nothing of it is loaded" if page is None else f"aligned to pages of {page:,} bytes, {LARGE_PAGE:,} needed"
    code = "fits-large-pages" if fits else "small-pages"
    return Verdict(gate="pages", outcome="pass" if fits else "fail", code=code, reason=reason)


def memory_verdict(measurements: Sequence[DeviceMeasurement], limit: int) -> Verdict:
    """Peak resident bytes of the process that ran the network on a physical device, against a limit."""
    found = [item for item in measurements if item.peak_memory is not None]
    if not found:
        reason = "no physical device measured its memory"
        return Verdict(gate="memory", outcome="unverified", code="not-measured", reason=reason)
    peak = found[-1].peak_memory
    assert peak is not None
    outcome: Outcome = "pass" if peak <= limit else "fail"
    code = "within-limit" if outcome == "pass" else "over-limit"
    reason = f"peak {peak / 2**20:.1f} MiB on {found[-1].name}, limit {limit / 2**20:.1f} MiB"
    return Verdict(gate="memory", outcome=outcome, code=code, reason=reason)


def instructions_verdict(now: int | None, baseline: int | None) -> Verdict:
    """Instructions of one emulated inference against the baseline's: exact counts, so 1 % is a change of the code."""

    def verdict(outcome: Outcome, code: str, reason: str) -> Verdict:
        return Verdict(gate="instructions", outcome=outcome, code=code, reason=reason)

    if now is None:
        return verdict("unverified", "not-counted", "no instructions were counted")
    if not baseline:
        return verdict("unverified", "no-baseline", f"{now:,} instructions an inference, and no baseline")
    words = f"{now:,} instructions an inference, {100 * (now / baseline - 1):+.2f} % of the baseline's {baseline:,}"
    if now > INSTRUCTIONS_LIMIT * baseline:
        return verdict("fail", "more-instructions", f"{words}; limit +{100 * (INSTRUCTIONS_LIMIT - 1):.0f} %")
    return verdict("pass", "within-limit", words)
