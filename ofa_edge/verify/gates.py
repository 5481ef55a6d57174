"""The gates: what the ladder and the measurements prove, in verdicts with reason codes."""

import json
from collections.abc import Sequence

from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.manifest import DeviceMeasurement, Outcome, Rung, Verdict

ACCURACY_FLOOR = 0.98  # of the first rung's top-1 (MLPerf Mobile's lenient quality target)


def parity_verdict(ladder: Sequence[Rung]) -> Verdict:
    """Every rung within its tolerance."""
    failed = [rung for rung in ladder if rung.outcome == "fail"]
    if failed:
        return Verdict(
            gate="parity", outcome="fail", code="rung-out-of-tolerance", reason=f"{failed[0].name}: {failed[0].note}"
        )
    return Verdict(
        gate="parity",
        outcome="pass",
        code="all-rungs-within-tolerance",
        reason=f"{len(ladder) - 1} rungs within tolerance on {ladder[0].images} images",
    )


def accuracy_verdict(ladder: Sequence[Rung]) -> Verdict:
    """The artifact's top-1 against a floor relative to the supernet's slice; rungs on fewer images do not count."""
    judged = [rung for rung in ladder if rung.images == ladder[0].images]
    start, last = ladder[0].top1, judged[-1].top1
    if start is None or last is None:
        return Verdict(
            gate="accuracy",
            outcome="unverified",
            code="untrained",
            reason="the weights are random or the images unlabelled: accuracy means nothing",
        )
    share = last / start if start else 1.0
    outcome: Outcome = "pass" if share >= ACCURACY_FLOOR else "fail"
    words = f"{100 * last:.2f} % top-1 on {judged[-1].images} images, {100 * share:.2f} % of the {ladder[0].name}'s"
    code = "above-floor" if outcome == "pass" else "below-floor"
    return Verdict(gate="accuracy", outcome=outcome, code=code, reason=f"{words}; floor {100 * ACCURACY_FLOOR:.0f} %")


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
        return verdict("fail", first.code, f"{first.what}{more}: ofa-edge inspect {inspection.file}")
    for item in measurements:
        left = json.loads(item.fingerprint.get("runner_undelegated", "{}"))
        if left:
            words = ", ".join(f"{name} {count}" for name, count in left.items())
            return verdict("fail", "undelegated-on-device", f"{item.name} leaves to LiteRT's own kernels: {words}")
    words = next((value for name, value in inspection.facts.items() if name.startswith("LiteRT")), "no fault")
    return verdict("pass", "all-delegated", f"{words}; no slow kernel, one scale a channel")


def latency_verdict(
    measurements: Sequence[DeviceMeasurement], budget_ms: float, is_target: bool, why_not: str = ""
) -> Verdict:
    """p90 on the target's own hardware against the budget.

    Args:
        measurements: what devices did.
        budget_ms: the search's budget.
        is_target: whether the physical device measured is the target's own hardware.
        why_not: why nothing was measured on the target, in words.
    """
    physical = [item for item in measurements if item.latency_ms is not None]
    if physical and is_target:
        latency = physical[-1].latency_ms
        assert latency is not None
        outcome: Outcome = "pass" if latency.p90 <= budget_ms else "fail"
        code = "within-budget" if outcome == "pass" else "over-budget"
        reason = f"p90 {latency.p90:.3f} ms on {physical[-1].name}, budget {budget_ms:.3f} ms"
        return Verdict(gate="latency", outcome=outcome, code=code, reason=reason)
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
