"""`oe.build(model=...)` of what callers have in memory."""

import numpy as np
import pytest
import torch
from torch import nn

import ofa_edge as oe
from ofa_edge.errors import ConfigError, ConversionError, UnsupportedError

OPTIONS = {"device": "none", "runtime": "onnxruntime", "mean": [127.5], "std": [127.5]}


class Net(nn.Module):
    """Two branches and a dropout, which is nothing in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.SiLU(), nn.Dropout(0.9))
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        return self.head((y * y.sigmoid()).mean((2, 3)))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def parity(build):
    return {verdict.gate: verdict.outcome for verdict in build.manifest.verdicts}["parity"]


def test_a_module_is_exported_in_evaluation_and_left_as_it_was(net, tmp_path):
    build = oe.build("host", model=net, example=(1, 3, 20, 28), labels=["a", "b", "c"], out=tmp_path / "out", **OPTIONS)
    assert net.training
    assert build.manifest.network.source == "Net.onnx"
    assert build.manifest.network.inputs[0].shape == (1, 3, 20, 28)
    assert build.labels == ("a", "b", "c")
    assert parity(build) == "pass"
    assert str(tmp_path) not in " ".join(build.manifest.command[5:])
    same = {"labels": ["a", "b", "c"], "out": tmp_path / "again"}  # the file says its labels
    again = oe.build("host", model=net, example=torch.ones(1, 3, 20, 28), **same, **OPTIONS)
    assert again.manifest.network.sha256 == build.manifest.network.sha256


def test_a_program_brings_its_own_example(net, tmp_path):
    program = torch.export.export(net.eval(), (torch.zeros(1, 3, 20, 20),))
    build = oe.build("host", model=program, out=tmp_path / "out", task="features", **OPTIONS)
    assert build.manifest.network.inputs[0].shape == (1, 3, 20, 20)
    assert parity(build) == "pass"


class Branch(nn.Module):
    """Answers by another way where its input is large: a trace cannot see it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.abs().max() < 5 else -x.mean((2, 3))


def test_an_export_that_is_another_network_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="Branch is another network as ONNX"):
        oe.build("host", model=Branch(), example=(1, 3, 8, 8), out=tmp_path / "out", **OPTIONS)


def test_what_cannot_be_exported_is_refused(net, tmp_path):
    with pytest.raises(ConfigError, match="a module without an example"):
        oe.build("host", model=net, out=tmp_path / "out", **OPTIONS)
    with pytest.raises(UnsupportedError, match="cannot build from OrderedDict"):
        oe.build("host", model=net.state_dict() | {}, out=tmp_path / "out", **OPTIONS)

    class Scaled(nn.Module):
        def forward(self, x, times):
            return x * times

    program = torch.export.export(Scaled(), (torch.zeros(1, 3), 2))
    with pytest.raises(UnsupportedError, match="inputs are no tensors"):
        oe.build("host", model=program, out=tmp_path / "out", **OPTIONS)
    with pytest.raises(ConfigError, match="neither a shape nor tensors"):
        oe.build("host", model=Scaled(), example=(torch.zeros(1, 3), 2), out=tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_what_is_said_of_a_network_that_is_not_given_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--labels without --model"):
        oe.build("host", labels=["a", "b"], device="none", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Compared(nn.Module):
    """Two images through one layer, and what nothing reads."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, 2)

    def forward(self, before, after, idle):
        return self.layer(after) - 2 * self.layer(before)


def test_a_module_of_several_inputs_has_them_by_its_own_names(tmp_path):
    examples = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8), torch.randn(1, 2)
    net = Compared().eval()
    asked = {"device": "none", "runtime": "onnxruntime"}
    build = oe.build("host", model=net, example=examples, out=tmp_path / "module", **asked)
    assert [each.name for each in build.manifest.network.inputs] == ["before", "after"]
    row = np.concatenate([each.numpy().reshape(1, -1) for each in examples[:2]], axis=1)
    found = build.runtime.answers(build.artifact.path, row)
    np.testing.assert_allclose(found, net(*examples).detach().numpy().reshape(1, -1), rtol=1e-3, atol=1e-4)
    program = torch.export.export(net, examples)
    again = oe.build("host", model=program, out=tmp_path / "program", **asked)
    assert [each.name for each in again.manifest.network.inputs] == ["before", "after"]
