"""Made-up nights for tests of what is printed from them."""

import datetime
import math
from typing import Any

from ofa_edge.records.night import DeviceNight, FlipRecord, NightRecord, RunRecord, SeriesRecord

EVIL = '<script>alert(1)</script>&"\x1b[31m\x00::error::'


def series(colour: str = "GREEN", gate: str = "latency", device: str = "pi", **changes: Any) -> SeriesRecord:
    figures: dict[str, Any] = {
        "artifact": "net", "code": "no-regression", "reason": "+0.4 %; from 5.0 % on it would be seen", "unit": "ms",
        "golden": 2.0, "candidate": 2.01, "ratio": 0.004, "p": 0.4, "visible": math.log(1.05),
        "fingerprint": "a" * 64, "golden_sha256": "1" * 64, "candidate_sha256": "2" * 64, "pairs": 8,
        "aa_ratio": 0.001, "golden_ms": 2.0, "runs": (RunRecord(golden=(2.0, None), candidate=(2.01, 2.0)),),
    }  # fmt: skip
    return SeriesRecord(device=device, gate=gate, colour=colour, **{**figures, **changes})


def night(*items: SeriesRecord, day: int = 0, **changes: Any) -> NightRecord:
    devices = tuple(
        DeviceNight(
            name=name,
            kind="physical",
            facts={"model": "Raspberry Pi 4", "cpu": "cortex-a72"},
            conditions={"clock ceiling": "1.80 GHz of 1.80 GHz", "not read": "load"},
            seconds=61.0,
        )
        for name in dict.fromkeys(item.device for item in items)
    )
    at = datetime.datetime(2026, 3, 1, 2, tzinfo=datetime.UTC) + datetime.timedelta(days=day)
    return NightRecord(**{"at": at, "version": "0.1.0", "fleet": "lab", "devices": devices, "series": items, **changes})


def accuracy(colour: str = "GREEN", lost: int = 0) -> SeriesRecord:
    flips = tuple(FlipRecord(image=image, label=1, golden=1, candidate=2) for image in range(lost))
    return series(
        colour, "accuracy", unit="share", golden=0.93, candidate=0.93 - lost / 1000, ratio=None, visible=None,
        code="no-drop", reason=f"{lost} images lost", flips=flips, flipped=lost,
    )  # fmt: skip
