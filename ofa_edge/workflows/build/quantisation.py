"""An int8 artifact layer by layer: what it may lose (`--max-drop`), and who is to blame where it loses more."""

import math
import re
from collections.abc import Sequence

from ofa_edge.data.dataset import Samples
from ofa_edge.errors import ConfigError, UnsupportedError
from ofa_edge.records.manifest import Rung
from ofa_edge.records.mixed import MixedRecord, QuantisationRecord
from ofa_edge.runtimes import Converted, DropLimit, Export, Runtime
from ofa_edge.vocabulary import Allowed, Precision, numbers
from ofa_edge.workflows.build.images import BuildData

BLAMED_ON, CHOSEN_ON = 200, 200  # images
_GIVEN = re.compile(r"(\d+(?:\.\d+)?)\s*(dB)?", re.IGNORECASE)


def parse_allowed(text: str) -> Allowed:
    """`0.5`: points of top-1; `25dB`: signal to noise. Raises ConfigError."""
    found = _GIVEN.fullmatch(text.strip())
    if found is None or not math.isfinite(float(found[1])):
        raise ConfigError("bad --max-drop", repr(text), "points of top-1 (0.5), or decibels (25dB)")
    value = float(found[1])
    return Allowed(snr_db=value) if found[2] else Allowed(drop=value / 100)


def require_mixable(text: str | None, runtime: Runtime, precision: Precision) -> None:
    """Check `--max-drop` before any work.

    Raises:
        ConfigError: it is no number.
        UnsupportedError: the runtime or the precision has no such choice.
    """
    if text is None:
        return
    parse_allowed(text)
    if not runtime.mixes or not numbers(precision).ranges:
        raise UnsupportedError(
            f"--max-drop does nothing for {runtime.name} {precision}",
            "it leaves layers of an int8 artifact in fp32, and this runtime or precision has no such choice",
            "leave out --max-drop, or give --precision int8 with a runtime that mixes",
        )


def limit_of(text: str | None, data: BuildData[Samples]) -> DropLimit | None:
    """What a build asked for. Layers are chosen by the validation images: the test images judge the result.

    Raises:
        ConfigError: points of a top-1 that means nothing.
    """
    if text is None:
        return None
    allowed = parse_allowed(text)
    if allowed.snr_db is None and not data.labelled:
        what = "--max-drop in points where top-1 means nothing"
        raise ConfigError(what, data.source, "give decibels: --max-drop 25dB")
    return DropLimit(allowed, data.validation.sample(CHOSEN_ON), data.labelled)


def quantisation_of(
    runtime: Runtime,
    export: Export,
    converted: Converted,
    mixed: MixedRecord | None,
    rungs: Sequence[Rung],
    data: BuildData[Samples],
) -> QuantisationRecord | None:
    """The account of an int8 artifact: the choice of `--max-drop`; or who is to blame where a rung failed."""
    if mixed is not None:
        return QuantisationRecord(blame=mixed.blame, mixed=mixed)
    if not numbers(export.precision).ranges or all(rung.outcome != "fail" for rung in rungs):
        return None
    blamed = runtime.blame(export, converted, data.test.sample(BLAMED_ON), data.labelled)
    return None if blamed is None else QuantisationRecord(blame=blamed)
