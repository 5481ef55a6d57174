"""The small network, exported and converted once for all tests of this folder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_net import SHAPE, build_net, smooth_images
from torch import nn


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
    from ofa_edge.export.onnx.fold import fold_batch_norm

    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(fold_batch_norm(net), SHAPE, path)
    return path


@pytest.fixture(scope="session")
def tflite_paths(onnx_path: Path, calibration: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TinyNet as TFLite, by precision."""
    from ofa_edge.export.tflite.convert import convert

    folder = tmp_path_factory.mktemp("tflite")
    paths = {precision: folder / f"{precision}.tflite" for precision in ("fp32", "fp16", "dynamic", "int8")}
    for precision, path in paths.items():
        convert(onnx_path, path, precision, calibration if precision == "int8" else None)
    return paths


@pytest.fixture(scope="session")
def plain_paths(onnx_path: Path, calibration: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TinyNet as a plain converter would write it, without any rewrite of ours, by precision."""
    from ofa_edge.export.tflite.convert import convert
    from ofa_edge.export.tflite.rewrites import names

    folder = tmp_path_factory.mktemp("plain")
    paths = {precision: folder / f"plain-{precision}.tflite" for precision in ("fp32", "dynamic", "int8")}
    for precision, path in paths.items():
        convert(onnx_path, path, precision, calibration if precision == "int8" else None, skip=names(precision))
    return paths
