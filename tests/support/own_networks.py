"""Networks and images as people bring them: a classifier of brightness, in many disguises, and pictures that it tells.

Its logits are 2 s c m - s c^2 for the mean brightness m and the centre c of each class, so the nearest centre wins.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

NAMES = ("dark", "dim", "fair", "bright")
CENTRES = np.linspace(-0.75, 0.75, len(NAMES)).astype(np.float32)
STATISTICS = {"mean": (127.5,), "std": (127.5,)}  # of pixels 0..255: the network takes -1..1
SIZE = 24


def save_classifier(
    path: Path,
    *,
    shape: tuple[Any, ...] = ("N", 3, SIZE, SIZE),
    kind: int = TensorProto.FLOAT,
    weights: type = np.float32,
    opset: int = 17,
    nhwc: bool = False,
    extra: bool = False,
    **metadata: str,
) -> Path:
    """Write the classifier.

    Args:
        path: the file.
        shape: of its input, text for a size that is free.
        kind: of its input's numbers.
        weights: type of its weights.
        opset: of ONNX.
        nhwc: whether `shape` is [N, H, W, C].
        extra: whether it has another output behind its logits.
        metadata: what the file says about itself.
    """
    inner = {np.float16: TensorProto.FLOAT16, np.float64: TensorProto.DOUBLE}.get(weights, TensorProto.FLOAT)
    channels = shape[3] if nhwc else shape[1]
    values = {
        "w": np.full((4, channels, 3, 3), 1 / (9 * channels), weights),
        "g": np.outer(np.ones(4) / 4, 40 * CENTRES).astype(weights),
        "c": (-20 * CENTRES**2).astype(weights),
    }
    nodes, name = [], "image"
    if kind != inner:
        nodes.append(helper.make_node("Cast", [name], ["floats"], to=inner))
        name = "floats"
    if nhwc:
        nodes.append(helper.make_node("Transpose", [name], ["planes"], perm=[0, 3, 1, 2]))
        name = "planes"
    nodes += [
        helper.make_node("Conv", [name, "w"], ["a"], "blur", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["a"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "row"),
        helper.make_node("Gemm", ["f", "g", "c"], ["scores"], "head"),
    ]
    outputs = [helper.make_tensor_value_info("scores", inner, ["N", len(NAMES)])]
    if extra:
        outputs.append(helper.make_tensor_value_info("p", inner, None))
    graph = helper.make_graph(
        nodes,
        "anybody's",
        [helper.make_tensor_value_info("image", kind, shape)],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> tuple[np.ndarray, np.ndarray]:
    """Colour pictures uint8 [count, *size, 3] of every class in turn, and the numbers of their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(NAMES)
    levels = 127.5 + 127.5 * CENTRES[labels] + rng.normal(0, 8, count)
    noise = rng.normal(0, 20, (count, *size, 3))
    return np.clip(levels[:, None, None, None] + noise, 0, 255).astype(np.uint8), labels


def save_folder(folder: Path, counts: dict[str, int], seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    """Pictures as `train/CLASS/*.png` and `val/CLASS/*.png`: so many of each class in each part, sorted by class."""
    for part in ("train", "val"):
        pixels, labels = pictures(len(NAMES) * max(counts.values()), seed + (part == "val"), size)
        for name, count in counts.items():
            place = folder / part / name
            place.mkdir(parents=True)
            for number, pixel in enumerate(pixels[labels == NAMES.index(name)][:count]):
                Image.fromarray(pixel).save(place / f"{number:03}.png")
    return folder
