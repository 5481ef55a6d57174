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
COMMANDS = {
    "target": lambda path: ("targets", "validate", path),
    "latency": lambda path: ("targets", "show", beside(path, "raspberry-pi-4", ".latency.json", ".toml")),
    "lookup-yaml": lambda path: ("latency", "import", path, "--target", "raspberry-pi-4", "--out", "table"),
    "fleet": lambda path: ("baseline", "show", "--fleet", path),
    "history": lambda path: ("baseline", "show", "--fleet", fleet(path)),
    "recipe": lambda path: ("train", "--recipe", path, "--preset", "fashion-mnist", "--dry-run"),
    "manifest": lambda path: ("report", alone(path, "out", "manifest.json")),
    "bundle": lambda path: ("bundle", "--list", "--app", alone(path, "app/app/src/main/assets", "bundle.json", 4)),
    "subnet-file": lambda path: ("explain", "--subnet", path),
    "net-config": lambda path: ("zoo", "import", path, "--dry-run"),
    "checkpoint": lambda path: ("zoo", "import", path, "--dry-run"),
    "package": lambda path: ("explain", "--supernet", alone(path, "supernet", "supernet.safetensors")),
    "onnx": lambda path: ("predict", path, "--target", "raspberry-pi-4"),
    "elf": lambda path: ("inspect", path),
    "picture": lambda path: ("run", "out", path),
}


def beside(path: Path, name: str, suffix: str, wanted: str) -> Path:
    """A target of ours with another latency file."""
    folder = path.with_suffix(".folder")
    folder.mkdir()
    shutil.copyfile(ROOT / "targets" / f"{name}{wanted}", folder / f"mine{wanted}")
    text = (folder / f"mine{wanted}").read_text().replace(f"{name}{suffix}", f"mine{suffix}")
    (folder / f"mine{wanted}").write_text(text)
    shutil.copyfile(path, folder / f"mine{suffix}")
    return folder / f"mine{wanted}"


def alone(path: Path, folder: str, name: str, up: int = 0) -> Path:
    place = path.with_suffix(".folder") / folder
    place.mkdir(parents=True)
    shutil.copyfile(path, place / name)
    return place.parents[up - 1] if up else place


def fleet(path: Path) -> Path:
    folder = alone(path, "nightly", "history.jsonl").parent
    (folder / "fleet.toml").write_text(
        'schema = 1\n[artifacts.net]\nbuild = "out"\n[devices.local]\nartifacts = ["net"]\n'
    )
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
        contents = [changed(draw.choice(reader.seeds), draw, list(reader.seeds), reader.text) for _ in range(_EACH)]
        for number, content in enumerate([*contents, *draw.sample(VALUES, 5)]):
            path = folder / f"{number}{reader.suffix}"
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code, _, err = run(*COMMANDS[reader.name](path))
            count += 1
            ends[code] += 1
            steers = not all(letter.isprintable() or letter in "\n\t" for letter in err)
            if code not in (0, 1, 2) or "internal error" in err or steers:
                bad.append(f"{reader.name} {number}: exit code {code}: {err[:300]!r}")
    print(f"{count} files; exit codes {dict(ends)}")
    assert count > 200
    assert bad == []
    assert ends[2] > count / 2
