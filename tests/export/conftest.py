"""The small network, exported and converted once for all tests of this folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from converted import convert_together
from filelock import FileLock
from tiny_net import SHAPE, build_net, smooth_images
from tiny_package import shared_folder
from torch import nn

from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.pair import Pair, open_pair
from ofa_edge.export.tflite.rewrites import FITTED, rewrite


@pytest.fixture(scope="session")
def net() -> nn.Module:
    """TinyNet, in evaluation mode."""
    return build_net()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """40 images that no stage was calibrated on."""
    return smooth_images(40, 2)


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    """64 images for int8."""
    return smooth_images(64, 3)


@pytest.fixture(scope="session")
def reference(net: nn.Module, images: np.ndarray) -> np.ndarray:
    """What torch answers, unfolded."""
    with torch.no_grad():
        return net(torch.from_numpy(images)).numpy()


@pytest.fixture(scope="session")
def onnx_path(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TinyNet as ONNX."""
    from ofa_edge.export.onnx.export import export_onnx
    from ofa_edge.supernet.fold import fold_batch_norm

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(fold_batch_norm(net), SHAPE, path)
    return path


def made_once(folder: Path, onnx_path: Path, calibration: np.ndarray, plain: bool) -> dict[str, Path]:
    """TFLite files by precision, made by the first of a run's processes that asks."""
    from ofa_edge.export.tflite.rewrites import names

    precisions = ("fp32", "fp16", "dynamic", "int8")
    paths = {precision: folder / f"{'plain-' * plain}{precision}.tflite" for precision in precisions}
    if not plain:
        paths["unfitted"] = folder / "unfitted.tflite"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            making = folder.with_suffix(".part")
            making.mkdir()
            np.save(making / "images.npy", calibration)
            jobs = []
            for precision in precisions:
                path = paths[precision]
                images = str(making / "images.npy") if precision == "int8" else None
                skip = names(precision) if plain else ()
                settings = {"precision": precision, "skip": skip, "images": images}
                jobs.append((onnx_path, making / path.name, settings))
            if not plain:
                jobs.append((onnx_path, making / "twin.tflite", {"precision": "fp32", "twin_of": "int8"}))
                unfitted = {"precision": "int8", "images": str(making / "images.npy"), "skip": FITTED}
                jobs.append((onnx_path, making / "unfitted.tflite", unfitted))
            convert_together(jobs)
            making.rename(folder)
    return paths


@pytest.fixture(scope="session")
def tflite_paths(onnx_path: Path, calibration: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TinyNet as TFLite, by precision."""
    return made_once(shared_folder(tmp_path_factory) / "tiny-tflite", onnx_path, calibration, False)


@pytest.fixture(scope="session")
def pair(onnx_path: Path, tflite_paths: dict[str, Path]) -> Pair:
    """TinyNet's int8 file and its fp32 twin."""
    graph = read_graph(onnx_path)
    nodes = [node.name for node in rewrite(graph, "int8").nodes]
    twin = tflite_paths["int8"].with_name("twin.tflite")
    return open_pair(tflite_paths["int8"], twin, nodes, [node.name for node in graph.nodes])


@pytest.fixture(scope="session")
def plain_paths(onnx_path: Path, calibration: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TinyNet as a plain converter would write it, without any rewrite of ours, by precision."""
    return made_once(shared_folder(tmp_path_factory) / "plain-tflite", onnx_path, calibration, True)
