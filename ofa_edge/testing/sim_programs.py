"""The programs of a simulated device: those that connections and the measuring protocol call, and our own runners.

Each takes its arguments and returns what a real one would print. A program that is not here is "not found", as on a
board that lacks it; the shell and the interpreters of `HOST_PROGRAMS` are this machine's.
"""

import argparse
import fnmatch
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.testing.sim_device import SimDevice

HOST_PROGRAMS = frozenset({"sh", "echo", "sleep", "printf", "true", "false", "test", "printenv", "seq"})
SIM_PYTHON = "sim-python"  # with a runner of ours it is simulated, with anything else it is the Python at hand
_RUNNERS = ("litert_runner.py", "onnx_runner.py", "tvm_runner")
_MOST_RUNS = 100_000
_TMP = "/tmp"  # noqa: S108  (the device's, which is `SimDevice.folder`)
_NO_SUCH_FILE = "No such file or directory"


@dataclass(frozen=True)
class Answer:
    """What a program did: exit status, what it printed, simulated seconds."""

    code: int = 0
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.001


def runner_of(argv: Sequence[str]) -> str | None:
    """The name of our runner that a command line starts, or None."""
    names = [PurePosixPath(word).name for word in argv[:2]]
    return next((name for name in names if name in _RUNNERS), None)


def run_program(device: SimDevice, argv: Sequence[str]) -> Answer:
    """Run a program that the device has itself."""
    name = PurePosixPath(argv[0]).name
    if runner_of(argv) is not None:
        return _guarded(_run_runner, device, argv)
    program = _PROGRAMS.get(name)
    if program is None:
        return Answer(127, stderr=f"{argv[0]}: not found")
    return _guarded(program, device, argv)


def _guarded(program: "Program", device: SimDevice, argv: Sequence[str]) -> Answer:
    try:
        return program(device, list(argv[1:]))
    except OSError as error:
        return Answer(1, stderr=f"{PurePosixPath(argv[0]).name}: {error.filename}: {error.strerror}")
    except (ValueError, KeyError, SystemExit) as error:
        return Answer(1, stderr=f"{PurePosixPath(argv[0]).name}: {error!r}")


def _inside(device: SimDevice, path: str) -> Path:
    """A device path as a file here; nothing outside of the device's own folder exists."""
    found = Path(path)
    if ".." not in found.parts and found.is_relative_to(device.root):
        return found
    if ".." not in found.parts and found.is_relative_to(_TMP):
        return device.folder / found.relative_to(_TMP)
    raise FileNotFoundError(2, _NO_SUCH_FILE, path)


def _text(device: SimDevice, path: str) -> str:
    return files[path] if path in (files := device.system_files()) else _inside(device, path).read_text()


def _words(args: Sequence[str], with_value: Sequence[str] = ()) -> list[str]:
    """Arguments that are neither options nor their values."""
    words, skip = [], False
    for arg in args:
        if skip:
            skip = False
        elif arg in with_value:
            skip = True
        elif not arg.startswith("-"):
            words.append(arg)
    return words


def _uname(device: SimDevice, args: list[str]) -> Answer:
    values = {"s": "Linux", "n": "simulated", "r": "6.6.0-sim", "m": "aarch64"}
    asked = "".join(args).replace("-", "") or "s"
    return Answer(stdout=" ".join(value for key, value in values.items() if key in asked) + "\n")


def _head(device: SimDevice, args: list[str]) -> Answer:
    parts, missing = [], []
    for path in _words(args, with_value=("-n", "-c")):
        try:
            parts.append(f"==> {path} <==\n{_text(device, path)}")
        except OSError:
            missing.append(f"head: cannot open '{path}' for reading: {_NO_SUCH_FILE}")
    return Answer(1 if missing else 0, "\n".join(parts), "\n".join(missing))


def _cat(device: SimDevice, args: list[str]) -> Answer:
    return Answer(stdout="".join(_text(device, path) for path in _words(args)))


def _mktemp(device: SimDevice, args: list[str]) -> Answer:
    template = _words(args)[-1].rstrip("X")
    path = _inside(device, template + secrets.token_hex(5))  # ten characters, as our templates ask for
    path.mkdir(mode=0o700) if "-d" in args else path.touch(mode=0o600)
    return Answer(stdout=f"{path}\n")


def _mkdir(device: SimDevice, args: list[str]) -> Answer:
    mode = int(args[args.index("-m") + 1], 8) if "-m" in args else 0o755
    for path in _words(args, with_value=("-m",)):
        _inside(device, path).mkdir(mode, parents="-p" in args, exist_ok="-p" in args)
    return Answer()


def _sha256sum(device: SimDevice, args: list[str]) -> Answer:
    digests = [(hashlib.sha256(_inside(device, path).read_bytes()).hexdigest(), path) for path in _words(args)]
    return Answer(stdout="".join(f"{digest}  {path}\n" for digest, path in digests))


def _wc(device: SimDevice, args: list[str]) -> Answer:
    sizes = [(_inside(device, path).stat().st_size, path) for path in _words(args)]
    return Answer(stdout="".join(f"{size} {path}\n" for size, path in sizes))


def _df(device: SimDevice, args: list[str]) -> Answer:
    room = device.room()
    blocks = 10**9 if room is None else room // 1024
    header = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    return Answer(stdout=f"{header}\nsim {10**9} {10**9 - blocks} {blocks} 1% /\n")


def _ln(device: SimDevice, args: list[str]) -> Answer:
    target, link = _words(args)
    _inside(device, link).symlink_to(target)
    return Answer()


def _readlink(device: SimDevice, args: list[str]) -> Answer:
    return Answer(stdout=f"{_inside(device, _words(args)[-1]).readlink()}\n")


def _touch(device: SimDevice, args: list[str]) -> Answer:
    for name in _words(args):
        path = _inside(device, name)
        if not path.is_symlink():
            path.touch()
        os.utime(path, (device.now(), device.now()), follow_symlinks=False)
    return Answer()


def _stat(device: SimDevice, args: list[str]) -> Answer:
    shown: dict[str, Callable[[os.stat_result], str]] = {
        "%Y": lambda found: f"{found.st_mtime:.0f}",
        "%a": lambda found: f"{found.st_mode & 0o7777:o}",
        "%s": lambda found: str(found.st_size),
    }
    if len(args) < 3 or args[0] != "-c" or args[1] not in shown:
        return Answer(1, stderr=f"stat: simulated are -c {', '.join(shown)}")
    return Answer(stdout="".join(f"{shown[args[1]](_inside(device, path).lstat())}\n" for path in args[2:]))


def _date(device: SimDevice, args: list[str]) -> Answer:
    return (
        Answer(stdout=f"{device.now():.0f}\n") if args == ["+%s"] else Answer(1, stderr="date: only +%s is simulated")
    )


def _chmod(device: SimDevice, args: list[str]) -> Answer:
    mode, *paths = _words(args)
    for path in paths:
        _inside(device, path).chmod(int(mode, 8))
    return Answer()


def _mv(device: SimDevice, args: list[str]) -> Answer:
    source, destination = _words(args)
    _inside(device, source).replace(_inside(device, destination))
    return Answer()


def _rm(device: SimDevice, args: list[str]) -> Answer:
    for name in _words(args):
        path = _inside(device, name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok="-f" in args or "-rf" in args)
    return Answer()


def _ls(device: SimDevice, args: list[str]) -> Answer:
    paths = [_inside(device, path) for path in _words(args)]
    names = [name for path in paths for name in sorted(child.name for child in path.iterdir())]
    return Answer(stdout="".join(f"{name}\n" for name in names))


def _find(device: SimDevice, args: list[str]) -> Answer:
    """`find [-L] FOLDER... -maxdepth N -name NAME`, in the system files alone."""
    options = ("-maxdepth", "-name", "-type", "-path")
    depth = int(args[args.index("-maxdepth") + 1]) if "-maxdepth" in args else 99
    name = args[args.index("-name") + 1] if "-name" in args else "*"
    found = []
    for folder in _words(args, with_value=options):
        below = [path for path in device.system_files() if path.startswith(folder.rstrip("/") + "/")]
        near = [path for path in below if path.removeprefix(folder).strip("/").count("/") < depth]
        found += [path for path in near if fnmatch.fnmatchcase(PurePosixPath(path).name, name)]
    return Answer(stdout="".join(f"{path}\n" for path in found))


