"""Do modelled cycles rank networks as a Raspberry Pi 4 does, better than instructions and than the latency model?

    python benchmarks/modelled_cycles.py run FOLDER [--work runs/cycles]    # half an hour of one core; resumes
    python benchmarks/modelled_cycles.py fit FOLDER                         # a minute; writes the results
    python benchmarks/modelled_cycles.py table > docs/benchmarks/modelled_cycles.md

FOLDER holds the published times (raspberry_pi_4_mlperf_v1.0.csv, nasbench201_device_latency.csv, and for `fit` what
fit_latency.py reads). `run` makes each network with random weights, runs it twice in LiteRT on an emulated Cortex-A72
and counts the second run: instructions, what LLVM's model of the core gives its blocks of code, lines that its caches
missed. Nothing here is a time but what was published. It needs qemu-user, gcc and llvm.
"""

import argparse
import csv
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ofa_edge.files import write_json

RESULTS = Path(__file__).with_name("modelled_cycles_results.json")
GUEST = Path(__file__).with_name("bench_cycles") / "own_kernels.py"
CORE = "cortex-a72"
CELLS = 24  # NAS-Bench-201 networks, evenly over their measured times
TIMEOUT_S = 1800.0
XNNPACK = {("v1", "fp32"): 77.0, ("v2", "fp32"): 46.0, ("v1", "int8"): 24.0, ("v2", "int8"): 17.0}
"""Milliseconds of MobileNet 1.0 at 224 px on a Raspberry Pi 4 in 64 bits: google/XNNPACK README.md, February 2022."""


@dataclasses.dataclass(frozen=True)
class Published:
    """One published time: its network, and how it is run here."""

    name: str
    ms: float
    network: Any
    kernels: str = "own"


def published(folder: Path) -> Iterator[Published]:
    """All of them, the quickest of each kind first."""
    from bench_cycles.networks import Network

    found = []
    for row in _rows(folder / "raspberry_pi_4_mlperf_v1.0.csv"):
        parts = re.fullmatch(r"mobilenet-(v[12])-([\d.]+)-(\d+)-(non-)?quantized", row["model"])
        assert parts is not None, row["model"]
        network = Network(parts[1], "fp32" if parts[4] else "int8", int(parts[3]), float(parts[2]))
        found.append(Published(row["model"], float(row["p50_ms"]), network))
    yield from sorted(found, key=lambda each: each.ms)
    for (family, precision), ms in XNNPACK.items():
        yield Published(f"xnnpack-{family}-{precision}", ms, Network(family, precision, 224), "xnnpack")
    cells = [row for row in _rows(folder / "nasbench201_device_latency.csv") if _whole(row)]
    cells.sort(key=lambda row: float(row["raspi4_ms"]))
    step = len(cells) // CELLS
    for row in cells[step // 2 :: step][:CELLS]:
        network = Network("nasbench201", "fp32", 32, architecture=row["arch_str"])
        yield Published(f"nasbench201-{row['arch_idx']}", float(row["raspi4_ms"]), network)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _whole(row: dict[str, str]) -> bool:
    """Measured on all devices, and every node has an input and is one: a converter drops what nothing uses."""
    edges = [[edge.split("~") for edge in node.strip("|").split("|")] for node in row["arch_str"].split("+")]
    fed = [{int(source) for operation, source in node if operation != "none"} for node in edges]
    return all(fed) and set().union(*fed) == {0, 1, 2} and bool(row["cortexA76_tflite_ms"])


def run(folder: Path, work: Path) -> None:
    """Count each network that is not in the results yet; each is written at once."""
    from ofa_edge.device.emulation.emulated import open_emulated
    from ofa_edge.device.measuring.counting import count_instructions
    from ofa_edge.device.measuring.modelled_cycles import find_core_model

    model, connection = find_core_model(CORE), open_emulated(CORE)
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"counts": {}}
    for each in published(folder):
        if each.name in results["counts"]:
            continue
        said: dict[str, str] = {}
        file = each.network.file(work, each.name).resolve()
        argv = [*connection.python, str(GUEST), str(file), str(each.network.size), each.kernels]
        one, hear = {"OMP_NUM_THREADS": "1"}, lambda out, to=said: to.update(json.loads(out))
        counted, blocks = count_instructions(connection, argv, one, TIMEOUT_S, hear, blocks=True)
        assert blocks is not None
        cycles = model.cycles(blocks)
        results["counts"][each.name] = {
            "instructions": blocks.instructions,
            "core": cycles.core,
            "l1_misses": blocks.l1_misses,
            "l2_misses": blocks.l2_misses,
        }
        results |= {"emulator": counted.emulator, "llvm": model.version, "litert": said["version"]}
        write_json(RESULTS, results)
        print(f"{each.name}: {blocks.instructions / 1e6:.1f} M instructions, {cycles.core / 1e6:.1f} M", flush=True)


def main() -> None:
    """Run, fit, or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "fit", "table"))
    parser.add_argument("folder", type=Path, nargs="?", help="the published times")
    parser.add_argument("--work", type=Path, default=Path("runs/cycles"), help="where the networks' files are kept")
    options = parser.parse_args()
    if options.command == "table":
        from bench_cycles.page import page

        print(page(json.loads(RESULTS.read_text())), end="")
    elif options.folder is None:
        parser.error("name the folder of published times")
    elif options.command == "run":
        run(options.folder, options.work)
    else:
        from bench_cycles.fitting import fitted

        results = json.loads(RESULTS.read_text())
        results["fits"] = fitted(list(published(options.folder)), results["counts"], options.folder)
        write_json(RESULTS, results)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
