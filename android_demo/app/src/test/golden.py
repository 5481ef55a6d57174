#!/usr/bin/env python3
"""What Python makes of given inputs, for the app's tests on a JVM: the toolkit's own functions, value by value.

    python android_demo/app/src/test/golden.py            # writes src/test/resources again; they are committed

Pixels come from a small generator that Java has too (`pixels`), so that only seeds and digests need to be kept.
"""

import argparse
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ofa_edge.data.channels import to_channels
from ofa_edge.data.picture import square_array
from ofa_edge.data.pixels import resize
from ofa_edge.data.preprocess import Pixels, Preprocessing
from ofa_edge.device.connections.cores import OTHER_NAMES, PART_NAMES
from ofa_edge.device.connections.fingerprint import cpu_name
from ofa_edge.device.measuring.samples import Session, summarise
from ofa_edge.export.tflite.convert import dequantise, quantise
from ofa_edge.export.tflite.metadata_writer import write_metadata
from ofa_edge.files import atomic_path, write_bytes

RESOURCES = Path(__file__).resolve().parent / "resources"
LABELS = ["T-shirt/top", "Überzieher", "kimono 着物", *(f"class {number}" for number in range(7))]
FASHION = Preprocessing(28, 1, (72.94,), (90.02,))
COLOUR = Preprocessing(28, 3, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def pixels(seed: int, height: int, width: int, channels: int, levels: int = 256) -> Pixels:
    """A linear congruential generator (Numerical Recipes'), its top bits; `levels` 2 gives zeros and ones."""
    count = height * width * channels
    values = np.empty(count, np.uint32)
    state = seed
    for index in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values[index] = state >> 24
    return (values * levels // 256).astype(np.uint8).reshape(height, width, channels)


def digest(values: NDArray[Any]) -> str:
    """SHA-256 of the values as they lie, little endian."""
    return hashlib.sha256(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()


def resizing() -> list[dict[str, Any]]:
    """Shrinking and growing; sixths and fourteenths, whose weights no float holds; zeros and ones, which end on .5."""
    shapes = [(28, 28, 1, 24), (28, 28, 3, 20), (28, 28, 1, 14), (84, 84, 1, 14), (30, 28, 1, 14), (7, 5, 3, 12)]
    shapes += [(1, 1, 1, 4), (56, 56, 1, 28), (97, 61, 3, 28), (28, 28, 1, 28), (240, 240, 3, 32), (33, 70, 1, 11)]
    cases = [(*shape, levels) for shape in shapes for levels in (2, 256)]
    return [
        {
            "seed": seed,
            "shape": list(case[:3]),
            "size": case[3],
            "levels": case[4],
            "sha256": digest(resize(pixels(seed, *case[:3], case[4])[None], case[3])[0]),
        }
        for seed, case in enumerate(cases)
    ]


def channel_changes() -> list[dict[str, Any]]:
    """Colour to grey and back."""
    return [
        {
            "seed": seed,
            "shape": [64, 64, given],
            "channels": wanted,
            "sha256": digest(to_channels(pixels(seed, 64, 64, given)[None], wanted)[0]),
        }
        for seed, (given, wanted) in enumerate([(3, 1), (1, 3), (3, 3), (1, 1)], 100)
    ]


def pictures() -> list[dict[str, Any]]:
    """Photographs of any shape, colour or grey, to squares: with and without the box filter before."""
    cases = [(300, 200, 3, 1, 28), (200, 300, 3, 3, 28), (111, 113, 3, 1, 28), (112, 112, 3, 3, 28)]
    cases += [(90, 260, 1, 1, 24), (90, 120, 1, 3, 24), (500, 333, 3, 3, 32), (27, 40, 3, 1, 28)]
    return [
        {
            "seed": seed,
            "shape": list(case[:3]),
            "channels": case[3],
            "size": case[4],
            "sha256": digest(square_array(pixels(seed, *case[:3]), case[3], case[4]).pixels),
        }
        for seed, case in enumerate(cases, 200)
    ]


def normalising() -> list[dict[str, Any]]:
    """From whole images to a network's input, [height, width, channel]."""
    cases = [(28, FASHION), (32, FASHION), (28, COLOUR), (40, COLOUR.at(24)), (28, FASHION.at(20))]
    return [
        {
            "seed": seed,
            "side": side,
            "size": how.size,
            "mean": [float(np.float32(value)) for value in how.mean],
            "std": [float(np.float32(value)) for value in how.std],
            "sha256": digest(how.apply(pixels(seed, side, side, how.channels)[None])[0].transpose(1, 2, 0)),
        }
        for seed, (side, how) in enumerate(cases, 300)
    ]


def quantising() -> list[dict[str, Any]]:
    """Real numbers as int8 and uint8 tensors hold them: ties, beyond the ends, and pixels of both scales."""
    inputs = FASHION.normalise(np.arange(256, dtype=np.uint8).reshape(1, 256, 1, 1)).reshape(-1)
    spread = (pixels(400, 64, 1, 1).astype(np.float32).reshape(-1) - 128) / np.float32(17)
    cases = [(np.int8, 0.011108643, -55), (np.int8, 0.5, 3), (np.uint8, 0.0078125, 128), (np.uint8, 0.02, 0)]
    rows = []
    for kind, wide_scale, zero in cases:
        scale = float(np.float32(wide_scale))
        ties = (np.arange(-9, 10, dtype=np.float32) / 2) * np.float32(scale)
        values = np.concatenate([inputs, spread, ties, np.array([1e9, -1e9, 0.0, -0.0], np.float32)]).astype(np.float32)
        stored = quantise(values, kind, scale, zero)
        rows.append(
            {
                "type": np.dtype(kind).name,
                "scale": scale,
                "zero_point": zero,
                "values": [float(value) for value in values],
                "stored": [int(value) for value in stored],
                "real": [float(value) for value in dequantise(stored, scale, zero)],
            }
        )
    return rows


def latencies() -> list[dict[str, Any]]:
    """Samples of sessions, and the toolkit's figures of them."""
    rows = []
    for seed, (sessions, runs) in enumerate([(5, 101), (1, 3), (3, 400), (4, 30), (7, 12), (2, 5)], 500):
        drawn = pixels(seed, sessions, runs, 2).astype(np.int64)
        nanos = 400_000 + 997 * drawn[..., 0] + 131 * (drawn[..., 1] ** 2)
        given = [
            Session(tuple(map(int, row)), 10_000_000 + 1000 * i, 900_000 + i, i != 2) for i, row in enumerate(nanos)
        ]
        figures = summarise(given, threads=4)
        rows.append(
            {
                "sessions": [
                    {
                        "latency_ns": list(session.samples_ns),
                        "load_ns": session.load_ns,
                        "first_ns": session.first_ns,
                        "settled": session.settled,
                        "warmup_runs": 20,
                        "logits": [0.5],
                    }
                    for session in given
                ],
                "figures": {
                    "p50": figures.p50_ms,
                    "p90": figures.p90_ms,
                    "p99": figures.p99_ms,
                    "min": figures.min_ms,
                    "mad": figures.mad_ms,
                    "low95": figures.low95_ms,
                    "high95": figures.high95_ms,
                    "load_ms": figures.load_ms,
                    "first_ms": figures.first_ms,
                    "runs": figures.runs,
                    "settled": figures.settled,
                },
            }
        )
    return rows


def processors() -> list[dict[str, str]]:
    """Texts of /proc/cpuinfo and the names that the toolkit reads from them."""
    listed = [(0x41, part) for part in PART_NAMES] + list(OTHER_NAMES)
    texts = [f"CPU implementer\t: {maker:#x}\nCPU part\t: {part:#x}\n" for maker, part in listed]
    texts += [texts[-1] + texts[-2], texts[0] + texts[-1], texts[-1] + texts[0]]  # little and big, mixed makers
    texts += ["CPU implementer : 0x51\nCPU part : 0x805\nCPU implementer : 0x51\nCPU part : 0x804\n"]
    texts += ["CPU implementer : 0x41\nCPU part : 0xd05\nCPU implementer : 0x41\nCPU part : 0xd0b\n"]
    texts += ["model name\t: Some x86 CPU @ 2 GHz \n", "CPU implementer : 0x41\nCPU part : 0xfff\n", ""]
    return [{"cpuinfo": text, "name": cpu_name(text) or "unknown"} for text in texts]


def turned() -> list[dict[str, Any]]:
    """An image upright by each EXIF number, and a file that carries the number, in both byte orders."""
    image = Image.fromarray(pixels(600, 5, 7, 3))
    rows = []
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif)
        image.getexif()[0x0112] = number
        upright = np.asarray(ImageOps.exif_transpose(image))
        rows.append(
            {
                "number": number,
                "sha256": digest(upright),
                "shape": list(upright.shape),
                "jpeg": file.getvalue()[:80].hex(),
            }
        )
    return rows


def tiny_model() -> bytes:
    """One int8 input [1, 28, 28, 1], one output [1, 10], no operator: for readers, not to be run."""
    graph = schema.SubGraphT()
    graph.tensors = []
    for name, shape in (("input", [1, 28, 28, 1]), ("logits", [1, 10])):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer, tensor.type = name, shape, 0, schema.TensorType.INT8
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs, graph.operators = [0], [1], []
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write(folder: Path) -> None:
    """Write all resources into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    golden = {
        "resize": resizing(),
        "channels": channel_changes(),
        "pictures": pictures(),
        "normalise": normalising(),
        "quantise": quantising(),
        "latency": latencies(),
        "processors": processors(),
        "turned": turned(),
    }
    write_bytes(folder / "golden.json", (json.dumps(golden, ensure_ascii=True, sort_keys=True) + "\n").encode())
    with atomic_path(folder / "tiny.tflite") as part:
        part.write_bytes(tiny_model())
        write_metadata(part, part, FASHION, LABELS, name="tiny", description="a test's network", version="1.2.3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESOURCES)
    write(parser.parse_args().out)
