"""What comes beside images and models: masks, CIFAR-10's files, licences, what an ONNX file says of itself, leases."""

import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from fuzzing import Reader, seeds
from PIL import Image

from ofa_edge.files import canonical_json

TIMM = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_pct": 0.9, "interpolation": "bicubic"}
HOLDER = {
    "token": "ab", "host": "h", "user": "u", "pid": 12, "started": 5.5, "since": 6.5, "beat": 7.5,
}  # fmt: skip


def data_readers(in_folder: Callable[[str, Callable[[Path], object]], Callable[[Path], object]]) -> Iterator[Reader]:
    """`in_folder` gives a reader its file under a name, in a folder of its own."""
    from ofa_edge.data.cifar10 import load_cifar10
    from ofa_edge.data.mask_folder import find_masks, read_masked
    from ofa_edge.data.preprocess import Preprocessing
    from ofa_edge.device.connections.local import LocalConnection
    from ofa_edge.device.measuring.lease import LEASES_VARIABLE, hold, lease_key
    from ofa_edge.device.measuring.raw_outputs import raw_outputs
    from ofa_edge.records.licences import read_licences

    mask = io.BytesIO()
    Image.fromarray(np.arange(20 * 24, dtype=np.uint8).reshape(20, 24) % 2).save(mask, "PNG")

    def masked(path: Path) -> object:
        folder = path.parents[1]
        (folder / "images").mkdir()
        Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(folder / "images" / "a.png")
        how = Preprocessing(16, 3, (0.0,) * 3, (1.0,) * 3)
        return read_masked(find_masks(folder).train, 2, how, [], masks=True)

    def leased(path: Path) -> object:
        device = LocalConnection("board")
        with mock.patch.dict(os.environ, {LEASES_VARIABLE: str(path.parent)}):
            (path.parent / f"{lease_key(device)}.json").write_bytes(path.read_bytes())
            with hold(device) as lease:
                return lease.check()

    said = {"pretrained_cfg": {**TIMM}}
    yield Reader("masks", ".png", (mask.getvalue(),), in_folder("masks/a.png", masked), text=False)
    yield Reader("licences", ".json", seeds('{"weights": "MIT", "data": "CC0"}'), read_licences)
    yield Reader("lease", ".json", seeds(json.dumps(HOLDER)), in_folder("lease", leased))
    yield Reader("raw-outputs", ".f32", (np.zeros(10, "<f4").tobytes(),), raw_outputs, text=False)
    yield Reader("timm-config", ".json", seeds(json.dumps(said)), in_folder("config.json", _timm))
    yield Reader("onnx-metadata", ".json", _metadata(), _said)
    yield Reader("cifar-archive", ".tar.gz", (_archive(),), load_cifar10, text=False)


def _timm(path: Path) -> object:
    from ofa_edge.workflows.build.model_metadata import said_framing, said_normalisation, timm_config

    given: Any = SimpleNamespace(metadata={}, path=path.with_name("model.onnx"))
    config = timm_config(given)
    return said_normalisation({}, config, 3), said_framing({}, config, [])


def _said(path: Path) -> object:
    """A file's lines are entries of a model's metadata: name, a blank, what it says."""
    from ofa_edge.records.licences import said_licences
    from ofa_edge.workflows.build.model_metadata import said_framing, said_labels, said_normalisation, timm_config

    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    metadata = {name: value for name, _, value in (line.partition(" ") for line in lines)}
    given: Any = SimpleNamespace(metadata=metadata, path=path)
    options: Any = SimpleNamespace(labels=None)
    config = timm_config(given)
    framing = said_framing(metadata, config, [])
    return framing, said_normalisation(metadata, config, 3), said_labels(given, options, 2), said_licences(metadata)


def _metadata() -> tuple[bytes, ...]:
    from left import HOW, LABELS

    from ofa_edge.network import Interface
    from ofa_edge.records.interface import ONNX_KEY

    own = canonical_json(Interface.of_classifier(HOW, LABELS).record("model.onnx").model_dump(mode="json")).decode()
    timm = f"pretrained_cfg {json.dumps(TIMM)}\nlicence MIT"
    return seeds(timm, "names {0: 'cat', 1: 'dog'}\nmean [0.5, 0.5, 0.5]\nstd 0.25", f"{ONNX_KEY} {own}")


def _archive() -> bytes:
    """The python version of CIFAR-10, of one image a batch."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            content = pickle.dumps({b"labels": [3], b"data": np.zeros((1, 3072), np.uint8)}, protocol=2)
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return target.getvalue()