def _vcgencmd(device: SimDevice, args: list[str]) -> Answer:
    if args == ["get_throttled"]:
        return Answer(stdout=f"throttled={device.throttled:#x}\n")
    if args == ["measure_temp"]:
        return Answer(stdout=f"temp={device.temperature_c:.1f}'C\n")
    return Answer(1, stdout='error=1 error_msg="Command not registered"\n')


def _id(device: SimDevice, args: list[str]) -> Answer:
    return Answer(stdout="1000\n" if "-u" in args else "sim\n")


def _run_runner(device: SimDevice, args: list[str]) -> Answer:
    """Any of our runners; see `device/runners/runner_passes.py` for what they print."""
    options = _runner_options(args)
    litert = options.shape is None
    artifact, outputs = _inside(device, options.artifact), _inside(device, options.outputs)
    images = _images(_inside(device, options.inputs), options.shape)
    facts: dict[str, Any] = {
        "runtime": "LiteRT" if litert else "TVM",
        "version": "simulated",
        "threads": options.threads,
        "load_ns": round(device.truth.load_ms * 1e6),
        "operators": 1,
        "delegated_operators": 1,
        "delegate_partitions": 1,
        "undelegated": {},
        "model_sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
    }
    asked, seconds = images, device.truth.load_ms / 1e3 + len(images) * device.latency_ms(artifact) / 1e3
    if options.latency:
        asked = images[:1]
        timed, seconds = _latency(device, artifact, options)
        facts |= timed
    if options.memory:
        asked, seconds = images[:1], device.truth.load_ms / 1e3
        facts |= {"memory_before": device.truth.memory_bytes // 2, "peak_memory": device.truth.memory_bytes}
    logits = device.answer(artifact, asked)
    _store_logits(device, outputs, logits, litert)
    begin = device.tick(0)
    device.spend(seconds, load=1.0)
    if options.latency:
        facts["watch"] = [begin, device.tick(round(seconds * 1e3))]
    return Answer(stdout=json.dumps(facts) + "\n", seconds=seconds)


def _runner_options(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in ("artifact", "inputs", "outputs"):
        parser.add_argument(name)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shape")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--min-runs", type=int, default=100)
    parser.add_argument("--min-seconds", type=float, default=10.0)
    # The simulated runs are steady from the first one: how they are warmed up makes no difference.
    known, _ = parser.parse_known_args(args[1:] if PurePosixPath(args[0]).name in _RUNNERS else args)
    return known


def _latency(device: SimDevice, artifact: Path, options: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """The facts of one session, and its simulated seconds."""
    truth_ms = device.latency_ms(artifact)
    runs = min(_MOST_RUNS, max(options.min_runs, math.ceil(options.min_seconds * 1e3 / truth_ms)))
    samples = device.session_ns(artifact, runs)
    first = round(truth_ms * 1e6 * 3)  # caches are cold
    facts = {"first_ns": first, "warmup_runs": 20, "settled": True, "latency_ns": samples}
    return facts, device.truth.load_ms / 1e3 + (sum(samples) + first) / 1e9


def _images(path: Path, shape: str | None) -> NDArray[np.float32]:
    if shape is None:
        images: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return images
    sizes = [int(size) for size in shape.split(",")]
    return np.fromfile(path, "<f4").reshape(-1, *sizes[1:]).astype(np.float32)


def _store_logits(device: SimDevice, path: Path, logits: NDArray[np.float32], litert: bool) -> None:
    if not litert:
        return device.store(path, logits.astype("<f4").tobytes())
    file = BytesIO()
    np.save(file, logits, allow_pickle=False)
    return device.store(path, file.getvalue())


Program = Callable[[SimDevice, list[str]], Answer]
_PROGRAMS: dict[str, Program] = {
    "uname": _uname,
    "head": _head,
    "cat": _cat,
    "mktemp": _mktemp,
    "mkdir": _mkdir,
    "sha256sum": _sha256sum,
    "wc": _wc,
    "df": _df,
    "chmod": _chmod,
    "mv": _mv,
    "rm": _rm,
    "ls": _ls,
    "id": _id,
    "find": _find,
    "ln": _ln,
    "readlink": _readlink,
    "touch": _touch,
    "stat": _stat,
    "date": _date,
    "vcgencmd": _vcgencmd,
}
