"""The commands over some two hundred hostile files: each is taken, or refused in words that steer nothing."""

import io
import os
import random
import shutil
import signal
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from fuzzing import VALUES, changed
from places import ROOT
from readers import all_readers

from ofa_edge.cli import main
from ofa_edge.errors import DataError

_LONGEST_S = 5.0  # of computing; no file here takes a tenth of it
_MOST_BYTES = 500_000_000
_HUNG_S = 300
_EACH = 9  # changed files of a reader, beside hostile values
HERE = ("--target", "raspberry-pi-4")
TABLE = {"name": "mine", "like": "raspberry-pi-4", "measured-on": "a board", "version": "tflite 2", "source": "a table"}
TABLE["supernet"] = "ofa_mbv3_d234_e346_k357_w1.0"
COMMANDS = {
    "target": lambda path: ("targets", "validate", beside_targets(path, "mine.toml") / "mine.toml"),
    "latency": lambda path: ("targets", "show", beside_targets(path, "host.latency.json") / "host.toml"),
    "lookup-yaml": lambda path: ("latency", "import", path, *(f"--{key}={word}" for key, word in TABLE.items())),
    "devices": lambda path: ("devices", "list", *as_devices(path)),
    "fleet": lambda path: ("baseline", "show", "--config", path),
    "history": lambda path: ("baseline", "show", "--config", fleet(path)),
    "recipe": lambda path: ("train", "--recipe", path, "--preset", "fashion-mnist", "--dry-run"),
    "manifest": lambda path: ("report", alone(path, "out", "manifest.json")),
    "bundle": lambda path: ("bundle", "--list", "--app", app(path)),
    "subnet-file": lambda path: ("explain", path, *HERE),
    "net-config": lambda path: ("zoo", "import", path, "--subnet"),
    "checkpoint": lambda path: ("zoo", "import", path, "--out", path.with_suffix(".folder")),
    "package": lambda path: ("explain", "--supernet", alone(path, "supernet", "supernet.safetensors"), *HERE),
    "onnx": lambda path: ("predict", path, *HERE),
    "elf": lambda path: ("inspect", path),
}


def beside_targets(path: Path, name: str) -> Path:
    """Our targets, with the file among them."""
    folder = path.with_suffix(".folder")
    shutil.copytree(ROOT / "targets", folder)
    shutil.copyfile(path, folder / name)
    return folder


def alone(path: Path, folder: str, name: str) -> Path:
    place = path.with_suffix(".folder") / folder
    place.mkdir(parents=True)
    shutil.copyfile(path, place / name)
    return place


def as_devices(path: Path) -> tuple[str, ...]:
    shutil.copyfile(path, os.environ["OFA_EDGE_DEVICES"])
    return ()


def app(path: Path) -> Path:
    main = alone(path, "app/app/src/main/assets", "bundle.json").parent
    (main / "AndroidManifest.xml").write_text("<manifest/>")
    return main.parents[2]


def fleet(path: Path) -> Path:
    folder = alone(path, "nightly", "history.jsonl").parent
    text = 'schema = 1\n[artifacts.net]\nbuild = "out"\n[devices.local]\nartifacts = ["net"]\n'
    (folder / "fleet.toml").write_text(text)
    return folder / "fleet.toml"


@dataclass(frozen=True)
class End:
    """How a command ended: exit code, or less than 0 for a signal; what it took and said."""

    code: int
    cpu_s: float
    memory: int  # bytes beyond those that this process had when it began
    said: str


def ended(arguments: tuple[object, ...], said: Path) -> End:
    """Run a command in a fork of this process, which has imported all that it needs: what it takes is its own."""
    before = psutil.Process().memory_info().rss
    child = os.fork()
    if not child:
        _become(list(map(str, arguments)), said)
    _, status, took = os.wait4(child, 0)
    text = said.read_bytes().decode("utf-8", "surrogateescape")
    code = os.waitstatus_to_exitcode(status)
    return End(code, took.ru_utime + took.ru_stime, took.ru_maxrss * 1024 - before, text)


def _become(arguments: list[str], said: Path) -> None:
    code = 99
    try:
        signal.alarm(_HUNG_S)
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), write_through=True
        )
        warnings.simplefilter("ignore")
        main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _not_timed(*_: object) -> None:
    raise DataError("no step is timed", "dozens of recipes", "one by itself")


def test_two_hundred_hostile_files(run, tmp_path, monkeypatch):
    """Each command ends in words of ours, within seconds of computing and some memory, and steers no terminal."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr("ofa_edge.workflows.train.estimate_run", _not_timed)
    monkeypatch.setenv("COLUMNS", "200")
    draw, ends, bad, count = random.Random(5), Counter(), [], 0
    for reader in all_readers(tmp_path / "here"):
        if reader.name not in COMMANDS:
            continue
        folder = tmp_path / "hostile" / reader.name
        folder.mkdir(parents=True)
        contents = [changed(draw.choice(reader.seeds), draw, list(reader.seeds), reader.text) for _ in range(_EACH)]
        for number, content in enumerate([reader.seeds[0], *contents, *draw.sample(VALUES, 5)]):
            path = folder / f"{number}{reader.suffix}"
            path.write_bytes(content)
            arguments = COMMANDS[reader.name](path)
            if number == 0:
                run(*arguments)  # here: what it imports is imported once
            end = ended(arguments, path.with_suffix(".said"))
            count += 1
            ends[end.code] += 1
            words = [word for word in ("internal error", "usage:", "Traceback") if word in end.said]
            if not all(letter.isprintable() or letter in "\n\t" for letter in end.said):
                words.append("what steers a terminal")
            if end.code not in (0, 1, 2) or words or end.cpu_s > _LONGEST_S or end.memory > _MOST_BYTES:
                bad.append(f"{reader.name} {number}: {words} {end}"[:800])
    assert count > 200
    assert bad == []
    assert ends[2] > count / 2
