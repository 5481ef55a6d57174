"""A device behind adb: the system's own `adb` client, so that the user's server, keys and network devices hold.

Here everything is an argument list; there the line passes through the device's shell, so it is quoted. Exit statuses
come by adb's shell protocol v2 (Android 7 and newer). adb itself ends with status 1 when the device goes away, as a
program may; so each line ends by saying, on stderr, a word that only this connection knows, the status, and the boot
id. No word: the connection broke. Another boot id: the device restarted, and what ran before is not continued.

The device's tools are Android's toybox. What is used: timeout env mktemp sha256sum chmod mv rm ls uname head getprop.
"""

import os
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ofa_edge.device.connections.adb_server import AdbAddress, find_adb, is_transport_failure, parse_devices, trouble
from ofa_edge.device.connections.process import ProcessConnection, run_error
from ofa_edge.device.connections.shell_line import KILL_AFTER_S, check_limit, shell_line
from ofa_edge.device.protocol import Completed
from ofa_edge.errors import DeviceError, DeviceLostError, DeviceRebootedError, DeviceRunError, DeviceTimeoutError

ANDROID_FOLDER = "/data/local/tmp"  # all that the shell user may write to and run programs from
_ADB_TIMEOUT_S = 30.0
_TRANSFER_TIMEOUT_S = 300.0
_STATUS = re.compile(r"[0-9]{1,3}")  # of a program
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class AdbConnection(ProcessConnection):
    """See the module. Nothing is contacted before the first call."""

    kind = "adb"
    grace_s = 15.0 + KILL_AFTER_S

    def __init__(
        self,
        name: str,
        address: AdbAddress,
        python: tuple[str, ...] = ("python3",),
        folder: str = ANDROID_FOLDER,
    ) -> None:
        """Args: name, address, the device's Python if it has one, where private folders are made on the device.

        Raises:
            ToolMissingError: no adb client here.
        """
        super().__init__(name, python, folder)
        self._adb = find_adb(name)
        self._address = address
        self._word = f"ofa-edge-{secrets.token_hex(8)}"
        self._serial: str | None = None  # set once the device was seen
        self._boot_id = ""
        self._connected = False  # whether it was this object that connected a network device
        self._opening = threading.Lock()

    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        end = f"r=$?; b=; read b 2>/dev/null <{_BOOT_ID}; echo >&2; echo {self._word} $r $b >&2; exit $r"
        line = f"{shell_line(argv, env, timeout_s)}; {end}"
        return [*self._client(), "shell", "-n", "-T", line], self._environment()

    def _judge(self, completed: Completed) -> Completed:
        """The program's own status and stderr, without the line that ends every command."""
        stderr, found, last = completed.stderr.rpartition(f"\n{self._word} ")
        if not found:
            raise self._lost(completed)
        status, boot_id = [*last.split(), "", ""][:2]
        if not _STATUS.fullmatch(status):
            raise self._lost(completed)
        before, self._boot_id = self._boot_id, boot_id or self._boot_id
        if before not in ("", self._boot_id):
            raise DeviceRebootedError(
                f"{self.name} restarted", f"boot id {before} became {self._boot_id}", "run the same command again"
            )
        completed = Completed(completed.argv, int(status), completed.stdout, stderr, completed.wall_s)
        check_limit(self.name, completed)
        return completed

    def _client(self) -> list[str]:
        """The client's arguments up to the command; finds or connects the device first."""
        with self._opening:
            if self._serial is None:
                self._serial = self._open()
            return [self._adb, "-s", self._serial]

    def _environment(self) -> dict[str, str]:
        return self._address.server.environment(os.environ)

    def _call(self, *arguments: str) -> Completed:
        """Run adb itself."""
        argv = (self._adb, *arguments)
        return self._execute(argv, self._environment(), _ADB_TIMEOUT_S, argv)

    def _open(self) -> str:
        """The serial of the device, once adb says that it is ready."""
        network = self._address.network
        said = ""
        if network is not None:
            said = self._call("connect", network).stdout.strip()
            self._connected |= said.startswith("connected")  # not "already connected": then it is the user's
        states = self._states()
        wanted = network or self._address.serial
        if wanted is None:
            wanted = self._only(states)
        if states.get(wanted) != "device":
            what = f"no connection to {self.name}"
            raise DeviceLostError(what, *trouble(wanted, states.get(wanted), said))
        return wanted

    def _states(self) -> dict[str, str]:
        done = self._call("devices")
        if done.returncode != 0:
            raise DeviceLostError("adb's server does not answer", _said(done), "adb kill-server; adb start-server")
        return parse_devices(done.stdout)

    def _only(self, states: Mapping[str, str]) -> str:
        if len(states) == 1:
            return next(iter(states))
        if not states:
            raise DeviceLostError(
                f"no connection to {self.name}: no device is attached",
                "adb devices lists none",
                "plug it in with a cable that carries data, turn USB debugging on (Developer options), adb devices -l",
            )
        raise DeviceLostError(
            f"no connection to {self.name}: more than one device is attached",
            f"adb devices lists {', '.join(f'{serial} ({state})' for serial, state in sorted(states.items()))}",
            f'say which in the devices file: serial = "{min(states)}"',
        )

    def _lost(self, completed: Completed) -> DeviceError:
        """The error for a call that did not come to its end."""
        said = _said(completed)
        if "PTY args" in said or "shell_v2" in said:
            return DeviceRunError(f"{self.name} is too old", f"adb: {said}", "a device with Android 7 or newer")
        with self._opening:
            serial, self._serial = self._serial or "?", None  # connect again at the next call
        try:
            state = self._states().get(serial)
        except (DeviceLostError, DeviceTimeoutError) as error:
            return DeviceLostError(f"no connection to {self.name}", f"{said}; {error.what}", error.hint)
        if state == "device":
            state = None if "not found" in said else "device"
        return DeviceLostError(f"no connection to {self.name}", *trouble(serial, state, said or "the call was cut off"))

    def _send(self, local: Path, remote: PurePosixPath) -> None:
        self._copy("push", str(local.resolve()), str(remote))

    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        self._copy("pull", str(remote), str(local.resolve()))

    def _copy(self, *arguments: str) -> None:
        argv = (*self._client(), *arguments)
        completed = self._execute(argv, self._environment(), _TRANSFER_TIMEOUT_S, argv)
        if completed.returncode != 0:
            raise self._lost(completed) if is_transport_failure(_said(completed)) else run_error(self.name, completed)

    def close(self) -> None:
        """Stop what runs; leave a network device that we connected, and stop a server that is ours."""
        super().close()
        try:
            if self._address.server.own:
                self._call("kill-server")
            elif self._connected and self._address.network is not None:
                self._call("disconnect", self._address.network)
        except DeviceError:
            pass  # there is nothing left to give up


def _said(completed: Completed) -> str:
    return " ".join((completed.stderr.strip() or completed.stdout.strip()).split())[-500:]
