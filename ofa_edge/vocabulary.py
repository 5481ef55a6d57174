"""The words that files, options and reports share: precisions, outcomes and reasons of gates, labels of builds.

A precision is a word of this grammar, and everything about it follows from the word (`numbers`):

    PRECISION = "fp32" | "fp16" | "fp16-acc16" | "dynamic" | "int8" | "w" BITS "a" BITS

`fp32`, `fp16` and `int8` name the type of weights and of activations alike. `-acc16` allows sums in half precision.
`dynamic` stores weights in int8 and finds the scales of activations while running. `w8a16` would be int8 weights
with int16 activations. The short words are the field's; every one of them stands for a pair of bits.
"""

import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Precision = Literal["fp32", "fp16", "fp16-acc16", "dynamic", "int8"]
PRECISIONS: tuple[Precision, ...] = typing.get_args(Precision)
Type = Literal["fp32", "fp16", "int8", "int16"]

NetworkKind = Literal["subnet", "network", "file"]
Task = Literal["classify", "features", "detect", "segment"]
PictureKind = Literal["smooth", "noise", "blocks", "writing"]  # of random images
Form = Literal[
    "yolov5",
    "yolov8",
    "end-to-end",
    "detr",
    "rt-detr",
    "boxes-scores",
    "boxes-scores-01",
    "yolov5-raw",
    "yolov8-raw",
    "ssd",
    "ssd-sigmoid",
    "suppressed",
]
FORMS: tuple[Form, ...] = typing.get_args(Form)
ScoreName = Literal["top-1", "mAP", "mIoU"]
Fit = Literal["crop", "squeeze", "letterbox"]
FITS: tuple[Fit, ...] = typing.get_args(Fit)
Filter = Literal["bilinear", "bicubic"]
FILTERS: tuple[Filter, ...] = typing.get_args(Filter)
Suppression = Literal["outside", "inside"]

Outcome = Literal["pass", "fail", "unverified", "inconclusive"]
OUTCOMES_BY_WEIGHT: tuple[Outcome, ...] = ("fail", "inconclusive", "unverified", "pass")
# Where the numbers of a latency model come from. `measured`: on this hardware, by us. `published`: fitted to others'
# measurements of it. `estimated`: by the hardware's own compiler, unconfirmed by hardware of ours. `modelled`: by a
# general model of arrays, of one that need not exist. `analytic`: carried over by hardware figures.
ProvenanceKind = Literal["measured", "published", "estimated", "modelled", "analytic"]
# `estimated`, `modelled`, `analytic`: as above; `outside-key`: the latency model holds for something else.
Label = Literal["untrained", "emulated", "estimated", "modelled", "analytic", "outside-key"]
UNMEASURED: tuple[Label, ...] = ("estimated", "modelled", "analytic")
"""Labels of builds whose predicted latency stands on no measurement of the target: kinds of provenance."""

_MIXED = re.compile(r"w(8|16)a(8|16)")
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1, "int16": 2}


@dataclass(frozen=True)
class Numbers:
    """What a precision means.

    Attributes:
        precision: its word.
        weights: how weights are stored.
        activations: how activations are stored between operators.
        ranges: whether the ranges of activations are fixed by calibration images.
        half_sums: whether products may be added in half precision.
    """

    precision: str
    weights: Type
    activations: Type
    ranges: bool = False
    half_sums: bool = False

    @property
    def base(self) -> str:
        """The precision without its variant: what latency and size models are fitted to."""
        return self.precision.removesuffix("-acc16")

    @property
    def exact(self) -> bool:
        """Whether the artifact computes what the fp32 network does, so that no accuracy is given up."""
        return self.weights == self.activations == "fp32"

    @property
    def arithmetic(self) -> Type:
        """The type whose arithmetic sets the pace, where a core has it; else the runtime computes in fp32."""
        return "fp32" if self.exact else self.weights

    @property
    def weight_bytes(self) -> int:
        """Bytes of a stored weight."""
        return _BYTES[self.weights]

    @property
    def map_bytes(self) -> int:
        """Bytes of a value of a map at run time."""
        return _BYTES[self.activations]

    @property
    def words(self) -> str:
        """In words, for people."""
        return self.base + (", fp16 sums" if self.half_sums else "")


