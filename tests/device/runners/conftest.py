import platform

import numpy as np
import pytest
from runner_net import SHAPE, write_net

from ofa_edge.device.runners.build import build_tvm_runner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runner")


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """The runner for this machine, built once."""
    return build_tvm_runner(platform.machine(), tmp_path_factory.mktemp("runner-cache"))


@pytest.fixture(scope="module")
def net(folder):
    return write_net(folder / "net.onnx")


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(1).normal(size=(32, *SHAPE)).astype(np.float32)
