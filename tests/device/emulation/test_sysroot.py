"""Setting the emulated system up: whole or absent, once, and honest about what is missing. No network is asked."""

import dataclasses
import threading
from pathlib import Path

import pytest

import ofa_edge.device.emulation.sysroot as module
from ofa_edge.device.connections.cores import emulated_core
from ofa_edge.device.emulation.debian import missing_tool, run_tool
from ofa_edge.device.emulation.sysroot import current_spec, ensure_sysroot, ensure_view, main, sysroot_unavailable
from ofa_edge.errors import DeviceError, ToolMissingError

A72 = emulated_core("cortex-a72")


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """A set-up that downloads nothing, in a cache of its own; the list of its calls."""
    calls = []

    def unpack(root, state, spec):
        calls.append(spec)
        (root / "usr/bin").mkdir(parents=True)
        (root / "etc").mkdir()
        return {"libc6": "2.36"}

    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(module, "missing_tool", lambda: None)
    monkeypatch.setattr(module, "_unpack_debian", unpack)
    monkeypatch.setattr(module, "_install_wheels", lambda site, spec: site.mkdir(parents=True))
    monkeypatch.setattr(module, "_compile_python", lambda root: None)
    return calls


def test_it_is_made_once(builds):
    folder = ensure_sysroot()
    assert ensure_sysroot() == folder
    assert len(builds) == 1
    assert (folder / "etc/ofa-edge-device").read_text() == "emulated\n"
    assert sorted(path.suffix for path in folder.parent.iterdir()) == ["", ".lock"]  # no .part is left


def test_many_at_once_make_it_once(builds):
    threads = [threading.Thread(target=ensure_view, args=(A72,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    view = ensure_view(A72)
    assert [path.name for path in view.parent.iterdir()] == ["cortex-a72"]
    assert [path.name for path in ensure_sysroot().iterdir() if path.name.startswith(".")] == []


def test_a_set_up_that_fails_leaves_nothing_and_can_be_repeated(builds, monkeypatch):
    def fail(site, spec):
        raise DeviceError("the arm64 wheels could not be had", "no network", "try again")

    working = module._install_wheels
    monkeypatch.setattr(module, "_install_wheels", fail)
    with pytest.raises(DeviceError, match="no network"):
        ensure_sysroot()
    cache = module.cache_folder()
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    monkeypatch.setattr(module, "_install_wheels", working)
    assert ensure_sysroot().is_dir()


def test_what_a_killed_set_up_left_is_cleared_away(builds):
    stale = module.sysroot_path().with_name(f"{module.sysroot_path().name}.x1.part")
    (stale / "root").mkdir(parents=True)
    ensure_sysroot()
    assert not stale.exists()


def test_a_folder_without_its_record_is_made_again(builds):
    folder = ensure_sysroot()
    (folder / module._RECORD).unlink()
    ensure_sysroot()
    assert len(builds) == 2
    assert (folder / module._RECORD).is_file()


def test_a_view_shows_the_core_and_links_the_rest(builds):
    view = ensure_view(A72)
    assert "0xd08" in (view / "proc/cpuinfo").read_text()
    assert (view / "usr").resolve() == ensure_sysroot() / "usr"
    assert (view / "etc/ofa-edge-device").read_text() == "emulated\n"
    other = ensure_view(emulated_core("cortex-a76"))
    assert "0xd0b" in (other / "proc/cpuinfo").read_text()
    assert len(builds) == 1


def test_a_cache_that_cannot_be_written_is_a_clear_error(builds, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "file" / "cache")
    with pytest.raises(module.OutputError, match="XDG_CACHE_HOME"):
        ensure_sysroot()


def test_the_digest_names_every_part_of_the_recipe():
    spec = current_spec()
    changed = {"suite": "trixie", "packages": ("x",), "python": "3.13", "wheels": ("numpy==1.0",), "format": 99}
    assert {field.name for field in dataclasses.fields(spec)} == set(changed)
    digests = {dataclasses.replace(spec, **{key: value}).digest for key, value in changed.items()}
    assert len(digests | {spec.digest}) == len(changed) + 1


def test_the_wheels_are_those_that_are_installed_here():
    wheels = dict(wheel.split("==") for wheel in current_spec().wheels)
    import numpy as np

    assert wheels["numpy"] == np.__version__
    assert set(wheels) == {"numpy", "ai-edge-litert", "onnxruntime"}


def test_digests_of_the_pinned_wheels_are_enforced():
    for line in module.requirements(("numpy==2.4.6", "ai-edge-litert==2.3.0", "onnxruntime==1.31.1")).splitlines():
        assert len(line.partition("--hash=sha256:")[2]) == 64
    assert module.requirements(("numpy==2.4.6", "ai-edge-litert==9.9")) == "numpy==2.4.6\nai-edge-litert==9.9\n"


def test_without_apt_the_reason_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get is not installed" in missing_tool()
    assert "apt-get" in sysroot_unavailable()
    with pytest.raises(ToolMissingError, match="apt-get"):
        ensure_sysroot()


def test_a_tool_that_fails_or_hangs_says_what(tmp_path):
    with pytest.raises(DeviceError) as caught:
        run_tool(["sh", "-c", "echo cannot resolve host >&2; exit 100"], 10, "no download")
    assert caught.value.what == "no download"
    assert "cannot resolve host" in caught.value.why
    with pytest.raises(DeviceError, match="took more than"):
        run_tool(["sleep", "60"], 0.2, "no download")


def test_the_command_for_makefiles(builds, capsys):
    assert main(["--cpu", "cortex-a76"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "cortex-a76"
    assert main(["--cpu", "z80"]) == 2
    assert "no emulated device for CPU 'z80'" in capsys.readouterr().err