def numbers(precision: str) -> Numbers:
    """What a precision means.

    fp16 files hold half-size weights; a runtime widens them, so its maps are fp32 at run time.

    Raises:
        ValueError: it is no word of the grammar.
    """
    if precision in ("fp16", "fp16-acc16"):
        return Numbers(precision, "fp16", "fp32", half_sums=precision != "fp16")
    if precision == "fp32":
        return Numbers(precision, "fp32", "fp32")
    if precision == "dynamic":
        return Numbers(precision, "int8", "fp32")
    if precision == "int8":
        return Numbers(precision, "int8", "int8", ranges=True)
    if found := _MIXED.fullmatch(precision):
        weights, activations = (typing.cast(Type, f"int{bits}") for bits in found.groups())
        return Numbers(precision, weights, activations, ranges=True)
    raise ValueError(f"{precision!r} is no precision")


@dataclass(frozen=True)
class Allowed:
    """What an artifact of small numbers may lose beside the fp32 network: one of the two is set.

    Attributes:
        drop: of top-1, as a fraction of 1.
        snr_db: what its answers have to keep.
    """

    drop: float | None = None
    snr_db: float | None = None

    def keeps(self, snr_db: float, drop: float | None) -> bool:
        """Whether answers with this ratio and this drop (None without labels) lose no more."""
        if self.snr_db is not None:
            return snr_db >= self.snr_db
        return drop is not None and self.drop is not None and drop <= self.drop

    @property
    def words(self) -> str:
        """As a user would ask for it."""
        return f"{self.snr_db:g} dB" if self.snr_db is not None else f"{100 * (self.drop or 0):g} points of top-1"


