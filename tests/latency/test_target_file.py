"""Targets that are written beside a latency file."""

from pathlib import Path

from ofa_edge.latency.target_file import RunsAs, write_target
from ofa_edge.targets import builtin_folder, read_target

TABLES = """
[search]
kernels = [3]
squeeze_excite = false

[sustained]
factor = 1.5
source = "a \\"source\\" with quotes"
"""


def test_what_a_target_says_of_its_hardware_stays(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text((builtin_folder() / "raspberry-pi-4.toml").read_text() + TABLES)
    base = read_target(path)
    written = write_target(
        tmp_path / "new.toml", base, "measured", RunsAs("tflite", "fp32", 2, (0, 1)), "own.latency.json"
    )
    assert base.identity is not None
    for name in ("hardware", "search", "sustained", "identity", "emulation"):
        assert getattr(written, name) == getattr(base, name), name
    assert written.is_hardware("Raspberry Pi 4 Model B Rev 1.4", "cortex-a72")
    assert not written.is_hardware("Some other board", "cortex-a72")
    assert (written.runtime.threads, written.runtime.cores, written.runtime.precisions) == (2, (0, 1), ("fp32",))


def test_a_target_that_says_no_more_gets_no_further_tables(tmp_path: Path) -> None:
    base = read_target(builtin_folder() / "host.toml")
    text = tmp_path / "new.toml"
    write_target(text, base, "measured", RunsAs("tflite", "fp32", 1), "own.latency.json")
    assert "[search]" not in text.read_text()
    assert "[sustained]" not in text.read_text()
    assert "cores = [" not in text.read_text()
