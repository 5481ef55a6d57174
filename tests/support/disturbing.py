"""Builds that are killed at random moments, or whose disk is full at one of many sizes: run again, the same bytes.

    python tests/support/disturbing.py [--moments 20] [--sizes 20] [--seed 0]

Each trial disturbs `ofa-edge build` of a tiny supernet once, runs the same command again and compares what it leaves
with what an undisturbed build left. Every fourth begins with an empty cache, the others with its longest stages made. A
disk is a tmpfs, in a mount namespace of our own, with the cache, the output and the folder for temporary files on it.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from builds import shorten_search
from tiny_runs import ended, start

from ofa_edge.files import sha256_bytes
from ofa_edge.output import MANIFEST, MARKER
from ofa_edge.workflows.build.finish import REPORT

LONG = ("search", "tflite-bare")  # stages
_WARM_SHARE = 0.25  # of the computing is there to be disturbed where those are made
_INSIDE = "OFA_EDGE_DISTURBING"
_PRELOADED = ["torch._dynamo", "onnxruntime", "onnxsim", "ai_edge_litert.interpreter", "ofa_edge.cli", "tiny_package"]
_PRELOADED += ["builds", "disturbing"]
_NOT_OURS = (".ses", "__autograph_generated_file")  # ONNX Runtime's and TensorFlow's, where temporary files go
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
    while not ended():
        if computed_s(pid) >= cpu_s:
            with contextlib.suppress(ProcessLookupError):  # no group of its own yet, or it has just ended
                return os.killpg(pid, number)
        time.sleep(_LOOK_S)
    return None


def computed_s(pid: int) -> float:
    """Seconds that a process and its children have computed."""
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


# -- builds that are disturbed ----------------------------------------------------------------------------------------


def build_here(package: str, place: str) -> None:
    """The target of a process: one build by the command line, in a group of its own as a shell starts it."""
    from ofa_edge.cli import main

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
    shorten_search(pytest.MonkeyPatch())
    os.chdir(place)
    main(["build", "--target", "raspberry-pi-4", "--supernet", package, "--device", "none", "--out", "out"])


@dataclass(frozen=True)
class Bench:
    """A build, and what it leaves undisturbed.

    Attributes:
        package: the supernet.
        place: where it was made, undisturbed.
        wanted: what it left.
        cpu_s: what it took, where all its stages were made.
    """

    package: Path
    place: Place
    wanted: dict[str, Any]
    cpu_s: float = 0.0

    def start(self, place: Place) -> Any:
        """A process; what it says is in `said`."""
        return start(build_here, str(self.package), str(place.folder), output=said(place), env=place.environment)

    def warm(self, place: Place, kept: Collection[str]) -> None:
        """Lay the stages of these names into a place's cache."""
        for stage in kept:
            shutil.copytree(self.place.folder / "cache" / stage, place.folder / "cache" / stage)

    def finish(self, place: Place) -> list[str]:
        """Run the same command again; what is wrong with what it leaves."""
        said(place).unlink()
        code = ended(self.start(place), _WAIT_S)
        if code != 0:
            return [f"run again it ends with {code}: {words(place)}"]
        found = left(place.out)
        others = [name for name in {*found, *self.wanted} if found.get(name) != self.wanted.get(name)]
        return [f"{name} differs" for name in others] + [f"left: {name}" for name in debris(place)]

    def killed(self, place: Place, cpu_s: float, number: int) -> tuple[int, list[str]]:
        """How a build ended that a signal struck, and what was wrong then or after the next."""
        process = self.start(place)
        strike(process.pid, number, cpu_s, lambda: not process.is_alive())
        code = ended(process, _WAIT_S)
        faults = []
        if code not in (0, -signal.SIGKILL if number == signal.SIGKILL else 130):
            faults.append(f"exit code {code}: {words(place)}")
        if number != signal.SIGKILL:
            remains = (path.name for path in (place.folder / "tmp").iterdir() if not path.name.startswith(_NOT_OURS))
            faults += [f"after {signal.Signals(number).name}: {name}" for name in (*debris(place), *remains)]
        return code, faults + self.finish(place)

    def starved(self, place: Place, enlarge: Callable[[], None]) -> tuple[int, list[str]]:
        """How a build ended where there was too little room, and what was wrong then or once there was more."""
        code, faults = ended(self.start(place), _WAIT_S), []
        if code not in (0, 2) or "internal error" in words(place) or (code and not _says_full(words(place))):
            faults.append(f"exit code {code}: {words(place)}")
        faults += [f"on a full disk: {name}" for name in debris(place)]
        enlarge()
        return code, faults + self.finish(place)


