"""The A/A spread of the measuring protocol on this machine: one artifact against itself, in A B B A pairs of sessions.

    ofa-edge build --target host --device none --out FOLDER
    python benchmarks/a_a.py record FOLDER [--nights 10] [--pairs 8] [--seconds 1]  # and the table in docs/measuring.md
    python benchmarks/a_a.py table                                                   # the table again, from the record

A night is what `ofa-edge nightly` does with one series: so many pairs, each of two cold sessions that take turns. Both
sides are the same file in two folders, so that every ratio other than 1 is noise.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ofa_edge.files import write_bytes, write_json

RESULTS = Path(__file__).with_name("a_a_results") / "host.json"
PAGE = Path(__file__).parents[1] / "docs" / "measuring.md"
BEGIN, END = "<!-- a_a.py -->", "<!-- end of a_a.py -->"
PLANTED = (5, 10, 15, 20)  # percent
LEAST = 0.05  # the nightly gate's own floor


def record(folder: Path, nights: int, pairs: int, seconds: float) -> None:
    """Measure and write the record."""
    from ofa_edge.builds import Build
    from ofa_edge.device.conditions import prepared
    from ofa_edge.device.connections.local import LocalConnection
    from ofa_edge.device.measuring.lease import hold
    from ofa_edge.device.measuring.session import open_artifact
    from ofa_edge.device.protocol import LatencyPlan
    from ofa_edge.workflows.build.on_device import Trial, request_of
    from ofa_edge.workflows.verify import images_of

    build = Build.open(folder)
    how = LatencyPlan(min_seconds=seconds)
    device, found, load = LocalConnection(), [], [os.getloadavg()[0]]
    request = request_of(Trial.of(build, images_of(build, None).test.sample(1)), device)
    with hold(device), prepared(device) as conditions:
        for night in range(nights):
            start = time.monotonic()
            with open_artifact(device, request, conditions) as a, open_artifact(device, request, conditions) as b:
                ratios = []
                for pair in range(pairs):
                    first, second = (a, b) if pair % 2 == 0 else (b, a)
                    measured = {side.work: side.session(how) for side in (first, second)}
                    if not all(session.valid for session in measured.values()):
                        continue
                    ratios.append([measured[a.work].p50_ms, measured[b.work].p50_ms])
            found.append(ratios)
            load.append(os.getloadavg()[0])
            print(f"night {night + 1}: {night_ratio(ratios):.4f}  {time.monotonic() - start:.0f} s", file=sys.stderr)
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ":"
    )
    write_json(
        RESULTS,
        {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {model.split(':')[1].strip()}, {os.cpu_count()} cores",
            "conditions": {key: value for key, value in conditions.facts.items() if key != "load"},
            "load": [round(value, 2) for value in load],
            "threads": request.threads,
            "seconds": seconds,
            "pairs": pairs,
            "nights_ms": [[[round(value, 6) for value in pair] for pair in night] for night in found],
        },
    )


def ratios(night: list[list[float]]) -> np.ndarray:
    """B over A of each pair of a night."""
    return np.array([b / a for a, b in night])


def night_ratio(night: list[list[float]]) -> float:
    """The median ratio of a night, by logarithms."""
    return float(np.exp(np.median(np.log(ratios(night)))))


def visible(nights: list[list[list[float]]]) -> float:
    """The smallest slow-down that the gate can call one here: over 5 %, and over 3 MAD of the nights' ratios."""
    logs = np.log([night_ratio(night) for night in nights])
    return max(LEAST, float(np.expm1(3 * np.median(np.abs(logs - np.median(logs))))))


def alarms(nights: list[list[list[float]]], slower: float) -> int:
    """Nights that would be red at first sight if every B were so much slower: over the threshold, and sure of it."""
    from scipy.stats import wilcoxon

    limit = np.log1p(visible(nights))
    red = 0
    for night in nights:
        logs = np.log(ratios(night) * (1 + slower))
        red += bool(np.median(logs) > limit and wilcoxon(logs, alternative="greater", method="exact").pvalue <= 0.01)
    return red


def table(path: Path = RESULTS) -> str:
    """The figures, in Markdown."""
    data = json.loads(path.read_text())
    nights = data["nights_ms"]
    every = [abs(float(np.log(value))) for night in nights for value in ratios(night)]
    medians = [night_ratio(night) for night in nights]
    p50 = statistics.median(value for night in nights for pair in night for value in pair)
    conditions = ", ".join(f"{key} {value}" for key, value in data["conditions"].items())
    rows = [
        ("machine", data["machine"]),
        ("conditions", f"{conditions}; load {min(data['load'])} to {max(data['load'])}"),
        ("measured", f"{data['date']}: {len(nights)} nights of {data['pairs']} pairs, {data['seconds']:g} s a session"),
        ("p50 of the artifact", f"{p50:.3f} ms, {data['threads']} thread{'s' * (data['threads'] > 1)}"),
        ("one pair, half are within", f"±{100 * np.expm1(np.median(every)):.2f} %"),
        ("one pair, nine of ten are within", f"±{100 * np.expm1(np.percentile(every, 90)):.2f} %"),
        ("a night's median, furthest from 1", f"{100 * (max(medians, key=lambda v: abs(np.log(v))) - 1):+.2f} %"),
        ("smallest slow-down that the gate can see", f"{100 * visible(nights):.1f} %"),
        ("nights red at first sight, nothing planted", f"{alarms(nights, 0.0)} of {len(nights)}"),
        *(
            (f"... with +{planted} % planted", f"{alarms(nights, planted / 100)} of {len(nights)}")
            for planted in PLANTED
        ),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def write_page() -> None:
    """Put the table into docs/measuring.md."""
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    write_bytes(PAGE, f"{text[:begin]}\n{table()}{text[end:]}".encode())


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--nights", type=int, default=10)
    recording.add_argument("--pairs", type=int, default=8)
    recording.add_argument("--seconds", type=float, default=1.0)
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "record":
        record(options.folder, options.nights, options.pairs, options.seconds)
        write_page()
    print(table(), end="")


if __name__ == "__main__":
    main()
