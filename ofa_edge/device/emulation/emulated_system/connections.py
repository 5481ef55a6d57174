"""Emulated devices as the ordinary connections see them: `emulated-ssh` by a real sshd, `emulated-adb` by real adb.

Host keys are made for each device and known before it is first reached, so they are as strict as anywhere. The adb
server is a private one, on a port and with keys of its own: the user's server and devices are not touched.
"""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ofa_edge.device.connections.adb import ANDROID_FOLDER, AdbConnection
from ofa_edge.device.connections.adb_server import AdbAddress, AdbServer
from ofa_edge.device.connections.cores import EmulatedCore, emulated_core
from ofa_edge.device.connections.process import ProcessConnection
from ofa_edge.device.connections.ssh import SshAddress, SshConnection
from ofa_edge.device.emulation.emulated import EMULATED_ARCH
from ofa_edge.device.emulation.emulated_system.system import SIZE_MB, EmulatedSystem, Orders, guest_environment, users
from ofa_edge.errors import DeviceError, ToolMissingError, UnsupportedError

_SSH_USER, _SSH_UID = "pi", 1000  # as on a Raspberry Pi
_SHELL_USER, _SHELL_UID = "shell", 2000  # as on Android
_START_TIMEOUT_S = 60.0
_PYTHON = ("python3", "-S")
_SSHD_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
AllowUsers {user}
PidFile none
UseDNS no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
MaxSessions 32
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv {environment}
"""
# Android's tools are toybox; these are the names of its that Android has as well.
_TOYBOX = (
    "basename cat chmod cmp cp cut date dd df dirname du echo env expr false find free grep head id kill ln ls md5sum"
    " mkdir mktemp mv nice nohup od paste pgrep pidof printenv printf ps pwd readlink realpath rm rmdir sed seq setsid"
    " sha1sum sha256sum sleep sort stat sync tail taskset tee time touch tr true truncate uname uniq uptime wc"
    " which whoami xargs xxd yes"
)
_GETPROP = """\
#!/system/bin/sh
if [ $# = 0 ]; then exec cat /system/properties; fi
while IFS= read -r line; do
  case $line in "[$1]: ["*) line=${line#*: [}; echo "${line%]}"; exit 0;; esac
done </system/properties
echo
"""


class _OwnsSystem(ProcessConnection):
    """What both emulated connections add to the ordinary one: the device lives as long as the connection."""

    keeps_files = False

    def own(self, system: EmulatedSystem, folder: Path) -> None:
        """Take over a running device, and the folder with the keys that were made for it."""
        self.system = system
        self.emulator = system.emulator
        self._folder_of_keys = folder

    def close(self) -> None:
        """Close the connection, then end the device and forget its keys."""
        super().close()
        self.system.stop()
        shutil.rmtree(self._folder_of_keys, ignore_errors=True)


class EmulatedSshConnection(_OwnsSystem, SshConnection):
    """The ordinary ssh connection to an emulated device that lives as long as it does."""

    def __init__(self, name: str, system: EmulatedSystem, address: SshAddress, keys: Path) -> None:
        """Made by `open_emulated_ssh`."""
        super().__init__(name, address, _PYTHON)
        self.own(system, keys)


class EmulatedAdbConnection(_OwnsSystem, AdbConnection):
    """The ordinary adb connection to an emulated device that lives as long as it does."""

    def __init__(self, name: str, system: EmulatedSystem, address: AdbAddress, home: Path) -> None:
        """Made by `open_emulated_adb`."""
        super().__init__(name, address, _PYTHON)
        self.own(system, home)


def open_emulated_ssh(
    cpu: str, arch: str = EMULATED_ARCH, name: str = "emulated-ssh", size_mb: int = SIZE_MB
) -> EmulatedSshConnection:
    """Start an emulated device with the core nearest to `cpu` and an ssh server; closing the connection ends it.

    Args:
        cpu: as compilers name it.
        arch: the target's architecture.
        name: of the connection.
        size_mb: how much can be written there.

    Raises:
        UnsupportedError: this architecture or CPU is not emulated, or this machine allows no namespaces.
        ToolMissingError: no static QEMU, no ssh client.
        DeviceError: its system could not be downloaded, or it did not start.
    """
    core = _core(cpu, arch)
    _require("ssh-keygen", "openssh-client")
    keys = Path(tempfile.mkdtemp(prefix="ofa-keys-"))
    with _removed_on_failure(keys) as undo:
        for key in ("host", "user"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ofa-edge", "-f", str(keys / key)]
            subprocess.run(argv, check=True, capture_output=True, timeout=30)
        port = _free_port()
        environment = guest_environment(core) | {"LC_ALL": "C.UTF-8"}
        config = _SSHD_CONFIG.format(
            port=port, user=_SSH_USER, environment=" ".join(f"{key}={value}" for key, value in environment.items())
        )
        files = users(_SSH_USER, _SSH_UID, "/home/pi", "/usr/bin/sh") | {
            "/etc/ssh/sshd_config_device": (config, 0o644),
            "/etc/ssh/host_key": ((keys / "host").read_text(), 0o600),
            "/etc/ssh/authorized_keys": ((keys / "user.pub").read_text(), 0o644),
        }
        command = ("/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config_device")
        orders = Orders(
            _SSH_UID, ("/home/pi", "/run/sshd"), environment, files, command=command, port=port, size_mb=size_mb
        )
        system = EmulatedSystem(core, orders)
        undo.callback(system.stop)
        _wait_for_banner(system)
        (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {(keys / 'host.pub').read_text()}")
        address = SshAddress("127.0.0.1", _SSH_USER, port, keys / "user", keys / "known_hosts")
        return EmulatedSshConnection(name, system, address, keys)


def open_emulated_adb(
    cpu: str, arch: str = EMULATED_ARCH, name: str = "emulated-adb", size_mb: int = SIZE_MB
) -> EmulatedAdbConnection:
    """Start an emulated device with Android's shell and tools behind adb; closing the connection ends it.

    It stands in for the way to a phone, and for its arithmetic: there is no Android on it.

    Args:
        cpu: as compilers name it.
        arch: the target's architecture.
        name: of the connection.
        size_mb: how much can be written there.

    Raises:
        UnsupportedError: this architecture or CPU is not emulated, or this machine allows no namespaces.
        ToolMissingError: no static QEMU, no adb client.
        DeviceError: its system could not be downloaded, or it did not start.
    """
    core = _core(cpu, arch)
    _require("adb", "adb")
    home = Path(tempfile.mkdtemp(prefix="ofa-adb-"))
    with _removed_on_failure(home) as undo:
        model = f"ofa-edge emulated {core.name}"
        links = {f"/system/bin/{tool}": "/usr/bin/toybox" for tool in _TOYBOX.split()}
        # Under QEMU, toybox's timeout says 127 for a tenth of the programs that succeed; coreutils' has its options.
        links |= {"/system/bin/sh": "/usr/bin/mksh", "/system/bin/timeout": "/usr/bin/timeout"}
        files = users(_SHELL_USER, _SHELL_UID, "/data/local/tmp", "/system/bin/sh") | {
            "/system/bin/getprop": (_GETPROP, 0o755),
            "/system/properties": (_properties(model), 0o644),
        }
        environment = guest_environment(core) | {
            "PYTHONUTF8": "1",
            "PATH": "/system/bin:/usr/bin",
            "HOME": "/",
            "TMPDIR": ANDROID_FOLDER,
            "ANDROID_DATA": "/data",
        }
        orders = Orders(
            _SHELL_UID,
            (ANDROID_FOLDER,),
            environment,
            files,
            links,
            absent=("/etc/os-release",),  # as on Android
            adb={"model": model, "shell": "/system/bin/sh"},
            host_name="localhost",
            size_mb=size_mb,
        )
        system = EmulatedSystem(core, orders)
        undo.callback(system.stop)
        server = AdbServer(port=_free_port(), home=home, own=True)
        return EmulatedAdbConnection(name, system, AdbAddress(host="127.0.0.1", port=system.port, server=server), home)


def _properties(model: str) -> str:
    """What `getprop` says. `ro.kernel.qemu` is how Android's own emulator is told from a phone."""
    facts: Mapping[str, str] = {
        "ro.build.fingerprint": "ofa-edge/emulated/emulated:no-android",
        "ro.kernel.qemu": "1",
        "ro.product.model": model,
    }
    return "".join(f"[{key}]: [{value}]\n" for key, value in facts.items())


def _core(cpu: str, arch: str) -> EmulatedCore:
    if arch != EMULATED_ARCH:
        raise UnsupportedError(
            f"no emulated device for {arch}", f"only {EMULATED_ARCH} is emulated", "--device local or --device none"
        )
    return emulated_core(cpu)


def _require(program: str, package: str) -> None:
    if shutil.which(program) is None:
        raise ToolMissingError(f"{program} is not installed", "the emulated device needs it", f"apt install {package}")


@contextlib.contextmanager
def _removed_on_failure(folder: Path) -> Iterator[contextlib.ExitStack]:
    """Undo what was registered, then remove the folder, if the body fails; keep both if it does not."""
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        yield undo
        undo.pop_all()


def _free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for_banner(system: EmulatedSystem) -> None:
    """Until the ssh server says its name."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while system.running and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", system.port), 5) as probe:
            if probe.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    raise DeviceError(
        "the emulated device's ssh server did not start", system.log() or "no reason given", "ofa-edge doctor"
    )
