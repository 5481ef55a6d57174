"""`--tune` through a build, on this machine and for it."""

import pytest

from ofa_edge.device.access import device_key
from ofa_edge.device.protocol import Fingerprint
from ofa_edge.errors import UnsupportedError
from ofa_edge.export.tvm.tuning.database import Database
from ofa_edge.workflows.build import on_device
from ofa_edge.workflows.profile import profile
from ofa_edge.workflows.verify import verify

HOST = {"target": "host", "runtime": "tvm", "device": "local", "latency_ms": 1e3}


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("OFA_EDGE_TUNE_DB", str(tmp_path / "tuning.json"))
    return Database(tmp_path / "tuning.json")


def test_a_tuned_build_is_remembered_by_later_ones(own_cache, tmp_path, database):
    first, stages = own_cache.build(tmp_path / "a", tune="8s", **HOST)
    found = first.schedules.tuning
    assert found is not None
    assert found.budget_s == 8.0
    assert 1 <= found.known <= found.functions
    assert "tune" in stages.made
    gates = {verdict.gate: verdict.outcome for verdict in first.verdicts}
    assert gates.pop("accuracy") == "unverified"  # 50 images
    assert set(gates.values()) <= {"pass", "inconclusive"}
    again, stages = own_cache.build(tmp_path / "b", **HOST)
    assert again.schedules.tuning.choices == found.choices
    assert again.schedules.tuning.tuned == found.tuned
    assert "tune" not in stages.hits
    assert (tmp_path / "a" / "model.so").read_bytes() == (tmp_path / "b" / "model.so").read_bytes()
    plain, _ = own_cache.build(tmp_path / "c", tune_db=False, **HOST)
    assert plain.schedules.tuning is None
    # A library for this machine is verified and profiled here too, beside the fp32 network.
    verified = verify(tmp_path / "a", "local")
    assert [item.name for item in verified.rungs] == ["onnx", "on device"]
    assert {item.gate: item.outcome for item in verified.verdicts}["parity"] == "pass"
    profiled = profile(tmp_path / "a", "local").functions
    assert not profiled.alone
    assert any("conv2d" in item.name for item in profiled.items)


def test_an_emulator_is_found_out_before_any_work(own_cache, tmp_path, database, monkeypatch):
    def emulated(connection, arch):
        raise UnsupportedError("cannot tune", "an emulator gives no times", "a board")

    monkeypatch.setattr(on_device, "check_timeable", emulated)
    with pytest.raises(UnsupportedError, match="no times"):
        own_cache.build(tmp_path / "out", tune="8s", **HOST)
    assert not (tmp_path / "out").exists()
    assert not database.path.exists()


def test_a_device_goes_by_board_and_processor():
    seen = Fingerprint("physical", "", "aarch64", "cortex-a72", "Raspberry Pi 4", "Debian", "6.1", "boot", 4)
    assert device_key(seen) == "Raspberry Pi 4 / cortex-a72 / aarch64"
