"""A check that every connection whose other end is this machine must pass."""

import time
from pathlib import Path

import pytest

from ofa_edge.errors import DeviceTimeoutError


def check_a_limit_stops_the_program(device, tmp_path: Path) -> None:
    """The limit ends the program at the other end, not only our end of the connection."""
    pid_file = tmp_path / "pid"
    with pytest.raises(DeviceTimeoutError, match="limit"):
        device.run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], 1)
    pid = int(pid_file.read_text())
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
