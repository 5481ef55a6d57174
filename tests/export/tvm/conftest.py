import pytest
from tvm_models import mobile_net, save

from ofa_edge.export.tvm import compile as tvm


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return save(mobile_net(), tmp_path_factory.mktemp("tvm"))


@pytest.fixture(scope="module")
def library(net):
    return tvm.compile_cpu(net, net.with_name("host.so"), {"kind": "llvm", "num-cores": 1}).file
