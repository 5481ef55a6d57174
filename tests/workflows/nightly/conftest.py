import pytest


@pytest.fixture(autouse=True)
def _no_devices(tmp_path, monkeypatch):
    (tmp_path / "devices.toml").write_text("schema = 1\n")
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
