"""Builds and an app's folder for tests: a real TFLite model with metadata, and a manifest that fits it."""

import hashlib
from pathlib import Path
from typing import Any

from manifests import STAGES, facts, network, rungs
from tiny_tflite import CLASSES, tiny_tflite

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.tflite.metadata_writer import write_metadata
from ofa_edge.records.manifest import FileRecord, Manifest, TargetRecord, write_manifest
from ofa_edge.records.network import SubnetRecord, SupernetRecord
from ofa_edge.space import Space, Subnet

SPACE = Space("tiny", 0.25, 1, CLASSES, (1, 2, 2, 2, 1, 1), (12,))
LABELS = tuple(f"kind {index}" for index in range(CLASSES))
TARGET = facts()["target"]


def make_build(folder: Path, *, quantised: bool = False, class_names: tuple[str, ...] = LABELS, **changes: Any) -> Path:
    """A build's folder for raspberry-pi-4. `changes` replace fields of its manifest."""
    folder.mkdir(parents=True)
    (folder / "bare.tflite").write_bytes(tiny_tflite(quantised, channels=1))
    texts = {"name": "tiny", "description": "a test's network", "version": "0.1.0"}
    write_metadata(
        folder / "bare.tflite", folder / "model.tflite", Preprocessing(12, 1, (72.0,), (90.0,)), LABELS, **texts
    )
    (folder / "bare.tflite").unlink()
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in class_names))
    return write(folder, **{"target": target("int8" if quantised else "fp32"), **changes})


def write(folder: Path, **changes: Any) -> Path:
    """Write a manifest over the model and the labels as they are."""
    values = {
        "supernet": SupernetRecord(name="tiny", space=SPACE.to_json(), space_hash=SPACE.hash),
        "network": network(SPACE, Subnet(STAGES, 12)),
        "subnet": SubnetRecord.of(SPACE, Subnet(STAGES, 12)),
        "outputs": (record(folder / "model.tflite", "artifact"), record(folder / "labels.txt", "labels")),
    }
    write_manifest(folder, Manifest(**{**facts(), **values, **changes}))
    return folder


def target(precision: str, **changes: Any) -> TargetRecord:
    """The Raspberry Pi 4 with another precision, and whatever else."""
    return TARGET.model_copy(update={"precision": precision, **changes})


def record(path: Path, role: str) -> FileRecord:
    """A file as a manifest has it."""
    data = path.read_bytes()
    return FileRecord(path=path.name, role=role, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def untrained() -> dict[str, Any]:
    """Fields of the manifest of an untrained build."""
    name = "ofa_mbv3_d234_e346_k357_w1.0"
    supernet = SupernetRecord(name=name, space=SPACE.to_json(), space_hash=SPACE.hash)
    verdicts = tuple(
        item.model_copy(update={"outcome": "unverified", "code": "untrained"}) if item.gate == "accuracy" else item
        for item in facts()["verdicts"]
    )
    ladder = tuple(item.model_copy(update={"top1": None}) for item in rungs())
    return {
        "supernet": supernet,
        "network": network(SPACE, Subnet(STAGES, 12), trained=False),
        "labels": ("untrained", "emulated"),
        "ladder": ladder,
        "verdicts": verdicts,
        "search": None,
    }


def make_app(folder: Path) -> Path:
    """What `bundle` takes for the app's project."""
    for name in ("app/src/main/AndroidManifest.xml", "tools/build_apk.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder
