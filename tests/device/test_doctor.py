from ofa_edge.device.doctor import doctor_checks


def test_every_check_that_fails_has_a_fix(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "none.toml"))
    checks = {check.name: check for check in doctor_checks()}
    assert len(checks) == len(doctor_checks())  # names are unique
    for name in (
        "emulator",
        "emulated system",
        "emulated-ssh, emulated-adb",
        "instruction counter",
        "ssh client",
        "adb",
        "arm64 compiler",
        "models of cores",
        "devices",
    ):
        assert not checks[name].ok
        assert checks[name].fix
        assert checks[name].detail
    assert "qemu-user-static" in checks["emulator"].fix
    assert checks["numpy"].ok


def test_the_users_devices_are_listed(monkeypatch, tmp_path):
    path = tmp_path / "devices.toml"
    path.write_text('schema = 1\n[devices.pi]\nkind = "ssh"\nhost = "pi"\n')
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(path))
    check = doctor_checks()[-1]
    assert check.ok
    assert check.detail == f"{path}: pi"
