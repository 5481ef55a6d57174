"""Random subnets of every family: each of their functions finds a rule, on every instruction set."""

import numpy as np
import pytest
import torch
from compiled import A72, plan

from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.space import Space
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.static import StaticNet

DRAWN = (("ofa_mobilenetv3", 224), ("ofa_mobilenetv3", 61), ("ofa_proxyless", 61), ("ofa_resnet", 61))


@pytest.fixture(scope="module", params=DRAWN, ids=str)
def subnet(request, tmp_path_factory):
    """A random subnet as ONNX, of the published size or with odd sizes everywhere."""
    family, resolution = request.param
    odd = {} if resolution == 224 else {"width_mult": 0.35, "num_classes": 10}
    space = Space.of(family, "space", resolutions=(resolution,), **odd)
    drawn = space.subnet(space.sample(np.random.default_rng(resolution), 1)[0])
    torch.manual_seed(0)
    net = StaticNet(space, drawn).eval()
    net.calibrated = True  # nobody reads its answers
    path = tmp_path_factory.mktemp("subnet") / "model.onnx"
    export_onnx(fold_batch_norm(net), (1, 3, drawn.resolution, drawn.resolution), path)
    return path


@pytest.mark.parametrize("cpu", ["avx512", "avx2 with threads", "neon with threads"])
def test_every_function_finds_a_rule(subnet, cpu):
    x86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "znver4", "num-cores": 1}
    target = {
        "avx512": x86,
        "avx2 with threads": {**x86, "mattr": ["-avx512f"], "num-cores": 2},
        "neon with threads": {**A72, "num-cores": 4},
    }[cpu]
    facts = plan(subnet, target)
    assert facts.isa in cpu
    assert facts.fallbacks == ()
    assert facts.layout == "NHWC"
