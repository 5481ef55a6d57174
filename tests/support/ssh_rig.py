"""A real sshd on a loopback port, with keys of its own."""

import contextlib
import getpass
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from ofa_edge.device.connections.ssh import SshAddress

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="openssh-server or openssh-client is not installed"
)
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
Subsystem sftp internal-sftp
"""


class Server:
    """A running sshd and how to reach it."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = ()) -> None:
        """Keys and configuration are made in `folder`; `prefix` starts the server in a world of its own."""
        if getpass.getuser() == "root":  # sshd run as root insists on this folder, which its service would make
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.folder = folder
        for name in ("host", "user"):
            self._keygen(name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "config").write_text(CONFIG.format(folder=folder, port=self.port))
        key = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")
        self.log = (folder / "log").open("wb")
        self.prefix = prefix
        self.start()

    def start(self) -> None:
        """Listen on the port, with the keys that it had before."""
        argv = [*self.prefix, SSHD, "-D", "-e", "-f", str(self.folder / "config")]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self._wait()

    def change_key(self):
        """Show another host key from the next start on, as another machine at this address does."""
        for name in ("host", "host.pub"):
            (self.folder / name).rename(self.folder / f"before-{name}")
        self._keygen("host")

    def change_key_back(self):
        """The key that is known again."""
        for name in ("host", "host.pub"):
            (self.folder / f"before-{name}").replace(self.folder / name)

    def _keygen(self, name: str) -> None:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(argv, check=True)

    def _wait(self) -> None:
        for _ in range(200):
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def address(self, **changes):
        values = {
            "host": "127.0.0.1",
            "user": getpass.getuser(),
            "port": self.port,
            "identity_file": self.folder / "user",
            "known_hosts_file": self.folder / "known_hosts",
        }
        return SshAddress(**{**values, **changes})

    def kill(self):
        """End it and every session of it at once, as when a device loses its power; its programs go on."""
        mine = [child for child in psutil.Process(self.process.pid).children(recursive=True) if "sshd" in child.name()]
        for process in [psutil.Process(self.process.pid), *mine]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