def said(place: Place) -> Path:
    """What the build there says; beside it, where there is room."""
    return place.folder.with_suffix(".said")


def words(place: Place) -> str:
    """The end of that."""
    return said(place).read_text(errors="replace")[-400:] if said(place).exists() else ""


def _says_full(text: str) -> bool:
    return any(each in text for each in ("No space left", "File too large", "disk full"))


def undisturbed(package: Path, folder: Path) -> Bench:
    """The build as it is, from an empty cache."""
    bench = Bench(package, Place(folder), {})
    process = bench.start(bench.place)
    cpu_s = 0.0
    while process.is_alive():
        cpu_s = max(cpu_s, computed_s(process.pid))
        time.sleep(0.05)
    if ended(process):
        raise AssertionError(words(bench.place))
    return Bench(package, bench.place, left(bench.place.out), cpu_s)


# -- as a program -----------------------------------------------------------------------------------------------------


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
    if options.sizes and prefix is not None and _INSIDE not in os.environ:
        argv = [*prefix, sys.executable, __file__, *sys.argv[1:]]
        return subprocess.run(argv, env={**os.environ, _INSIDE: "1"}, check=False).returncode
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    ends: Counter[str] = Counter()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="ofa-disturbing-") as name:
        folder = Path(name)
        ended(start(_train, folder / "tiny", output=folder / "train.said"), _WAIT_S)
        bench = undisturbed(folder / "tiny", folder / "undisturbed")
        print(f"undisturbed: {bench.cpu_s:.1f} s of computing, {bench.place.size() >> 10} KiB", flush=True)
        for told, trial in _trials(bench, options.moments, options.sizes, random.Random(options.seed)):
            place = Place(folder / f"trial-{sum(ends.values())}")
            place.folder.mkdir()
            code, faults = trial(place)
            ends[f"exit code {code}"] += 1
            bad += bool(faults)
            print(f"{told:40} exit code {code:3}; run again: {'; '.join(faults) or 'the same bytes'}", flush=True)
            shutil.rmtree(place.folder)
    counts = ", ".join(f"{count} x {how}" for how, count in sorted(ends.items()))
    print(f"{sum(ends.values())} disturbed builds ({counts}), {bad} with faults")
    return 1 if bad else 0


def _train(package: Path) -> None:
    from tiny_package import dataset, recipe, train

    train(recipe(), dataset(), package)


Trial = Callable[[Place], tuple[int, list[str]]]


def _trials(bench: Bench, moments: int, sizes: int, draw: random.Random) -> Iterator[tuple[str, Trial]]:
    for at in range(moments):
        kept = LONG if at % 4 else ()
        number = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[at // 4 % 4]
        cpu_s = bench.cpu_s * (at // 4 + draw.random()) / (moments / 4) * (_WARM_SHARE if kept else 1)

        def struck(place: Place, kept: Any = kept, number: int = number, cpu_s: float = cpu_s) -> tuple[int, list[str]]:
            bench.warm(place, kept)
            return bench.killed(place, cpu_s, number)

        yield f"{signal.Signals(number).name} after {cpu_s:4.1f} s{', warm' if kept else ''}", struck
    whole = bench.place.size()
    for at in range(sizes):
        kept = LONG if at % 4 else ()
        room = int(whole * 1.3 * (at // 4 + draw.random()) / (sizes / 4))

        def starved(place: Place, kept: Any = kept, room: int = room) -> tuple[int, list[str]]:
            return on_a_disk(bench, place, kept, room)

        yield f"{room >> 10} KiB of room{', warm' if kept else ''}", starved


def on_a_disk(bench: Bench, place: Place, kept: Collection[str], room: int) -> tuple[int, list[str]]:
    """A build on a disk that has so many bytes of room."""
    _mount("-t", "tmpfs", "-o", _ENOUGH, "none", str(place.folder))
    try:
        bench.warm(place, kept)
        used = shutil.disk_usage(place.folder).used
        _mount("-o", f"remount,size={used + max(room, 4096)}", str(place.folder))
        return bench.starved(place, lambda: _mount("-o", f"remount,{_ENOUGH}", str(place.folder)))
    finally:
        subprocess.run(["umount", "--lazy", str(place.folder)], check=True)  # a worker may just be ending


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


if __name__ == "__main__":
    sys.exit(main())
