"""The machine at hand as a device: its latency is real, and it is its own."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ofa_edge.device.connections.process import ProcessConnection, copy_here


class LocalConnection(ProcessConnection):
    """Programs run as processes of the user's own, under the interpreter that runs ofa-edge."""

    kind = "local"

    def __init__(self, name: str = "local", folder: str | None = None) -> None:
        """Args: the name under which the device is reported; where private folders are made, by default in $TMPDIR."""
        super().__init__(name, python=(sys.executable,), folder=folder or tempfile.gettempdir())

    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        del timeout_s
        return list(argv), {**os.environ, **env}

    def _send(self, local: Path, remote: PurePosixPath) -> None:
        copy_here(local, remote, self.name)

    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        copy_here(remote, local, self.name)
