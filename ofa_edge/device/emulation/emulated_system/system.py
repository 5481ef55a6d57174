"""A running emulated device, seen from this machine: started with its orders, stopped with its namespaces."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from ofa_edge.device.connections.cores import EmulatedCore
from ofa_edge.device.emulation.emulated import emulation_available, qemu_version
from ofa_edge.device.emulation.sysroot import SITE, ensure_sysroot, ensure_view, sysroot_ready, sysroot_unavailable
from ofa_edge.errors import DeviceError, ToolMissingError, UnsupportedError

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0
SIZE_MB = 2048
QEMU = "qemu-aarch64-static"  # static: it must start where its libraries are not


@dataclass(frozen=True)
class Orders:
    """What `launch` makes a device of. `adb` is None for a device that runs `command`, which listens on `port`."""

    user: int
    folders: Sequence[str]
    environment: Mapping[str, str]
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()
    command: Sequence[str] = ()
    port: int = 0
    adb: Mapping[str, str] | None = None
    host_name: str = "ofa-edge-emulated"
    size_mb: int = SIZE_MB


def guest_environment(core: EmulatedCore) -> dict[str, str]:
    """What every program on the device sees: the pinned core, and LiteRT for its Python."""
    # QEMU's default CPU gives wrong int8 results, so its name travels with every program.
    return {
        "QEMU_CPU": core.name,
        "PYTHONPATH": f"/{SITE}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def users(name: str, number: int, home: str, shell: str) -> dict[str, tuple[str, int]]:
    """The files that say who is who: root, and the device's one user."""
    passwd = f"root:x:0:0:root:/root:/usr/bin/sh\n{name}:x:{number}:{number}::{home}:{shell}\n"
    return {"/etc/passwd": (passwd, 0o644), "/etc/group": (f"root:x:0:\n{name}:x:{number}:\n", 0o644)}


class EmulatedSystem:
    """A device whose processes and files live until `stop`, or until this process ends."""

    def __init__(self, core: EmulatedCore, orders: Orders) -> None:
        """Start it.

        Raises:
            UnsupportedError: this machine does not allow it; says why.
            ToolMissingError: no static QEMU.
            DeviceError: it did not start, or its system could not be downloaded.
        """
        qemu = find_static_qemu()
        self.emulator = f"{qemu_version(qemu)}, cpu {core.name}"
        told = asdict(orders) | {
            "qemu": str(qemu),
            "system": str(ensure_sysroot(system=True)),
            "machine": str(ensure_view(core, system=True)),
        }
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the device)
        self._process = _start(self._log)
        try:
            self.port = self._begin(told)
        except BaseException:
            self.stop()
            raise

    def _begin(self, told: Mapping[str, Any]) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise DeviceError("the emulated device did not start", "no pipes", "ofa-edge doctor")
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(told).encode() + b"\n")
            stdin.flush()
        ready, _, _ = select.select([stdout], [], [], _START_TIMEOUT_S)
        line = stdout.readline() if ready else b""
        answer: Mapping[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
        if "failed" in answer:
            raise UnsupportedError("no emulated device with a transport of its own here", answer["failed"], _INSTEAD)
        if "port" not in answer:
            raise DeviceError("the emulated device did not start", self.log() or "it said nothing", _INSTEAD)
        return int(answer["port"])

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def log(self) -> str:
        """The end of what its first process said on stderr."""
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - 2000))
        return self._log.read().decode(errors="replace").strip()

    def kill(self) -> None:
        """End it at once, as when its power is cut."""
        self._process.kill()
        self._process.wait(_STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End all its processes; its files were in memory."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()


_INSTEAD = "--device emulated: the same arithmetic, one program at a time"


def _start(log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ofa_edge.device.emulation.emulated_system.launch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for us: we end it
    )


def find_static_qemu() -> Path:
    """The emulator that can be registered.

    Raises:
        ToolMissingError: it is not installed.
    """
    found = shutil.which(QEMU)
    if found is None:
        raise ToolMissingError(
            f"no {QEMU}", "a device with processes of its own needs it", "apt install qemu-user-static"
        )
    return Path(found)


def system_unavailable(core: EmulatedCore) -> str | None:
    """Why no emulated device with a transport of its own can be had here, or None. Asks no network.

    Where its system is already in the cache, one is started and stopped (a quarter of a second).
    """
    why_not = emulation_available("aarch64") or sysroot_unavailable(system=True)
    if why_not is not None:
        return why_not
    try:
        find_static_qemu()
        if not sysroot_ready(system=True):
            return None
        EmulatedSystem(core, Orders(user=1000, folders=(), environment={}, command=("/usr/bin/true",))).stop()
    except (UnsupportedError, ToolMissingError, DeviceError) as error:
        return f"{error.what}: {error.why}"
    return None
