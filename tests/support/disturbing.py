"""Builds that are killed at random moments, or whose disk is full at one of many sizes: run again, the same bytes.

    python tests/support/disturbing.py [--moments 20] [--sizes 20] [--seed 0]

Each trial disturbs `ofa-edge build` of a tiny supernet once, runs the same command again and compares what it leaves
with what an undisturbed build left. Signals go to the whole group, as a terminal's Ctrl-C does, or to the process alone
that converts or inspects for it. Every fourth begins with an empty cache, the others with its longest stages made. A
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
from shortened import shorten_search
from tiny_runs import ended, start

from ofa_edge.errors import ConversionError
from ofa_edge.files import sha256_bytes
from ofa_edge.output import MANIFEST, MARKER
from ofa_edge.workflows.build.finish import REPORT

LONG = ("search", "tflite-bare")  # stages
_WARM_SHARE = 0.25  # of the computing is there to be disturbed where those are made
_CHILDS_SHARE = 0.6  # where only the search is: a child's work begins in it
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


@dataclass(frozen=True)
class Blow:
    """What strikes a build: a signal, sent to its group or to its youngest child alone; when, in seconds of computing.

    By computing time, for that is the same on a busy machine: the moments lie over the whole length of a build.
    """

    number: int
    cpu_s: float
    alone: bool = False

    def __str__(self) -> str:
        """For the line of a trial."""
        return f"{signal.Signals(self.number).name}{' to a child' if self.alone else ''} after {self.cpu_s:4.1f} s"

    def strike(self, pid: int, begun: Callable[[], bool], ended: Callable[[], bool]) -> bool:
        """Strike once it has begun and it and its children have computed for so long; False where it ended before."""
        while not ended():
            if computed_s(pid) >= self.cpu_s and begun():
                with contextlib.suppress(
                    ProcessLookupError, IndexError, psutil.Error
                ):  # no group yet, no child, or just ended
                    if self.alone:
                        os.kill(psutil.Process(pid).children(recursive=True)[-1].pid, self.number)
                    else:
                        os.killpg(pid, self.number)
                    return True
            time.sleep(_LOOK_S)
        return False

    def fits(self, code: int) -> bool:
        """Whether a build may end so. One whose child was struck says so, or lets another do the work."""
        if self.alone:
            return code in (0, ConversionError.exit_code)
        return code in (0, -signal.SIGKILL if self.number == signal.SIGKILL else 130)


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
        said(place).unlink(missing_ok=True)
        code = ended(self.start(place), _WAIT_S)
        if code != 0:
            return [f"run again it ends with {code}: {words(place)}"]
        return self.differing(place) + [f"left: {name}" for name in debris(place)]

    def differing(self, place: Place) -> list[str]:
        """In what a build's output there is another than the undisturbed one's."""
        found = left(place.out)
        return [f"{name} differs" for name in {*found, *self.wanted} if found.get(name) != self.wanted.get(name)]

    def killed(self, place: Place, blow: Blow) -> tuple[int, list[str]]:
        """How a build ended that was struck, and what was wrong then or after the next."""
        process = self.start(place)
        blow.strike(process.pid, lambda: bool(words(place)), lambda: not process.is_alive())
        code = ended(process, _WAIT_S)
        faults = [] if code else [f"at once: {fault}" for fault in self.differing(place)]
        if not blow.fits(code) or "internal error" in words(place):
            faults.append(f"exit code {code}: {words(place)}")
        if blow.number != signal.SIGKILL:
            remains = (path.name for path in (place.folder / "tmp").iterdir() if not path.name.startswith(_NOT_OURS))
            faults += [f"after {blow}: {name}" for name in (*debris(place), *remains)]
        return code, faults + self.finish(place)

    def starved(self, place: Place, enlarge: Callable[[], None]) -> tuple[int, list[str]]:
        """How a build ended where there was too little room, and what was wrong then or once there was more."""
        code = ended(self.start(place), _WAIT_S)
        faults = [] if code else [f"at once: {fault}" for fault in self.differing(place)]
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
    paths = filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # the server imports by it: a build then begins at once
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


_BLOWS = ((signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGINT, True))


def _trials(bench: Bench, moments: int, sizes: int, draw: random.Random) -> Iterator[tuple[str, Trial]]:
    for at in range(moments):
        number, alone = _BLOWS[(at + at // 4) % 4]  # each comes cold and warm, early and late
        kept: tuple[str, ...] = LONG if at % 4 else ()
        share = _WARM_SHARE if kept else 1.0
        if alone:
            kept, share = LONG[:1], _CHILDS_SHARE
        blow = Blow(number, bench.cpu_s * (at // 4 + draw.random()) / (moments / 4) * share, alone)

        def struck(place: Place, kept: Any = kept, blow: Blow = blow) -> tuple[int, list[str]]:
            bench.warm(place, kept)
            return bench.killed(place, blow)

        yield f"{blow}{', warm' if kept else ''}", struck
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
