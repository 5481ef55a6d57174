"""Builds that are killed at random moments, or whose disk is full at one of many sizes: run again, the same bytes.

    python tests/support/disturbing.py [--moments 20] [--sizes 20] [--seed 0]

Each trial begins with an empty cache, disturbs `ofa-edge build` of a tiny supernet once, runs the same command again
and compares what it leaves with what an undisturbed build left. The disk is a tmpfs of that size, in a mount namespace
of our own, with the cache, the output and the folder for temporary files on it.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ofa_edge.files import sha256_bytes
from ofa_edge.output import MANIFEST, MARKER
from ofa_edge.workflows.build.finish import REPORT

ROOT = Path(__file__).resolve().parents[2]
_LOOK_S = 0.01
_ENOUGH = "size=2g"
_WAIT_S = 1200.0
UNSHARE = (("unshare", "-m"), ("unshare", "-rm"))  # as root, and as a user where the kernel lets users have namespaces


@dataclass(frozen=True)
class Place:
    """A folder in which one build keeps all that it has: cache, output, state, temporary files."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def environment(self) -> dict[str, str]:
        """What the build's process is told of it; the folders are made."""
        for name in ("cache", "state", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return {
            "OFA_EDGE_CACHE": str(self.folder / "cache"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def left(out: Path) -> dict[str, Any]:
    """What a build left: the bytes of each file; without what tells times, or stands for what does."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }
    facts = json.loads(found[MANIFEST])
    if sha256_bytes(found[REPORT]) not in [record["sha256"] for record in facts["outputs"]]:
        raise AssertionError(f"{REPORT} is not its manifest's")
    del found[REPORT], facts["created"]
    facts["stages"] = [(stage["name"], stage["key"]) for stage in facts["stages"]]
    facts["outputs"] = [record for record in facts["outputs"] if record["path"] != REPORT]
    return {**found, MANIFEST: facts, MARKER: json.loads(found[MARKER])}


def debris(place: Place) -> list[str]:
    """What no build should leave, besides temporary files of one that was killed."""
    found = [path for path in place.folder.rglob("*.part") if place.folder / "tmp" not in path.parents]
    found += (place.folder / "cache" / ".partial").glob("*")
    found += [path for path in place.folder.iterdir() if path.name not in ("cache", "state", "tmp", "out")]
    return [path.relative_to(place.folder).as_posix() for path in found]


def strike(pid: int, number: int, cpu_s: float, ended: Callable[[], bool]) -> None:
    """Send a signal to a process's group once it and its children have computed for so long, or never if it ends.

    By computing time, for that is the same on a busy machine: the moments lie over the whole length of a build.
    """
    while not ended() and _computed_s(pid) < cpu_s:
        time.sleep(_LOOK_S)
    if not ended():
        os.killpg(pid, number)


def _computed_s(pid: int) -> float:
    total = 0.0
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        total += sum(times[:4])
        for child in process.children(recursive=True):
            total += sum(child.cpu_times()[:2])
    except psutil.Error:
        pass
    return total


# -- as a program -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bench:
    """The command that is disturbed, and what it leaves undisturbed."""

    package: Path
    wanted: dict[str, Any]
    cpu_s: float
    size: int

    def start(self, place: Place, said: Path) -> "subprocess.Popen[bytes]":
        return _start(self.package, place, said)

    def finish(self, place: Place, said: Path) -> list[str]:
        """Run the same command again; what is wrong with what it leaves."""
        code = self.start(place, said).wait(_WAIT_S)
        if code != 0:
            return [f"run again it ends with {code}: {said.read_text(errors='replace')[-300:]!r}"]
        found = left(place.out)
        others = [name for name in {*found, *self.wanted} if found.get(name) != self.wanted.get(name)]
        return [f"{name} differs" for name in others] + [f"left: {name}" for name in debris(place)]


def _start(package: Path, place: Place, said: Path) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "ofa_edge", "build", "--target", "raspberry-pi-4", "--supernet", str(package)]
    variables = {**os.environ, **place.environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with said.open("wb") as file:
        return subprocess.Popen(
            [*argv, "--device", "none", "--out", "out"],
            cwd=place.folder,
            env=variables,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def killed(bench: Bench, place: Place, cpu_s: float, number: int) -> tuple[str, list[str]]:
    """How a build ended that a signal struck, and what was wrong then or after the next."""
    said = place.folder.with_suffix(".said")
    process = bench.start(place, said)
    strike(process.pid, number, cpu_s, lambda: process.poll() is not None)
    code = process.wait(_WAIT_S)
    faults = []
    words = said.read_text(errors="replace")
    if number != signal.SIGKILL and "Traceback" not in words:  # while Python itself starts, that is how it ends
        faults += [f"after {signal.Signals(number).name}: {name}" for name in debris(place)]
        faults += [f"temporary files: {path.name}" for path in (place.folder / "tmp").iterdir()]
    if "internal error" in words:
        faults.append(words[-300:])
    return f"exit code {code}", faults + bench.finish(place, said)


def starved(bench: Bench, place: Place, size: int) -> tuple[str, list[str]]:
    """How a build ended whose disk has `size` bytes, and what was wrong then or on a larger disk."""
    said = place.folder.with_suffix(".said")
    place.folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(place.folder))
    try:
        code = bench.start(place, said).wait(_WAIT_S)
        words = said.read_text(errors="replace")
        faults = []
        if code not in (0, 2) or "internal error" in words or (code == 2 and "No space left" not in words):
            faults.append(f"exit code {code}: {words[-400:]!r}")
        faults += [f"on a full disk: {name}" for name in debris(place)]
        _mount("-o", f"remount,{_ENOUGH}", str(place.folder))
        return f"exit code {code}", faults + bench.finish(place, said)
    finally:
        subprocess.run(["umount", str(place.folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def namespace() -> Sequence[str] | None:
    """What begins a command line that may mount; None where none may."""
    for prefix in UNSHARE:
        if shutil.which(prefix[0]):
            argv = [*prefix, "mount", "-t", "tmpfs", "none", "/mnt"]
            if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
                return prefix
    return None


def main() -> int:
    """All trials; the exit status says whether one of them ended otherwise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prefix = namespace()
    if options.sizes and prefix is None:
        print("no mount in a namespace of our own is allowed here: no disk is filled")
        options.sizes = 0
    if options.sizes and prefix is not None and "OFA_EDGE_DISTURBING" not in os.environ:
        argv = [*prefix, sys.executable, __file__, *sys.argv[1:]]
        return subprocess.run(argv, env={**os.environ, "OFA_EDGE_DISTURBING": "1"}, check=False).returncode
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="ofa-disturbing-") as name:
        folder = Path(name)
        bench = _bench(folder)
        print(f"undisturbed: {bench.cpu_s:.1f} s of computing, {bench.size >> 10} KiB", flush=True)
        trials: list[tuple[str, Callable[[Place], tuple[str, list[str]]]]] = []
        for at in range(options.moments):
            number = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[at % 4]
            cpu_s = bench.cpu_s * draw.random()
            words = f"{signal.Signals(number).name} after {cpu_s:5.1f} s"
            trials.append((words, lambda place, at=cpu_s, number=number: killed(bench, place, at, number)))
        for at in range(options.sizes):
            size = int(bench.size * 1.2 * (at + draw.random()) / options.sizes) + 4096
            trials.append((f"disk of {size >> 10} KiB", lambda place, size=size: starved(bench, place, size)))
        bad = 0
        ends: Counter[str] = Counter()
        for number, (words, trial) in enumerate(trials):
            place = Place(folder / f"trial-{number}")
            if words.startswith("SIG"):
                place.folder.mkdir()
            how, faults = trial(place)
            shutil.rmtree(place.folder, ignore_errors=True)
            ends[how] += 1
            bad += bool(faults)
            print(f"{words:24} {how}; run again: {'; '.join(faults) or 'the same bytes'}", flush=True)
    print(f"{len(trials)} disturbed builds ({', '.join(f'{n} x {how}' for how, n in ends.items())}), {bad} with faults")
    return 1 if bad else 0


def _bench(folder: Path) -> Bench:
    from tiny_package import dataset, recipe, train

    package = folder / "tiny"
    train(recipe(), dataset(), package)
    place, said = Place(folder / "undisturbed"), folder / "undisturbed.said"
    place.folder.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code := _start(package, place, said).wait(_WAIT_S):
        raise SystemExit(f"exit code {code}: {said.read_text(errors='replace')[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Bench(package, left(place.out), cpu_s, place.size())


if __name__ == "__main__":
    sys.exit(main())
