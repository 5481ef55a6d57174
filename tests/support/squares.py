"""Detectors and segmenters as people bring them, and pictures for them: red and green squares on a grid of grey.

A picture of 128 x 96 has squares of 16 pixels; in an input of 64 x 64, letterboxed, they are of 8, each in a cell of
the 8 x 8 grid that the networks answer for. The detector's boxes shift and grow with what is in the cell, so that they
fit more or less well; its scores follow the colour.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

NAMES = ("red", "green")
INPUT, CELL = 64, 8
WIDTH, HEIGHT, SIDE = 128, 96, 16
GRID = INPUT // CELL
PIXELS = {"mean": (0.0,), "std": (255.0,)}  # the networks take 0..1


def save_detector(path: Path, *, form: str = "yolov8", **metadata: str) -> Path:
    """Write the detector, its outputs in one of the forms: "yolov8", "yolov5", "ssd-sigmoid" or "boxes-scores".

    "yolov5 joined" is joined at its end as YOLOv5's own export is, here from the grid's upper and lower half.
    """
    area = CELL * CELL
    colour = np.zeros((2, 3, CELL, CELL), np.float32)
    for number in range(2):
        colour[number] = -24 / area
        colour[number, number] = 36 / area
    fit = np.zeros((4, 3, CELL, CELL), np.float32)
    half = np.linspace(-1, 1, CELL)
    fit[0], fit[1] = 3 * half / area, 3 * half[:, None] / area  # what is lopsided moves the box
    fit[2], fit[3] = 1.2 / area, -1.2 / area
    rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
    grid = np.stack([CELL * (columns + 0.5), CELL * (rows + 0.5), *(np.full(GRID * GRID, CELL),) * 2])
    values = {
        "colour": colour,
        "bias": np.full(2, -4, np.float32),
        "fit": fit,
        "grid": grid[None].astype(np.float32),
        "cells": np.array([1, -1, GRID * GRID], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "colour", "bias"], ["c"], "colours", strides=[CELL, CELL]),
        helper.make_node("Conv", ["images", "fit"], ["f"], "fits", strides=[CELL, CELL]),
        helper.make_node("Reshape", ["c", "cells"], ["cs"], "scores_in_a_row"),
        helper.make_node("Reshape", ["f", "cells"], ["fs"], "fits_in_a_row"),
        helper.make_node("Sigmoid", ["cs"], ["scores"], "certain"),
        helper.make_node("Add", ["fs", "grid"], ["boxes"], "places"),
    ]
    cells = GRID * GRID
    if form == "yolov8":
        nodes.append(helper.make_node("Concat", ["boxes", "scores"], ["output0"], "joined", axis=1))
        outputs = {"output0": [1, 6, cells]}
    elif form == "yolov5":
        values["one"] = np.ones((1, 1, cells), np.float32)
        nodes.append(helper.make_node("Concat", ["boxes", "one", "scores"], ["joint"], "joined", axis=1))
        nodes.append(helper.make_node("Transpose", ["joint"], ["output0"], "rows", perm=[0, 2, 1]))
        outputs = {"output0": [1, cells, 7]}
    elif form == "yolov5 joined":
        values["one"] = np.ones((1, 1, cells), np.float32)
        values["widths"] = np.array([2, 2], np.int64)
        nodes.append(helper.make_node("Concat", ["one", "scores"], ["certainty"], "certainties", axis=1))
        for name, source, size in (("b", "boxes", 4), ("c", "certainty", 3)):
            values[f"{name}_grid"] = np.array([1, 1, size, GRID, GRID], np.int64)
            nodes += [
                helper.make_node("Reshape", [source, f"{name}_grid"], [f"{name}5"], f"{name}_as_grid"),
                helper.make_node("Transpose", [f"{name}5"], [f"{name}_map"], f"{name}_last", perm=[0, 1, 3, 4, 2]),
                helper.make_node(
                    "Split", [f"{name}_map"], [f"{name}0", f"{name}1"], f"{name}_halves", axis=2, num_outputs=2
                ),
            ]
        values["rows"] = np.array([1, cells // 2, 7], np.int64)
        for part in "01":
            nodes += [
                helper.make_node("Split", [f"b{part}", "widths"], [f"xy{part}", f"wh{part}"], f"split{part}", axis=4),
                helper.make_node("Concat", [f"xy{part}", f"wh{part}", f"c{part}"], [f"y{part}"], f"join{part}", axis=4),
                helper.make_node("Reshape", [f"y{part}", "rows"], [f"z{part}"], f"rows{part}"),
            ]
        nodes.append(helper.make_node("Concat", ["z0", "z1"], ["output0"], "joined", axis=1))
        outputs = {"output0": [1, cells, 7]}
    elif form == "ssd-sigmoid":
        values |= {"ten": np.float32(1 / (0.1 * CELL)), "five": np.float32(5), "cell": np.float32(CELL)}
        values["prior"] = np.float32(1)
        nodes += [
            helper.make_node("Split", ["fs"], ["shift", "growth"], "parts", axis=1, num_outputs=2),
            helper.make_node("Mul", ["shift", "ten"], ["moved"], "shifts"),
            helper.make_node("Div", ["growth", "cell"], ["share"], "shares"),
            helper.make_node("Add", ["share", "prior"], ["times"], "factors"),
            helper.make_node("Log", ["times"], ["power"], "powers"),
            helper.make_node("Mul", ["power", "five"], ["grown"], "growths"),
            helper.make_node("Concat", ["moved", "grown"], ["offsets"], "joined", axis=1),
            helper.make_node("Transpose", ["offsets"], ["boxes_out"], "rows", perm=[0, 2, 1]),
            helper.make_node("Transpose", ["cs"], ["scores_out"], "score_rows", perm=[0, 2, 1]),
        ]
        outputs = {"boxes_out": [1, cells, 4], "scores_out": [1, cells, 2]}
    else:
        values["half"] = np.array(0.5, np.float32)
        nodes += [
            helper.make_node("Split", ["boxes"], ["middle", "size"], "parts", axis=1, num_outputs=2),
            helper.make_node("Mul", ["size", "half"], ["reach"], "halves"),
            helper.make_node("Sub", ["middle", "reach"], ["low"], "lows"),
            helper.make_node("Add", ["middle", "reach"], ["high"], "highs"),
            helper.make_node("Concat", ["low", "high"], ["corners"], "joined", axis=1),
            helper.make_node("Transpose", ["corners"], ["boxes_out"], "rows", perm=[0, 2, 1]),
            helper.make_node("Transpose", ["scores"], ["scores_out"], "score_rows", perm=[0, 2, 1]),
        ]
        outputs = {"boxes_out": [1, cells, 4], "scores_out": [1, cells, 2]}
    return _save(path, nodes, outputs, values, metadata)


def save_priors(path: Path) -> Path:
    """The priors of "ssd-sigmoid": its cells, in shares of the input's sides."""
    rows, columns = np.divmod(np.arange(GRID * GRID), GRID)
    sides = np.full(GRID * GRID, 1 / GRID)
    np.savez(path, priors=np.stack([(columns + 0.5) / GRID, (rows + 0.5) / GRID, sides, sides], axis=1))
    return path