def weightiest(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that decides over several: fail before inconclusive before unverified before pass."""
    return min(outcomes, key=OUTCOMES_BY_WEIGHT.index, default="unverified")


REASONS: Mapping[str, str] = MappingProxyType(
    {
        # gates of a build and of `verify`
        "all-rungs-within-tolerance": "every rung of the ladder answers as the one before it does",
        "rung-out-of-tolerance": "a rung answers otherwise than the tolerance allows",
        "above-floor": "the interval of the accuracy excludes the floor from below",
        "below-floor": "the interval of the accuracy excludes the floor from above",
        "too-few-images": "so many images cannot tell",
        "untrained": "the weights are random",
        "no-labels": "no labelled images were given",
        "reference-at-chance": "what the artifact is held against may be guessing",
        "reference-answers-nothing": "what the artifact is held against has no image right",
        "own-noise": "a rung is as near to the reference as that is to itself, computed in another way",
        "nothing-beside-it": "the build has no fp32 network to hold it against",
        "as-other-calibrations": "other calibration images of the data give the same network",
        "unlike-other-calibrations": "other calibration images of the data give another network",
        "worse-than-other-images": "other calibration images of the data give a more accurate network",
        "below-training": "the network is less accurate than the training run measured",
        "one-class": "the calibration images show one class",
        "few-classes": "the calibration images show few of the classes",
        "no-content": "the calibration images show next to nothing",
        "other-pixels": "the calibration images have other pixel statistics than the training data",
        "all-delegated": "every operator runs on fast kernels",
        "undelegated-on-device": "the device's delegate left operators",
        "all-on-npu": "the accelerator runs every operator",
        "operators-on-cpu": "the accelerator's compiler left operators to the CPU",
        "fits": "it needs no more memory than there is",
        "does-not-fit": "it needs more memory than there is",
        "bit-exact": "two sets of kernels give the same bits",
        "not-bit-exact": "two sets of kernels give other bits",
        "no-such-kernels": "the kernels to compare with are not installed",
        "within-budget": "measured on the target's own hardware, and fast enough",
        "over-budget": "measured on the target's own hardware, and too slow",
        "not-the-target": "measured on another machine than the target",
        "emulated-device": "an emulator gives no times",
        "no-device": "nothing was measured",
        "no-budget": "measured on the target's own hardware, and no budget was given",
        "not-measured": "the device gave no latency",
        "within-limit": "within the limit that was asked for, or near the build's own figure",
        "over-limit": "above the limit that was asked for",
        "no-baseline": "there is nothing to compare with",
        "not-counted": "instructions could not be counted",
        "more-instructions": "more instructions than the build, or the golden artifact, took",
        "more-cycles": "more modelled cycles than the golden artifact takes",
        # devices
        "device-lost": "the connection broke",
        "device-rebooted": "the device restarted",
        "device-timeout": "a call ran past its limit",
        "device-run-failed": "the program on the device failed",
        "other-model": "the program on the device ran another model than the one that was sent",
        "device-failed": "the device failed in another way",
        "device-busy": "the device is in use",
        "busy": "the phone is in use",
        "leased": "somebody else holds the device",
        "lease-lost": "somebody else took the device over",
        "implausible": "a measurement that cannot be true",
        "throttled": "slowed down by heat or by its power supply",
        "throttled-since-boot": "slowed down at some time since it was started",
        "under-voltage": "the power supply is too weak",
        "too-hot": "too hot to be measured",
        "battery-low": "the battery is too low",
        "battery-unknown": "the battery's state could not be read",
        "clocks-not-locked": "the clocks are not fixed",
        "settings-changed": "the settings that measuring needs were changed meanwhile",
        "state-unknown": "the state that measuring needs could not be read",
        "wrong-device": "not the device of the devices file",
        "other-build": "the device runs another system than the devices file says",
        # nights
        "no-regression": "nothing got slower",
        "not-significant": "a difference that chance explains",
        "effect-without-evidence": "a large difference that chance may explain",
        "evidence-of-little": "a sure difference that is small",
        "not-confirmed": "a second run did not show it again",
        "rerun-disagrees": "two runs of one night contradict each other",
        "no-rerun": "there was no time for a second run",
        "change-point": "the last nights lie apart from those before",
        "no-drop": "accuracy is as it was",
        "answers-kept": "the answers are as they were",
        "answers-moved": "the answers are another network's than the golden's",
        "unlike-fp32": "the device does not answer as the artifact's own fp32 network does",
        "accuracy-dropped": "accuracy fell by more than chance explains",
        "drop-without-evidence": "accuracy fell, and chance may explain it",
        "floor-not-told": "so many images cannot tell which side of the floor",
        "instructions-kept": "as many instructions as before",
        "cycles-kept": "as many modelled cycles as before",
        "operators-kept": "the same operators as before",
        "operators-changed": "other operators than before",
        "undelegated-kept": "the delegate leaves no more operators than before",
        "more-undelegated": "the delegate leaves more operators than before",
        "fingerprint-changed": "the device is not the one of the nights before",
        "golden-moved": "the golden artifact itself got slower or faster",
        "too-few-pairs": "too few pairs of valid sessions",
        "too-noisy": "the device is too noisy to tell",
        "deadline-over": "the device's time was over",
        "history-damaged": "a line of the history cannot be read, so no golden can be trusted",
        "not-runnable": "the artifact cannot run there",
        "golden-does-not-run": "the golden artifact failed, twice",
        "candidate-does-not-run": "the candidate failed, twice, where the golden artifact ran",
        "no-candidate": "there is no build to compare",
        "internal-error": "a fault of ofa-edge itself",
    }
)
"""Why a gate judged as it did: codes for programs. A finding of `ofa-edge inspect` may stand in their place."""
