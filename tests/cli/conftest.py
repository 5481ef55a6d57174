import pytest
from tiny_package import shared_package

from ofa_edge.cli import main


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return shared_package(tmp_path_factory)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command line in an empty folder: (exit code, stdout, stderr)."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OFA_EDGE_DEVICES", str(tmp_path / "devices.toml"))
    (tmp_path / "devices.toml").write_text("schema = 1\n")

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call
