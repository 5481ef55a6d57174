"""Reading: tensors are taken, whatever else is in the file is left or refused, and nothing in it is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ofa_edge.errors import WeightsError
from ofa_edge.supernet.importing.reading import read_checkpoint

TENSORS = {"a.weight": torch.arange(4.0), "a.num_batches_tracked": torch.tensor(3)}


def same(found: Any) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[key], value) for key, value in TENSORS.items())


@pytest.mark.parametrize(("zipped", "container"), [(True, "torch zip"), (False, "torch legacy")])
@pytest.mark.parametrize("wrapped", [True, False])
def test_torch_files(tmp_path: Path, zipped: bool, container: str, wrapped: bool) -> None:
    content = {"state_dict": TENSORS} if wrapped else TENSORS
    torch.save(content, tmp_path / "net", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "net")
    assert (found.name, found.container, found.notes) == ("net", container, ())
    assert same(found.tensors)


def test_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "net.bin")
    found = read_checkpoint(tmp_path / "net.bin")
    assert found.container == "safetensors"
    assert same(found.tensors)


def test_what_stands_beside_the_weights_is_left_out_and_said(tmp_path: Path) -> None:
    beside = {"epoch": 179, "best_acc": 76.5, "optimizer": {"lr": [0.1]}, "arch": "x"}
    torch.save({"state_dict": TENSORS, **beside}, tmp_path / "net")
    found = read_checkpoint(tmp_path / "net")
    assert same(found.tensors)
    assert found.notes == ("left out beside the weights: arch, best_acc, epoch and 1 more",)


class Trap:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("where", ["state", "beside", "key"])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_is_refused_and_never_run(tmp_path: Path, where: str, form: str) -> None:
    trap: Any = Trap(tmp_path / "run")
    content = {
        "state": {"state_dict": {**TENSORS, "b": trap}},
        "beside": {"state_dict": TENSORS, "hook": trap},
        "key": trap,
    }[where]
    path = tmp_path / "net.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match="unsafe") as caught:
        read_checkpoint(path)
    assert not (tmp_path / "run").exists()
    assert str(path) in caught.value.why
    assert "weights_only" not in str(caught.value)  # torch's advice is to trust the file
    if form != "pickle":
        assert "system" in caught.value.why


def test_whole_modules_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net")
    with pytest.raises(WeightsError, match="unsafe") as caught:
        read_checkpoint(tmp_path / "net")
    assert "Linear" in caught.value.why


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"state_dict": {"a": torch.ones(1), "b": 3}}, "b (int)"),
        ({"state_dict": [torch.ones(1)]}, "no dictionary"),
        ({"state_dict": {}}, "no dictionary"),
        ({1: torch.ones(1)}, "1 (Tensor)"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a (Tensor)"),
        ({"a": torch.eye(2).to_sparse()}, "a (Tensor)"),
        ({"a": torch.ones(1), "epoch": 3}, "epoch (int)"),
        ([1, 2], "list"),
        (torch.ones(1), "Tensor"),
    ],
)
def test_anything_but_plain_tensors_by_name_is_refused(tmp_path: Path, content: Any, named: str) -> None:
    torch.save(content, tmp_path / "net")
    with pytest.raises(WeightsError, match="not a checkpoint") as caught:
        read_checkpoint(tmp_path / "net")
    assert named in caught.value.why


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint"):
        read_checkpoint(tmp_path / "net")
    with pytest.raises(WeightsError, match="no checkpoint"):
        read_checkpoint(tmp_path)
    for zipped in (True, False):
        torch.save({"state_dict": TENSORS}, tmp_path / "net", _use_new_zipfile_serialization=zipped)
        whole = (tmp_path / "net").read_bytes()
        for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
            (tmp_path / "cut").write_bytes(whole[:cut])
            with pytest.raises(WeightsError):
                read_checkpoint(tmp_path / "cut")


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=200))
def test_junk_is_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes(junk)
    with pytest.raises(WeightsError):
        read_checkpoint(path)
