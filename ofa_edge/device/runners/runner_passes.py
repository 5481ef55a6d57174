"""The passes of a runner in Python, whatever runs the model: pushed to the device beside the runner that imports it.

Nothing of ofa-edge is imported: the two files stand alone, beside NumPy and the runtime's own package.

    RUNNER MODEL INPUTS.npy OUTPUTS.npy [--threads T] [--cores 4,5]      one pass over all inputs
    RUNNER MODEL INPUTS.npy OUTPUTS.npy --latency ...                    one session of timed runs, first input
    RUNNER MODEL INPUTS.npy OUTPUTS.npy --count N                        N marked runs of the first input
    RUNNER MODEL INPUTS.npy OUTPUTS.npy --memory N                       N runs, then the process's peak memory
    RUNNER MODEL INPUTS.npy OUTPUTS.npy --profile N                      N runs, each operator timed, where it can be

INPUTS is float32 [N, ...], each image as the runtime takes it, several inputs one behind the other; OUTPUTS float32
[N, classes]. One line of JSON on stdout says what happened, and of which model: the SHA-256 of the loaded file.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import argparse
import contextlib
import hashlib
import json
import os
import re
import statistics
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MARK = 0x0FAE0000  # see _qemu/insncount.c


class Model:
    """A model that is ready to run, of float inputs and outputs.

    Attributes:
        facts: runtime and version.
        load_ns: nanoseconds that it took to be ready.
        invoke: runs it once, without copying the input or the output: what is timed.
    """

    facts: dict[str, Any]
    load_ns: int
    invoke: Callable[[], Any]

    def set(self, image: NDArray[np.float32]) -> None:
        """Set the inputs to one float32 image, or to what stands one behind the other in a row."""
        raise NotImplementedError

    def get(self) -> NDArray[np.float32]:
        """The float32 logits [classes] of the last run."""
        raise NotImplementedError

    def inside(self) -> dict[str, Any]:
        """What a pass over all inputs tells besides: what a delegate took over."""
        return {}

    def profile(self, runs: int) -> dict[str, Any]:
        """Runs of the input that is set, each operator timed: "runs", and "profile" with name, calls, nanoseconds."""
        raise SystemExit("this runtime tells no profile")


def run_all(model: Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """One pass over all images; logits [N, classes]."""
    logits = []
    for image in images:
        model.set(image)
        model.invoke()
        logits.append(model.get())
    return np.stack(logits)


def timed(model: Model) -> int:
    """Nanoseconds of one inference."""
    start = time.perf_counter_ns()
    model.invoke()
    return time.perf_counter_ns() - start


class Watch:
    """Heat and clocks once a second, between two timed runs: no other process and no network wakes up for it.

    A tick is [milliseconds, hottest zone in thousandths of a degree or null, kHz of each policy, its ceiling].
    """

    PERIOD_S = 1.0
    MOST_ZONES = 4  # a sensor may take milliseconds to read

    def __init__(self) -> None:
        zones = sorted(Path("/sys/class/thermal").glob("thermal_zone*"))
        cores = [zone for zone in zones if re.search("cpu|soc|pkg|gpu", text_of(zone / "type"), re.IGNORECASE)]
        self.zones = (cores or zones)[: self.MOST_ZONES]
        self.policies = sorted(Path("/sys/devices/system/cpu/cpufreq").glob("policy*"))
        self.begin = self.due = time.monotonic()
        self.ticks: list[list[Any]] = []

    def look(self) -> None:
        """Read them if a second has passed."""
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + self.PERIOD_S
        heat = [number(text_of(zone / "temp")) for zone in self.zones]
        clocks = [number(text_of(policy / "scaling_cur_freq")) for policy in self.policies]
        ceilings = [number(text_of(policy / "scaling_max_freq")) for policy in self.policies]
        hottest = max((value for value in heat if value is not None), default=None)
        self.ticks.append([round((now - self.begin) * 1e3), hottest, clocks, ceilings])


def text_of(path: Path) -> str:
    """A small file's text, "" where it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:  # a sensor that is switched off, or one that is not ours to read
        return ""


def number(text: str) -> int | None:
    """The whole number that `text` is, if it is one."""
    return int(text) if re.fullmatch(r"-?[0-9]+", text) else None


