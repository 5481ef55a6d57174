"""What a manifest says of an int8 artifact with layers in fp32: which, why, and what they cost."""

from typing import Annotated

from pydantic import Field

from ofa_edge.records.base import Count, Finite, Positive, Record
from ofa_edge.records.blame import BlameRecord


class MixedStep(Record):
    """The int8 file with the layers of this step and all before it in fp32.

    Attributes:
        layers: ONNX nodes that this step took out of int8: the one that was blamed, and those that read its result.
        operators: how many of the file's operators compute in fp32 by now.
        snr_db: of the answers, beside the fp32 network's.
        top1_drop: fraction of 1; None without labels.
    """

    layers: tuple[str, ...]
    operators: Count
    snr_db: Finite
    top1_drop: Finite | None = None


class MixedRecord(Record):
    """How `--max-drop` was kept.

    Attributes:
        asked: in words.
        images: that the choice was measured on; they are not the test images.
        reached: whether the last step keeps what was asked for on those images.
        blame: of the whole int8 file.
        steps: in order; none where the int8 file keeps it as it is.
        kept: layers that are fp32 in the end: of those of the steps, what could not be put back.
        operators: of the file, in fp32 in the end; `of_operators`: all of them.
        snr_db, top1_drop: of the artifact on those images.
        int8_size, size: bytes without metadata.
        ratio: time of one inference over the int8 file's, measured in turn; None where nothing is in fp32.
        machine: where that was.
    """

    asked: str
    images: Annotated[int, Field(ge=1)]
    reached: bool
    blame: BlameRecord
    steps: tuple[MixedStep, ...] = ()
    kept: tuple[str, ...] = ()
    operators: Count = 0
    of_operators: Count
    snr_db: Finite
    top1_drop: Finite | None = None
    int8_size: Count
    size: Count
    ratio: Positive | None = None
    machine: str = ""


class QuantisationRecord(Record):
    """What is known of an int8 artifact layer by layer; `mixed` with `--max-drop` alone."""

    blame: BlameRecord
    mixed: MixedRecord | None = None
