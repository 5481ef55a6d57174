"""The commands over some two hundred hostile files: each is taken, or refused in words that steer nothing."""

import os
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path

from fuzzing import VALUES, changed
from places import ROOT
from readers import all_readers

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


def test_two_hundred_hostile_files(run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setenv("COLUMNS", "200")
    draw, ends, bad, count = random.Random(5), Counter(), [], 0
    for reader in all_readers(tmp_path / "here"):
        if reader.name not in COMMANDS:
            continue
        folder = tmp_path / "hostile" / reader.name
        folder.mkdir(parents=True)
        contents = [
            reader.seeds[0],
            *(changed(draw.choice(reader.seeds), draw, list(reader.seeds), reader.text) for _ in range(_EACH)),
        ]
        for number, content in enumerate([*contents, *draw.sample(VALUES, 5)]):
            path = folder / f"{number}{reader.suffix}"
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code, _, err = run(*COMMANDS[reader.name](path))
            count += 1
            ends[code] += 1
            steers = not all(letter.isprintable() or letter in "\n\t" for letter in err)
            if code not in (0, 1, 2) or "internal error" in err or "usage:" in err or steers:
                bad.append(f"{reader.name} {number}: exit code {code}: {err[:300]!r}")
    assert count > 200
    assert bad == []
    assert ends[2] > count / 2
