"""The parity ladder: after each stage, how far its answers are from where they started, and whether that is allowed.

Each rung is compared with the supernet's slice, so that errors add up in sight; a device is compared with the same file
on this machine, so that what the device does is not mistaken for what the conversion did.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.decoding import Decoding
from ofa_edge.metrics import SNR_LIMIT_DB
from ofa_edge.records.manifest import Rung, Tolerance
from ofa_edge.records.scores import BoxesRecord
from ofa_edge.schema import changed
from ofa_edge.verify.finished import compare_boxes
from ofa_edge.verify.parity import compare
from ofa_edge.verify.scoring import Scorer
from ofa_edge.vocabulary import Precision

# Two orders of magnitude above what sound builds show, far below what one wrong pad or scale does (10 to 30 dB).
EXACT = Tolerance(snr_db=80.0, accuracy_drop=0.002, boxes=0.99)
_SNR = "SNR"  # what that fault begins with
_NOTHING = 1e-6  # ten times what ONNX Runtime's exponentials are off by
_OWN_MARGIN_DB = 10.0  # by which another runtime's order of sums may be further off than ONNX Runtime's two
HALF = Tolerance(snr_db=40.0, accuracy_drop=0.005, boxes=0.97)
QUANTISED = Tolerance(snr_db=12.0, accuracy_drop=0.015, boxes=0.6)
DYNAMIC = Tolerance(snr_db=25.0, accuracy_drop=0.01, boxes=0.8)
# Sums in half precision keep 11 bits of 24: sound builds show about 50 dB.
HALF_SUMS = Tolerance(snr_db=30.0, accuracy_drop=0.005, boxes=0.95)
_ON_DEVICE: dict[Precision, Tolerance] = {
    "fp32": EXACT,
    "fp16": HALF,
    "fp16-acc16": HALF_SUMS,
    # Scales of activations are found while running, from floats that differ in their last bits: steps may flip.
    "dynamic": HALF,
    # Whole files of integers answer alike but for single steps of the last rounding.
    "int8": Tolerance(snr_db=25.0, accuracy_drop=0.005, boxes=0.9),
}
_CONVERTED: dict[Precision, Tolerance] = {
    "fp32": EXACT,
    "fp16": HALF,
    # A machine whose CPU has fp16 arithmetic adds in half precision here already.
    "fp16-acc16": HALF_SUMS,
    "dynamic": DYNAMIC,
    "int8": QUANTISED,
}


def conversion_tolerance(precision: Precision) -> Tolerance:
    """What a converted file on this machine is held to, against the supernet's slice."""
    return _CONVERTED[precision]


def loosest(one: Tolerance, other: Tolerance) -> Tolerance:
    """What both allow: where a first rung is less exact itself, no later one can be nearer to it."""
    found = Tolerance()
    if one.snr_db is not None and other.snr_db is not None:
        found = changed(found, snr_db=min(one.snr_db, other.snr_db))
    if one.boxes is not None and other.boxes is not None:
        found = changed(found, boxes=min(one.boxes, other.boxes))
    if one.accuracy_drop is not None and other.accuracy_drop is not None:
        found = changed(found, accuracy_drop=max(one.accuracy_drop, other.accuracy_drop))
    return found


def device_tolerance(precision: Precision) -> Tolerance:
    """What a device is held to, against the same file on this machine."""
    return _ON_DEVICE[precision]


@dataclass(frozen=True)
class Answers:
    """One stage's answers over the test images.

    Attributes:
        name: of the rung.
        logits: [N, values].
        file: that answered, if it is one.
        size: its bytes.
        note: for people.
        own: of a first rung where it was asked: SNR in dB beside the same answers computed in another way, which is
            what float32 and ONNX Runtime leave open of them; of each output by name, or under "" of the only one.
    """

    name: str
    logits: NDArray[np.float32]
    file: str | None = None
    size: int | None = None
    note: str = ""
    own: Mapping[str, float] = field(default_factory=dict)

    @property
    def own_db(self) -> float | None:
        """The least of `own`."""
        return min(self.own.values(), default=None)


def first_rung(answers: Answers, scorer: Scorer | None) -> Rung:
    """The rung that the others are compared with. `scorer` is None where accuracy would mean nothing."""
    return Rung(
        name=answers.name,
        **({} if scorer is None else scorer.figures(answers.logits)),
        own_db=answers.own_db,
        outputs={} if "" in answers.own else dict(answers.own),
        images=len(answers.logits),
        outcome="pass",
        note=answers.note if answers.own_db is None else _joined(answers.note, _own_words(answers.own_db)),
    )


