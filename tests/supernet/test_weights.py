import pickle

import pytest
import torch

from ofa_edge.errors import SpaceMismatchError, WeightsError
from ofa_edge.space import Space
from ofa_edge.supernet.header import read_weights_file
from ofa_edge.supernet.importing.supernets import load_checkpoint
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


def test_a_header_of_another_space_is_refused(supernet, tmp_path):
    save_supernet(tmp_path / "w.safetensors", supernet, {"space_hash": "0" * 64})
    with pytest.raises(SpaceMismatchError, match="another search space"):
        load_supernet(tmp_path / "w.safetensors")


def test_checkpoints_in_the_published_dialect(supernet, tmp_path):
    state = {key.replace(".conv.", ".mobile_inverted_conv.", 1): value for key, value in supernet.state_dict().items()}
    state |= {key: value for key, value in supernet.state_dict().items() if not key.startswith("blocks")}
    state = {k: v for k, v in state.items() if k.startswith("blocks") or ".mobile_inverted_conv." not in k}
    torch.save({"state_dict": state}, tmp_path / "c.pth")
    assert same(load_checkpoint(tmp_path / "c.pth", TINY).state_dict(), supernet.state_dict())


def test_a_static_full_network_fills_a_supernet(supernet, tmp_path):
    static = supernet.extract(TINY.largest())
    torch.save({"state_dict": static.state_dict()}, tmp_path / "c.pth")
    loaded = load_checkpoint(tmp_path / "c.pth", TINY).eval()
    images = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images, TINY.largest()), static(images))
    assert torch.equal(loaded.state_dict()["blocks.1.conv.depth_conv.conv.7to5_matrix"], torch.eye(25))


def test_missing_and_unexpected_keys_are_named(supernet, tmp_path):
    state = dict(supernet.state_dict())
    del state["classifier.linear.bias"]
    state["surprise"] = torch.zeros(1)
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(WeightsError) as caught:
        load_checkpoint(tmp_path / "c.pth", TINY)
    assert "classifier.linear.bias" in caught.value.why
    assert "surprise" in caught.value.why


class Trap:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize("content", [{"state_dict": Trap()}, [1, 2], {"a": 1}])
def test_anything_but_tensors_is_refused_and_never_run(content, tmp_path, capsys):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path / "c.pth", TINY)
    (tmp_path / "d.pth").write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError):
        load_checkpoint(tmp_path / "d.pth", TINY)
    assert "never be printed" not in capsys.readouterr().out


def test_the_same_weights_give_the_same_bytes(supernet, tmp_path):
    for name in ("a", "b"):
        save_supernet(tmp_path / name, supernet, {"dataset": "none", "labels": "[]", "seed": "0"})
        save_static(tmp_path / f"static-{name}", supernet.extract(TINY.smallest()))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "static-a").read_bytes() == (tmp_path / "static-b").read_bytes()
