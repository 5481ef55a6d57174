import pytest
import torch
from safetensors.torch import load_file, save_file

from ofa_edge.errors import SpaceMismatchError, WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet.header import pack, read_weights_file
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.weights import load_static, load_supernet, save_static, save_supernet

TINY = Space("tiny", 0.25, 1, 10, (2, 2, 2, 2, 1, 1), (28,))


@pytest.fixture(scope="module")
def supernet():
    torch.manual_seed(0)
    return Supernet(TINY)


def same(first, second):
    return all(torch.equal(value, second[key]) for key, value in first.items()) and first.keys() == second.keys()


def test_round_trip(supernet, tmp_path):
    save_supernet(tmp_path / "w.safetensors", supernet, {"dataset": "none"})
    assert same(load_supernet(tmp_path / "w.safetensors").state_dict(), supernet.state_dict())
    assert read_weights_file(tmp_path / "w.safetensors").facts["dataset"] == "none"
    net = supernet.extract(TINY.smallest())
    net.calibrated = True
    save_static(tmp_path / "s.safetensors", net)
    again = load_static(tmp_path / "s.safetensors")
    assert same(again.state_dict(), net.state_dict())
    assert again.calibrated
    assert again.subnet == TINY.smallest()


def test_damaged_foreign_and_missing_files(supernet, tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(WeightsError, match="no weights"):
        load_supernet(path)
    save_supernet(path, supernet, {})
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError):
            load_supernet(path)
    save_static(path, supernet.extract(TINY.smallest()))
    with pytest.raises(WeightsError, match="not a supernet"):
        load_supernet(path)


def test_nothing_is_filled_in_in_files_of_our_own(supernet, tmp_path):
    """Other spellings and missing matrices are for foreign files."""
    path = tmp_path / "w.safetensors"
    save_supernet(path, supernet, {})
    tensors, metadata = load_file(path), pack(read_weights_file(path).facts)
    for key in list(tensors):
        if key.endswith("_matrix"):
            del tensors[key]
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="do not fit") as caught:
        load_supernet(path)
    assert "7to5_matrix" in caught.value.why or "5to3_matrix" in caught.value.why
    save_supernet(path, supernet, {})
    tensors = load_file(path)
    tensors["classifier.linear.bias"][0] = torch.nan
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="not finite"):
        load_supernet(path)


def test_a_header_of_another_space_is_refused(supernet, tmp_path):
    save_supernet(tmp_path / "w.safetensors", supernet, {"space_hash": "0" * 64})
    with pytest.raises(SpaceMismatchError, match="another search space"):
        load_supernet(tmp_path / "w.safetensors")


def test_the_same_weights_give_the_same_bytes(supernet, tmp_path):
    for name in ("a", "b"):
        save_supernet(tmp_path / name, supernet, {"dataset": "none", "labels": "[]", "seed": "0"})
        save_static(tmp_path / f"static-{name}", supernet.extract(TINY.smallest()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "static-a").read_bytes() == (tmp_path / "static-b").read_bytes()
