"""The tutorials, followed as they stand: every command in order, in one folder each, with made inputs."""

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from flowers import save_flowers
from onnx import numpy_helper
from own_networks import NAMES, save_classifier, save_folder
from pages import blocks, follow
from places import ROOT
from published_layout import save_checkpoint
from shortened import shorten_search
from ssh_rig import Server, needs_sshd

from ofa_edge.device.emulation.emulated import emulation_available
from ofa_edge.errors import ToolMissingError
from ofa_edge.export.cuda.nvrtc import require_nvrtc

TUTORIALS = ROOT / "docs" / "tutorials"
NO_EMULATION = emulation_available("aarch64")
needs_emulation = pytest.mark.skipif(NO_EMULATION is not None, reason=NO_EMULATION or "")
STATISTICS = dict.fromkeys(("mean", "std"), "127.5,127.5,127.5")


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of stages that all tutorials share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with a devices file of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFA_EDGE_CACHE", str(kept))
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return tmp_path


@pytest.fixture
def model(here: Path) -> Path:
    """`model.onnx`, a classifier of brightness, the names of its classes, and `pictures` that it tells apart."""
    save_folder(here / "pictures", dict.fromkeys(NAMES, 60))
    (here / "labels.txt").write_text("\n".join(NAMES) + "\n")
    return save_classifier(here / "model.onnx", **STATISTICS)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """This machine behind ssh."""
    server = Server(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def page(name: str) -> Path:
    return TUTORIALS / f"{name}.md"


def make_worse(path: Path, folder: Path) -> None:
    """`worse.onnx`: the same network, which takes too much for the second class."""
    worse = onnx.load(path)
    bias = next(each for each in worse.graph.initializer if each.name == "c")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.eye(4, dtype=np.float32)[1] * 8, "c"))
    onnx.save(worse, folder / "worse.onnx")


@needs_emulation
def test_own_weights(here: Path) -> None:
    save_checkpoint(here)
    save_flowers(here / "flowers")
    follow(page("own-weights"))


def test_own_images(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_flowers(here / "flowers", 20)
    shorten_search(monkeypatch)
    follow(page("own-images"))


@needs_emulation
@pytest.mark.usefixtures("model")
def test_own_model() -> None:
    follow(page("own-model"))


@needs_sshd
@pytest.mark.usefixtures("model")
def test_own_board(server: Server) -> None:
    known = f"--port {server.port} --identity-file {server.folder}/user --known-hosts-file {server.folder}/known_hosts"
    follow(
        page("own-board"),
        **{
            "--host raspberrypi.local": f"--host 127.0.0.1 {known}",
            "--user pi": f"--user {getpass.getuser()}",
            "/home/pi/litert/bin/python": sys.executable,
        },
    )


@pytest.mark.usefixtures("model")
def test_jetson() -> None:
    """Its kernels run emulated, and its runner is compiled; what needs the board is not typed."""
    try:
        require_nvrtc()
    except ToolMissingError as error:
        pytest.skip(f"{error.what}: {error.why}")
    follow(page("jetson"))


@pytest.mark.usefixtures("model")
def test_android() -> None:
    follow(page("android"))


def test_nightly(model: Path, here: Path) -> None:
    make_worse(model, here)
    follow(page("nightly"))


def test_none_is_left_out() -> None:
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in TUTORIALS.glob("*.md")} <= tested


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.md")), ids=lambda path: path.stem)
def test_it_says_which_commands_no_test_types(path: Path) -> None:
    """A fence of another kind holds commands that need what no test has; the page says so before it."""
    text = path.read_text()
    assert any(block.language == "sh" for block in blocks(path))
    untyped = [part for part in text.split("```")[1::2] if part.startswith("\n") and "ofa-edge " in part]
    assert not untyped or "no test" in text or "so this page does not do it" in text
