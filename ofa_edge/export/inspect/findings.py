"""What an inspection found, as frozen values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ofa_edge.records.blame import BlameRecord

Severity = Literal["fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing about a model file that a user should know.

    Attributes:
        code: for programs, words joined by hyphens.
        severity: "fault" where the file is slower, less accurate or less usable than it need be; "warning" where that
            depends; "note" where it is only good to know.
        what: in words.
        fix: what to do about it.
        nodes: which operators, as "12 CONV_2D result"; empty where it is about the whole file.
        cost: what it costs, with where the figure comes from; "" where nothing is known.
    """

    code: str
    severity: Severity
    what: str
    fix: str
    nodes: tuple[str, ...] = ()
    cost: str = ""


@dataclass(frozen=True)
class Inspection:
    """A model file, inspected.

    Attributes:
        file: its name.
        kind: "tflite", "onnx" or "library".
        size: in bytes.
        facts: what it is, in words, by the name of the fact.
        operators: how many of each.
        findings: the weightiest first.
        profile: milliseconds of each operator (TFLite: run alone), by its name in `nodes`; empty without --profile.
        blame: what each layer of an int8 file costs; None without --against.
    """

    file: str
    kind: str
    size: int
    facts: Mapping[str, str]
    operators: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    profile: Mapping[str, float] = field(default_factory=dict)
    blame: BlameRecord | None = None

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings of severity "fault"."""
        return tuple(each for each in self.findings if each.severity == "fault")

    def sorted(self) -> "Inspection":
        """The same with its findings by weight, else in the order they were found."""
        ordered = sorted(self.findings, key=lambda each: SEVERITIES.index(each.severity))
        return replace(self, findings=tuple(ordered))

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        blamed = None if self.blame is None else self.blame.model_dump(mode="json")
        return {**asdict(replace(self, blame=None)), "blame": blamed}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Inspection":
        """Inverse of `to_json`."""
        findings = tuple(Finding(**{**each, "nodes": tuple(each["nodes"])}) for each in value["findings"])
        blamed = BlameRecord.model_validate(value["blame"]) if value.get("blame") else None
        return cls(**{**value, "findings": findings, "blame": blamed})
