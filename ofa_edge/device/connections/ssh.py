"""A device behind ssh: the system's own `ssh` and `scp`, so that the user's configuration, agent and keys hold.

One master connection is kept while the object lives (ControlMaster). Host keys are strict and nothing ever asks a
question (BatchMode). Here everything is an argument list; there the line passes through the login shell, so it is
quoted with `shlex.join`. Each program runs under the device's own `timeout`: killing our end of an ssh session does
not stop the program at the other end.
"""

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ofa_edge.device.connections.process import ProcessConnection, run_error
from ofa_edge.device.connections.shell_line import KILL_AFTER_S, check_limit, shell_line
from ofa_edge.device.protocol import Completed
from ofa_edge.errors import ConfigError, DeviceError, DeviceLostError, ToolMissingError
from ofa_edge.shown import pasteable

_CONNECT_S = 10
_TRANSFER_TIMEOUT_S = 300.0
_STAY = '"$@"; exit $?'
_ANOTHER_KEY = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_SSH_FAILED = 255  # ssh's own exit status when it is ssh that failed
_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class SshAddress:
    """Where a device stands. What is left out comes from the user's ssh configuration.

    Raises:
        ConfigError: a host or user name that ssh could take for an option or a command, or a path that it cannot take.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity_file: Path | None = None
    known_hosts_file: Path | None = None

    def __post_init__(self) -> None:
        for key, value, pattern in (("host", self.host, _HOST), ("user", self.user, _USER)):
            if value is not None and not pattern.fullmatch(value):
                raise ConfigError(f"not a {key} name: {value!r}", f"key '{key}' of an ssh device", "a plain name")
        for key in ("identity_file", "known_hosts_file"):
            path = getattr(self, key)
            if path is not None and (not str(path).isprintable() or "${" in str(path)):
                why = f"key '{key}' of an ssh device: ssh has no way to write control characters and ${{...}}"
                raise ConfigError(f"not a path for ssh: {str(path)!r}", why, "another path, or a link to it")

    @property
    def target(self) -> str:
        """`user@host`, or the host alone."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def remote(self, path: PurePosixPath) -> str:
        """A file there, as scp takes it."""
        literal = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host  # IPv6
        return f"{self.user}@{literal}:{path}" if self.user else f"{literal}:{path}"

    def options(self, control: Path) -> list[str]:
        """The `-o` options that ssh and scp share."""
        values = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(_CONNECT_S),
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
            "ControlMaster": "auto",
            "ControlPath": str(control),
            "ControlPersist": "60",
        }
        if self.port is not None:
            values["Port"] = str(self.port)
        if self.identity_file is not None:
            values |= {"IdentityFile": _as_value(self.identity_file), "IdentitiesOnly": "yes"}
        if self.known_hosts_file is not None:
            values["UserKnownHostsFile"] = _as_value(self.known_hosts_file)
        return [part for key, value in values.items() for part in ("-o", f"{key}={value}")]


def _as_value(path: Path) -> str:
    """A path as a line of ssh's configuration takes it: quoted, for spaces would part it, and `%` would be a token."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


class SshConnection(ProcessConnection):
    """See the module. Close it: the master connection lives as long as the object."""

    kind = "ssh"
    grace_s = 2.0 * _CONNECT_S + KILL_AFTER_S

    def __init__(
        self,
        name: str,
        address: SshAddress,
        python: tuple[str, ...] = ("python3",),
        folder: str = "/tmp",  # noqa: S108  (a folder on the device; mktemp makes ours in it)
    ) -> None:
        """Args: name, address, the device's Python with LiteRT, where private folders are made on the device.

        Raises:
            ToolMissingError: no ssh client here.
        """
        super().__init__(name, python, folder)
        for tool in ("ssh", "scp"):
            if shutil.which(tool) is None:
                raise ToolMissingError(
                    f"{tool} is not installed", f"device '{name}' needs it", "apt install openssh-client"
                )
        self.address = address
        # For the master's socket. A socket's path may have 108 bytes at most: TMPDIR may be deep, /tmp is not.
        self.control_folder = Path(tempfile.mkdtemp(prefix="ofa-ssh-", dir="/tmp"))
        self._options = address.options(self.control_folder / "master")

    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        # A shell that stays: `timeout` kills itself too where the program is deaf to all else, and ssh would then call
        # that a broken connection. As one simple command of plain words it passes through any login shell.
        line = f"{shlex.join(['sh', '-c', _STAY, 'sh'])} {shell_line(argv, env, timeout_s)}"
        return ["ssh", "-T", *self._options, "--", self.address.target, line], dict(os.environ)

    def _judge(self, completed: Completed) -> Completed:
        if completed.returncode == _SSH_FAILED:
            raise self._lost(completed)
        check_limit(self.name, completed)
        return completed

    def _lost(self, completed: Completed) -> DeviceLostError:
        said = completed.stderr.strip()[-500:] or "ssh gave no reason"
        hint = pasteable("ssh", self.address.target, "true")
        if _ANOTHER_KEY in completed.stderr:
            why = "its host key is not the one that is known: it was installed anew, or another device answers there"
            return DeviceLostError(
                f"{self.name} shows another host key",
                why,
                f"find out which; ssh-keygen -R removes the old key, then by hand: {hint}",
            )
        if "Host key verification failed" in said or "No matching host key" in said:
            hint = f"check the device's host key, then accept it once by hand: {hint}"
        return DeviceLostError(f"no connection to {self.name}", said, hint)

    def _send(self, local: Path, remote: PurePosixPath) -> None:
        self._copy(str(local.resolve()), self.address.remote(remote))

    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        self._copy(self.address.remote(remote), str(local.resolve()))

    def _copy(self, source: str, destination: str) -> None:
        argv = ("scp", *self._options, "--", source, destination)
        completed = self._execute(argv, os.environ, _TRANSFER_TIMEOUT_S, argv)
        if completed.returncode == _SSH_FAILED or "lost connection" in completed.stderr.lower():
            raise self._lost(completed)
        if completed.returncode != 0:
            raise run_error(self.name, completed)

    def close(self) -> None:
        """Stop what runs, end the master connection and remove its socket."""
        super().close()
        argv = ("ssh", "-O", "exit", *self._options, "--", self.address.target)
        with contextlib.suppress(DeviceError):
            self._execute(argv, os.environ, _CONNECT_S, argv)
        shutil.rmtree(self.control_folder, ignore_errors=True)
