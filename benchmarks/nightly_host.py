"""Nights for real, on this machine: the same artifact on both sides, and then a larger network planted.

    python benchmarks/nightly_host.py run            # 20 A/A nights and the planted one; 12 to 20 minutes
    python benchmarks/nightly_host.py table > docs/benchmarks/nightly_host.md

`run` goes through `ofa-edge nightly`'s own code, one night after the other, with a fresh history. The first run builds
both networks for the target `host` (some minutes more). Sessions are short, so that a night takes half a minute: the
page says what such a night could have seen.
"""

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.cache import StageCache, default_root
from ofa_edge.files import write_bytes, write_json
from ofa_edge.records.manifest import read_manifest
from ofa_edge.records.night import NightRecord, SeriesRecord
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.build import build
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.nightly.fleet import load_fleet
from ofa_edge.workflows.nightly.history import read_history
from ofa_edge.workflows.nightly.run import accept, run_fleet

ROOT = Path(__file__).parents[1]
WORK, RECORD = ROOT / "runs" / "nightly-host", ROOT / "benchmarks" / "nightly_host.json"
NIGHTS, SLOWER_BUDGET = 20, 1.12  # of the golden's predicted latency
FLEET = """
schema = 1
folder = "{folder}"
[protocol]
session_seconds = {seconds}
warmup_limit_seconds = 0.5
pause_seconds = 5
images = 500
[artifacts.net]
build = "{build}"
[devices.local]
artifacts = ["net"]
deadline_minutes = 10
"""


def prepare(work: Path) -> None:
    """Build the golden network and a larger one, where they are not there yet."""
    if not (work / "golden" / "manifest.json").is_file():
        _build(work / "golden", None)
    budget = SLOWER_BUDGET * read_manifest(work / "golden").prediction.ms
    if not (work / "slower" / "manifest.json").is_file():
        _build(work / "slower", budget)


def _build(out: Path, latency_ms: float | None) -> None:
    print(f"building {out.name}", flush=True)
    plan = make_plan(BuildOptions("host", latency_ms=latency_ms, device="none", out=out))
    build(plan, StageCache(default_root()), ["benchmarks/nightly_host.py"], lambda *_: None)


def run(work: Path, nights: int, seconds: float) -> dict[str, Any]:
    """The nights, each through the whole of `ofa-edge nightly`."""
    folder = f"history-{time.time():.0f}"
    fleets = {}
    for name in ("golden", "slower"):
        path = work / f"{name}.toml"
        write_bytes(path, FLEET.format(folder=folder, seconds=seconds, build=name).encode())
        fleets[name] = load_fleet(path)
    accept(fleets["golden"], "net", "the A/A nights")
    load = []
    for number in range(nights + 1):
        load.append(os.getloadavg()[0])
        night = run_fleet(fleets["slower" if number == nights else "golden"])
        print(f"night {number + 1}: {words(_latency(night))}", flush=True)
    made = read_history(fleets["golden"].history).nights
    ladder = {name: read_manifest(work / name) for name in ("golden", "slower")}
    return {
        "machine": {"cpu": made[-1].devices[0].facts.get("cpu", platform.processor()), "cores": os.cpu_count()},
        "load": [round(value, 2) for value in load],
        "seconds": [night.devices[0].seconds for night in made],
        "session_seconds": seconds,
        "macs": {name: manifest.subnet.macs for name, manifest in ladder.items()},
        "nights": [_latency(night).model_dump(mode="json") for night in made],
    }


def _latency(night: NightRecord) -> SeriesRecord:
    """The night's latency series, or the record of why there is none."""
    found = {item.gate: item for item in night.series}
    return found.get("latency") or found["run"]


def words(item: SeriesRecord) -> str:
    """One night in a line."""
    ratio = "-" if item.ratio is None else f"{math.expm1(item.ratio):+.1%}"
    seen = "-" if item.visible is None else f"{math.expm1(item.visible):.1%}"
    return f"{item.colour} {ratio} (seen from {seen}) {item.reason}"


def page(found: dict[str, Any]) -> str:
    """The results page."""
    nights = [SeriesRecord.model_validate_json(json.dumps(item)) for item in found["nights"]]
    planted, quiet = nights[-1], nights[:-1]
    ratios = [100 * math.expm1(item.ratio) for item in quiet if item.ratio is not None]
    seen = [100 * math.expm1(item.visible) for item in quiet if item.visible is not None]
    macs = found["macs"]
    lines = [
        "# Nights on one machine",
        "",
        "Printed by `python benchmarks/nightly_host.py table` from `benchmarks/nightly_host.json`:",
        f"{len(quiet)} nights with the same artifact on both sides, then one with a network of",
        f"{macs['slower'] / macs['golden']:.2f} times the multiply-accumulates. {found['machine']['cpu']},",
        f"{found['machine']['cores']} cores, load before a night {min(found['load']):.1f} to {max(found['load']):.1f};",
        f"sessions of {found['session_seconds']:g} s, 8 pairs, {np.median(found['seconds']):.0f} s a night.",
        "",
        f"- RED among the A/A nights: {sum(item.colour == 'RED' for item in quiet)} of {len(quiet)}",
        f"- A/A ratios: {min(ratios):+.2f} to {max(ratios):+.2f} %, median absolute deviation "
        f"{np.median(np.abs(np.array(ratios) - np.median(ratios))):.2f} %",
        f"- what a night could have seen: from {min(seen):.1f} % on in the best, {np.median(seen):.1f} % in the median,"
        f" {max(seen):.1f} % in the worst",
        f"- the planted network: {words(planted)}",
        "",
        "| night | verdict | candidate over golden | seen from | why |",
        "|---|---|---|---|---|",
    ]
    for number, item in enumerate(nights, 1):
        ratio = "-" if item.ratio is None else f"{100 * math.expm1(item.ratio):+.2f} %"
        limit = "-" if item.visible is None else f"{100 * math.expm1(item.visible):.1f} %"
        name = f"{number} (planted)" if item is planted else str(number)
        lines.append(f"| {name} | {item.colour} | {ratio} | {limit} | {item.code} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--session-seconds", type=float, default=0.5)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--results", type=Path, default=RECORD)
    options = parser.parse_args()
    if options.command == "run":
        prepare(options.work)
        write_json(options.results, run(options.work, options.nights, options.session_seconds))
    print(page(json.loads(options.results.read_bytes())), end="")


if __name__ == "__main__":
    main()