def save_segmenter(path: Path, *, scores: int = 3, sigmoid: bool = False, **metadata: str) -> Path:
    """Write a segmenter: grey, red or green for each cell of two pixels. One score: whether it is red."""
    weights = np.zeros((scores, 3, 2, 2), np.float32)
    if scores == 3:
        weights[0], weights[1, 0], weights[2, 1] = 0.25, 1.5, 1.5
        weights[1, 1:] = weights[2, ::2] = -0.75
    else:
        weights[0, 0], weights[0, 1:] = 3, -3
    nodes = [helper.make_node("Conv", ["images", "w", "b"], ["s" if sigmoid else "out"], "scores", strides=[2, 2])]
    nodes += [helper.make_node("Sigmoid", ["s"], ["out"], "share")] if sigmoid else []
    values = {"w": weights, "b": np.full(scores, 0 if scores == 3 else 1, np.float32)}
    return _save(path, nodes, {"out": [1, scores, INPUT // 2, INPUT // 2]}, values, metadata)


def _save(path: Path, nodes: list[Any], outputs: dict[str, list[int]], values: Any, metadata: dict[str, str]) -> Path:
    graph = helper.make_graph(
        nodes,
        "anybody's",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, INPUT, INPUT])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


def picture(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int, int]], np.ndarray]:
    """A picture uint8 [96, 128, 3]; its squares as (class, x, y); the class of each pixel, 0 where there is none."""
    pixels = rng.normal(110, 25, (HEIGHT, WIDTH, 3))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    places = rng.permutation((WIDTH // SIDE) * (HEIGHT // SIDE))[: rng.integers(1, 6)]
    squares = []
    for place in places:
        row, column = divmod(int(place), WIDTH // SIDE)
        number, x, y = int(rng.random() < 0.3), SIDE * column, SIDE * row  # twice as many red as green
        part = pixels[y : y + SIDE, x : x + SIDE]
        part *= 0.5
        part[..., number] += rng.uniform(70, 160)
        part += rng.uniform(-40, 40) * np.linspace(-1, 1, SIDE)[:, None]
        mask[y : y + SIDE, x : x + SIDE] = number + 1
        squares.append((number, x, y))
    return np.clip(pixels, 0, 255).astype(np.uint8), squares, mask


def save_coco(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Pictures and COCO's JSON: `annotations/instances_PART.json` and `PART/`, so many of each part."""
    rng = np.random.default_rng(seed)
    (folder / "annotations").mkdir(parents=True)
    for part, count in counts.items():
        (folder / part).mkdir()
        images, annotations = [], []
        for number in range(count):
            pixels, squares, _ = picture(rng)
            Image.fromarray(pixels).save(folder / part / f"{number:04}.png")
            images.append({"id": 7 + 3 * number, "file_name": f"{number:04}.png", "width": WIDTH, "height": HEIGHT})
            for kind, x, y in squares:
                box = {"bbox": [x, y, SIDE, SIDE], "area": SIDE * SIDE, "iscrowd": 0}
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": 7 + 3 * number, "category_id": (4, 90)[kind], **box}
                )
        categories = [{"id": 4, "name": "red"}, {"id": 90, "name": "green"}, {"id": 0, "name": "squares"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return folder


def _pictures(
    folder: Path, kinds: tuple[str, str], counts: dict[str, int], seed: int
) -> Iterator[tuple[Path, Any, Any]]:
    """Save pictures as `KIND/PART/*.png`; of each its path in the second kind without an ending, squares and mask."""
    rng = np.random.default_rng(seed)
    for part, count in counts.items():
        for kind in kinds:
            (folder / kind / part).mkdir(parents=True)
        for number in range(count):
            pixels, squares, mask = picture(rng)
            Image.fromarray(pixels).save(folder / kinds[0] / part / f"{number:04}.png")
            yield folder / kinds[1] / part / f"{number:04}", squares, mask


def save_yolo(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """The same pictures as YOLO's `images/PART`, `labels/PART` and `data.yaml`."""
    for path, squares, _ in _pictures(folder, ("images", "labels"), counts, seed):
        lines = [
            f"{kind} {(x + SIDE / 2) / WIDTH} {(y + SIDE / 2) / HEIGHT} {SIDE / WIDTH} {SIDE / HEIGHT}\n"
            for kind, x, y in squares
        ]
        path.with_suffix(".txt").write_text("".join(lines))
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames:\n  0: red\n  1: green\n")
    return folder


def save_masked(folder: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """The same pictures and their masks: `images/PART/*.png`, `masks/PART/*.png`."""
    for path, _, mask in _pictures(folder, ("images", "masks"), counts, seed):
        Image.fromarray(mask).save(path.with_suffix(".png"))
    return folder