def peak_memory() -> int:
    """Bytes of this process that were ever resident at once."""
    found = re.search(r"^VmHWM:\s*([0-9]+) kB$", text_of(Path("/proc/self/status")), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def latency(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """One session: first inference, warm-up until it is steady, then timed runs."""
    first = timed(model)
    warm: list[int] = []
    settled, begin = False, time.monotonic()
    while not settled and time.monotonic() - begin < options.warmup_limit:
        warm.append(timed(model))
        enough = len(warm) >= max(20, options.warmup_runs) and time.monotonic() - begin >= options.warmup_seconds
        if enough:
            before, now = statistics.median(warm[-20:-10]), statistics.median(warm[-10:])
            settled = abs(now - before) <= options.warmup_tolerance * before
    samples: list[int] = []
    watch, begin = Watch(), time.monotonic()
    while len(samples) < options.min_runs or time.monotonic() - begin < options.min_seconds:
        watch.look()
        samples.append(timed(model))
    facts = {"first_ns": first, "warmup_runs": len(warm), "settled": settled, "latency_ns": samples}
    return {**facts, "watch": watch.ticks}


def mark(number: int) -> None:
    """Tell a counting emulator where we are. On a device it is a query about a process that does not exist."""
    with contextlib.suppress(OSError):
        os.getpriority(os.PRIO_PROCESS, MARK + number)


def count(model: Model, runs: int) -> dict[str, Any]:
    """Marked runs: even marks before, odd ones after; then as many empty pairs to take the marks' own cost off."""
    model.invoke()  # the first run packs weights
    for number in range(runs):
        mark(2 * number)
        model.invoke()
        mark(2 * number + 1)
    for number in range(runs, 2 * runs):
        mark(2 * number)
        mark(2 * number + 1)
    return {"counted": runs}


def memory(model: Model, runs: int) -> dict[str, Any]:
    """Peak memory after so many runs."""
    for _ in range(runs):
        model.invoke()
    return {"peak_memory": peak_memory()}


def arguments() -> argparse.Namespace:
    """The options; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--profile", type=int, default=0)
    parser.add_argument("--cores", default="")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--min-runs", type=int, default=100)
    parser.add_argument("--min-seconds", type=float, default=10.0)
    parser.add_argument("--warmup-runs", type=int, default=10)
    parser.add_argument("--warmup-seconds", type=float, default=0.5)
    parser.add_argument("--warmup-limit", type=float, default=10.0)
    parser.add_argument("--warmup-tolerance", type=float, default=0.02)
    return parser.parse_args()


def digest_of(path: str) -> str:
    """SHA-256 of a file, read in parts: it is asked for once all figures are taken, and costs none of them."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123  (a string is what the command line gives)
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def use_wheels() -> None:
    """Let Python import from the wheels that lie beside the runner: unpacked by the first process, used by all."""
    folder = Path(__file__).parent
    for wheel in sorted(folder.glob("*.whl")):
        site = wheel.with_suffix(".site")
        if not site.is_dir():
            part = site.with_name(f"{site.name}.{os.getpid()}")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(part)
            with contextlib.suppress(OSError):  # another process was first
                part.rename(site)
        sys.path.insert(0, str(site))


def main(ready: Callable[[argparse.Namespace], Model]) -> int:
    """See the module; `ready` loads the model."""
    options = arguments()
    if options.cores:
        os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    images = np.load(options.inputs, mmap_mode="r", allow_pickle=False)
    before = peak_memory()
    model = ready(options)
    facts: dict[str, Any] = {**model.facts, "threads": options.threads, "load_ns": model.load_ns}
    if options.latency or options.count or options.memory or options.profile:
        model.set(images[0])
        if options.latency:
            facts |= latency(model, options)
        elif options.count:
            facts |= count(model, options.count)
        elif options.memory:
            facts |= {"memory_before": before, **memory(model, options.memory)}
        else:
            facts |= model.profile(options.profile)
        np.save(options.outputs, model.get()[np.newaxis])
    else:
        facts |= model.inside()
        np.save(options.outputs, run_all(model, images))
    facts["model_sha256"] = digest_of(options.model)
    print(json.dumps(facts))
    return 0