def rung(
    answers: Answers,
    reference: Answers,
    tolerance: Tolerance,
    scorer: Scorer | None,
    *,
    with_drop: bool = False,
    parts: Mapping[str, slice] | None = None,
    finished: Decoding | None = None,
) -> Rung:
    """Compare one stage with `reference` on the same images, and judge it.

    Args:
        answers: what is judged.
        reference: what it is held against.
        tolerance: how far it may be from that.
        scorer: of the images; None where accuracy would mean nothing.
        with_drop: add the drop's interval.
        parts: where each output stands in a row, by name, for a network that does not classify: each is judged.
        finished: reads the boxes of a detector that has suppressed them itself: they are compared as sets.
    """
    drop = None if scorer is None else scorer.drop(reference.logits, answers.logits)
    if finished is None:
        tolerance = changed(tolerance, boxes=None)
        found, faults = _near(answers, reference, tolerance, parts)
    else:
        tolerance = Tolerance(boxes=tolerance.boxes, accuracy_drop=tolerance.accuracy_drop)
        found, faults = _both_have(answers, reference, tolerance, finished)
    if tolerance.accuracy_drop is not None and drop is not None and drop.low95 > tolerance.accuracy_drop:
        faults.append(
            f"{drop.metric} falls by {100 * drop.drop:.2f} points ({100 * drop.low95:.2f} at least, by 95 %), "
            f"{100 * tolerance.accuracy_drop:.2f} allowed"
        )
    open_one = finished is None and _is_own_noise(found, reference.own, tolerance)
    if open_one:
        why = f"; {_own_words(reference.own_db or 0.0)}: these inputs cannot tell"
        faults = [each + why if each.startswith(_SNR) else each for each in faults]
    boxes = "" if found.get("boxes") is None else _boxes_words(found["boxes"])
    return Rung(
        name=answers.name,
        reference=reference.name,
        file=answers.file,
        size=answers.size,
        **found,
        **({} if scorer is None else scorer.figures(answers.logits)),
        drop=drop if with_drop else None,
        images=len(answers.logits),
        tolerance=tolerance,
        outcome="unverified" if open_one and len(faults) == 1 else "fail" if faults else "pass",
        note=_joined(*faults, boxes, answers.note),
    )


def _is_own_noise(found: Mapping[str, Any], own: Mapping[str, float], tolerance: Tolerance) -> bool:
    """Whether each output that is too far from the reference is as near to it as the reference is to itself.

    Of a reference that is nothing but zeros no dB tell that.
    """
    measured = found["outputs"] or {"": found["snr_db"]}
    far = [name for name, db in measured.items() if tolerance.snr_db is not None and db < tolerance.snr_db]
    if any(own.get(name, 0.0) <= -SNR_LIMIT_DB for name in far) and found["max_abs"] > _NOTHING:
        return False
    return bool(far) and all(name in own and measured[name] >= own[name] - _OWN_MARGIN_DB for name in far)


def _own_words(own_db: float) -> str:
    how = "the same to the bit" if own_db >= SNR_LIMIT_DB else f"{own_db:.1f} dB"
    return f"its own answers computed in another way: {how}"


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _near(
    answers: Answers, reference: Answers, tolerance: Tolerance, parts: Mapping[str, slice] | None
) -> tuple[dict[str, Any], list[str]]:
    """The fields of a rung that say how far numbers are apart, and what is too far."""
    difference, by_output = compare(reference.logits, answers.logits), dict[str, float]()
    if parts is not None:
        each = {name: compare(reference.logits[:, part], answers.logits[:, part]) for name, part in parts.items()}
        difference = replace(difference, snr_db=min(item.snr_db for item in each.values()))
        by_output = {name: item.snr_db for name, item in each.items()} if len(each) > 1 else {}
    faults = []
    if tolerance.max_abs is not None and not difference.max_abs <= tolerance.max_abs:
        faults.append(f"max|diff| {difference.max_abs:.2e} over {tolerance.max_abs:.2e}")
    if tolerance.snr_db is not None and not difference.snr_db >= tolerance.snr_db:
        worst = f" of output '{min(by_output, key=lambda name: by_output[name])}'" if by_output else ""
        faults.append(f"{_SNR} {difference.snr_db:.1f} dB{worst} under {tolerance.snr_db:.1f}")
    fields: dict[str, Any] = {**difference.to_json(), "outputs": by_output}
    return fields | ({} if parts is None else {"argmax_agreement": None}), faults


def _both_have(
    answers: Answers, reference: Answers, tolerance: Tolerance, finished: Decoding
) -> tuple[dict[str, Any], list[str]]:
    """The fields of a rung that say which boxes both sides have, and whether too many are missing."""
    found = compare_boxes(reference.logits, answers.logits, finished)
    few = tolerance.boxes is not None and found.share < tolerance.boxes
    return {"boxes": found}, [f"under {100 * (tolerance.boxes or 0):g} % of the boxes are on both sides"] if few else []


def _boxes_words(found: BoxesRecord) -> str:
    if not found.reference and not found.candidate:
        return "no box to compare"
    return f"{100 * found.share:.2f} % of {found.reference} and {found.candidate} boxes are on both sides"
