"""A fleet of made-up builds and devices, for tests of nights."""

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from manifests import facts, manifest
from tiny_tflite import tiny_tflite

from ofa_edge.data.dataset import Images
from ofa_edge.files import sha256_bytes
from ofa_edge.records.manifest import FileRecord, write_manifest
from ofa_edge.records.night import NightRecord
from ofa_edge.testing.noise import LOCKED_BOARD, session_factors
from ofa_edge.verify.regression import in_pairs, is_golden
from ofa_edge.verify.scoring import TopOne
from ofa_edge.workflows.nightly.bench import Answered, Duel, fingerprint_digest
from ofa_edge.workflows.nightly.fleet import load_fleet
from ofa_edge.workflows.nightly.privacy import Pseudonyms
from ofa_edge.workflows.nightly.run import Hardware, accept, run_fleet

LABELS = np.arange(400) % 10
FP32 = np.eye(10, dtype=np.float32)[LABELS]
FLEET = """
schema = 1
[protocol]
pause_seconds = 60
[artifacts.net]
build = "out"
"""
SHORT_NIGHT = """
schema = 1
[protocol]
pairs = 6
session_seconds = 0.01
session_runs = 10
warmup_limit_seconds = 0.02
pause_seconds = 0
images = 16
[artifacts.net]
build = "{build}"
[devices.local]
targets = ["{target}"]
deadline_minutes = 0.5
"""


def short_night(folder: Path, build: Path, target: str) -> NightRecord:
    """Accept a build as golden and run one short night of it on this machine, with the fleet file in `folder`."""
    (folder / "fleet.toml").write_text(SHORT_NIGHT.format(build=build, target=target))
    fleet = load_fleet(folder / "fleet.toml")
    accept(fleet, "net")
    return run_fleet(fleet)


def write_build(folder: Path, tag: bytes = b"", target: str = "raspberry-pi-4") -> str:
    """A build folder with one artifact, which `tag` makes another file; its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    data = tiny_tflite(False) + tag  # what follows a flatbuffer is not read
    (folder / "model.tflite").write_bytes(data)
    digest = sha256_bytes(data)
    outputs = (FileRecord(path="model.tflite", role="artifact", sha256=digest, size=len(data)),)
    write_manifest(folder, manifest(outputs=outputs, target=facts()["target"].model_copy(update={"name": target})))
    return digest


def write_fleet(folder: Path, *devices: str, text: str = FLEET, artifacts: tuple[str, ...] = ("net",)):
    """A fleet of the artifacts in `text` on local devices of these names."""
    listed = json.dumps(artifacts)
    entries = [f'[devices.{name}]\ndevice = "local"\nartifacts = {listed}\n' for name in devices]
    path = folder / "fleet.toml"
    path.write_text(text + "\n".join(entries))
    return load_fleet(path)


def make_duel(name, golden, candidate, device, protocol, data):
    del device, protocol, data
    images = Images(np.zeros((len(LABELS), 2, 2, 1), np.uint8), LABELS)
    return Duel(name, golden, candidate, images, TopOne(LABELS, FP32.shape[1]), FP32)


@dataclass
class FakeBench:
    """A device whose candidate is `slower` by a factor, and answers `wrong` images wrongly.

    `fails`: what is raised by "answer golden", "answer candidate", "run".
    """

    slower: float = 1.0
    wrong: int = 0
    instructions: tuple[int, int] | None = None
    cycles: tuple[int, int] | None = None
    seed: int = 0
    facts: dict = field(default_factory=lambda: {"cpu": "cortex-a72", "boot_id": "1", "serial": "SECRET99"})
    conditions: dict = field(default_factory=lambda: {"clock ceiling": "1.20 GHz of 1.80 GHz", "not read": "load"})
    fails: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    @property
    def emulated(self):
        return self.instructions is not None

    @property
    def fingerprint(self):
        return fingerprint_digest(self.facts)

    def answer(self, duel, golden):
        step = f"answer {'golden' if golden else 'candidate'}"
        self.calls.append(step)
        if step in self.fails:
            raise self.fails[step]
        answers = LABELS.copy()
        if not golden:
            answers[: self.wrong] = (answers[: self.wrong] + 1) % 10
        counted = self.instructions[0 if golden else 1] if self.instructions else None
        cycles = self.cycles[0 if golden else 1] if self.cycles else None
        return Answered(np.eye(10, dtype=np.float32)[answers], {"undelegated": {}}, counted, cycles)

    def run(self, duel, protocol, deadline):
        self.calls.append("run")
        if "run" in self.fails:
            raise self.fails["run"]
        self.seed += 1
        factors = session_factors(LOCKED_BOARD, 2 * protocol.pairs, self.seed)
        figures = [2.0 * f * (1.0 if is_golden(place) else self.slower) for place, f in enumerate(factors)]
        return in_pairs(figures)


def hardware(benches: dict, sleeps: list | None = None) -> Hardware:
    """Devices by the order in which they are opened: each a bench, or an error that opening it raises."""
    left = list(benches.values())

    @contextlib.contextmanager
    def open_bench(device, duels, limit_s):
        found = left.pop(0)
        if isinstance(found, BaseException):
            raise found
        yield found

    pause = sleeps.append if sleeps is not None else lambda _: None
    return Hardware(open_bench, make_duel, pause, Pseudonyms(("pi.secret.example",)))
