"""Small networks of the other families through every conversion."""

import numpy as np
import pytest
import torch
from converted import convert_together
from tiny_net import smooth_images

from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import operators, run_tflite
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.space import Space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.network import Supernet
from ofa_edge.verify.parity import compare

# 27 pixels: 14, 7, 4, 2 on the way down, so that pooling meets maps of odd sizes.
SMALL = {"width_mult": 0.25, "num_classes": 10, "resolutions": (27,)}
SPACES = {family: Space.of(family, "small", **SMALL) for family in ("ofa_proxyless", "ofa_resnet")}


@pytest.fixture(scope="module", params=list(SPACES))
def exported(request, tmp_path_factory):
    """(family, the answers of torch to 24 images, the ONNX file)."""
    space = SPACES[request.param]
    torch.manual_seed(0)
    net = Supernet(space).extract(space.uniform(space.kernels[-1], space.expands[1], space.depths[1]))
    recalibrate_bn(net, [torch.from_numpy(smooth_images(64, 1))])
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    export_onnx(fold_batch_norm(net), (1, 3, 27, 27), path)
    with torch.no_grad():
        return request.param, net(torch.from_numpy(smooth_images(24, 2))).numpy(), path


def test_onnx(exported):
    _, wanted, path = exported
    assert compare(wanted, run_onnx(path, smooth_images(24, 2))).snr_db > 90


@pytest.fixture(scope="module")
def tflite_paths(exported):
    """The family's TFLite files by precision."""
    path = exported[2]
    images = path.with_name("images.npy")
    np.save(images, smooth_images(64, 2))
    made = {precision: path.with_name(f"{precision}.tflite") for precision in ("fp32", "dynamic", "int8")}
    settings = {precision: str(images) if precision == "int8" else None for precision in made}
    convert_together((path, out, {"precision": name, "images": settings[name]}) for name, out in made.items())
    return made


@pytest.mark.parametrize(("precision", "floor"), [("fp32", 90), ("dynamic", 10), ("int8", 4)])
def test_tflite(exported, tflite_paths, precision, floor):
    """Random weights lose most in int8: rounding weights and activations in torch leaves 6 to 8 dB of them too."""
    family, wanted, _ = exported
    path = tflite_paths[precision]
    assert compare(wanted, run_tflite(path, smooth_images(24, 2))).snr_db > floor
    used = set(operators(path))
    known = {"CONV_2D", "PAD", "ADD", "MEAN", "FULLY_CONNECTED", "RESHAPE"}
    pooling = {"DEPTHWISE_CONV_2D", "MUL"} if precision == "int8" else {"AVERAGE_POOL_2D"}
    extra = {"MAX_POOL_2D", *pooling} if family == "ofa_resnet" else {"DEPTHWISE_CONV_2D"}
    assert used <= known | extra, "activations belong into the operator before them"
    assert inspect_model(path).faults == ()


def test_tvm(exported):
    _, wanted, path = exported
    library = tvm.compile_cpu(path, path.with_name("host.so"), {"kind": "llvm", "num-cores": 1}).file
    logits = tvm.run_tvm_host(library.path, smooth_images(24, 2))
    assert compare(wanted, logits).snr_db > 90
    np.testing.assert_array_equal(logits.argmax(1), wanted.argmax(1))


def test_tvm_in_half_precision(exported):
    _, wanted, path = exported
    half = tvm.compile_cpu(path, path.with_name("half.so"), tvm.host_target(), precision="fp16").file
    difference = compare(wanted, tvm.run_tvm_host(half.path, smooth_images(24, 2)))
    assert 20 < difference.snr_db < 90  # random weights multiply the rounding, here as in int8
    assert difference.argmax_agreement > 0.9
