"""An arm64 device under QEMU's user-mode emulation: arm64 programs, arm64 libraries, arm64 arithmetic.

One program a call: `qemu-aarch64 -cpu CORE -L VIEW program`. QEMU looks each path up in VIEW (a Debian arm64 system,
see `sysroot`) before it looks here. That needs no privilege, no namespace and no change to this machine, so it works
the same as root, as a plain user and in a container. What it does not give: programs cannot start other arm64
programs, and it is no sandbox (files that VIEW lacks are this machine's). It proves arithmetic, never speed.

Two traps are handled here: `/proc/cpuinfo` must be an arm64 one (XNNPACK's CPU detection crashes on an x86 one), so
VIEW carries it; and QEMU's default CPU gives wrong int8 results, so the CPU is always named.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ofa_edge.device.connections.cores import EmulatedCore, emulated_core
from ofa_edge.device.connections.process import ProcessConnection, copy_here
from ofa_edge.device.emulation.sysroot import SITE, ensure_view, sysroot_unavailable
from ofa_edge.device.protocol import Completed
from ofa_edge.errors import DeviceRunError, ToolMissingError, UnsupportedError

EMULATED_ARCH = "aarch64"
_SEARCH = ("usr/local/bin", "usr/bin", "usr/sbin")
_QEMU_PACKAGE = "qemu-user-static"


class EmulatedConnection(ProcessConnection):
    """An emulated device with the given core. Made by `open_emulated`."""

    kind = "emulated"

    def __init__(self, name: str, core: EmulatedCore, view: Path, qemu: Path) -> None:
        """Args: name, core, the core's view of the sysroot, the emulator's program."""
        super().__init__(name, python=("python3", "-S"), folder=tempfile.gettempdir())
        self.core = core
        self.emulator = f"{qemu_version(qemu)}, cpu {core.name}"
        self._view = view
        self._qemu = qemu

    def _command(
        self, argv: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> tuple[list[str], dict[str, str]]:
        del timeout_s
        return self.emulate(self._qemu, (), argv), self.guest_environment(env)

    def emulate(self, qemu: Path, options: Sequence[str], argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` under `qemu` with further options."""
        program = self._resolve(argv[0])
        return [str(qemu), "-cpu", self.core.name, "-L", str(self._view), *options, str(program), *argv[1:]]

    def guest_environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """What the emulated program sees; nothing of this machine's environment but a folder for temporary files."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LC_ALL": "C.UTF-8",
            "TMPDIR": str(self.folder),
            "PYTHONPATH": str(self._view / SITE),
            "PYTHONDONTWRITEBYTECODE": "1",  # its cache would land in this machine's folders of the same name
            **env,
        }

    def execute(self, command: Sequence[str], env: Mapping[str, str], timeout_s: float) -> Completed:
        """Run a command line that `emulate` made."""
        return self._execute(command, env, timeout_s, tuple(command))

    def _resolve(self, program: str) -> Path:
        """The file that the emulated system means by a program's name or absolute path."""
        if program.startswith("/"):
            inside = self._view / program.lstrip("/")
            candidates = [inside, Path(program)]
        else:
            candidates = [self._view / folder / program for folder in _SEARCH]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        raise DeviceRunError(
            f"no program '{program}' on {self.name}",
            f"looked in {self._view}",
            "python -m ofa_edge.device.emulation.sysroot",
        )

    def _send(self, local: Path, remote: PurePosixPath) -> None:
        copy_here(local, remote, self.name)

    def _fetch(self, remote: PurePosixPath, local: Path) -> None:
        copy_here(remote, local, self.name)


def open_emulated(cpu: str, arch: str = EMULATED_ARCH, name: str = "emulated") -> EmulatedConnection:
    """An emulated device with the core nearest to `cpu`; sets its system up (a download) on the first call.

    Raises:
        UnsupportedError: this architecture or CPU is not emulated.
        ToolMissingError: no QEMU, no apt-get.
        DeviceError: the system could not be downloaded.
    """
    if arch != EMULATED_ARCH:
        raise UnsupportedError(
            f"no emulated device for {arch}", f"only {EMULATED_ARCH} is emulated", "--device local or --device none"
        )
    core = emulated_core(cpu)
    qemu = find_qemu()
    return EmulatedConnection(name, core, ensure_view(core), qemu)


def find_qemu() -> Path:
    """The emulator's program.

    Raises:
        ToolMissingError: it is not installed.
    """
    for program in ("qemu-aarch64-static", "qemu-aarch64"):
        found = shutil.which(program)
        if found is not None:
            return Path(found)
    raise ToolMissingError(
        "no emulator: qemu-aarch64-static",
        "the emulated device runs arm64 programs under it",
        f"apt install {_QEMU_PACKAGE}   (or --device none)",
    )


def qemu_version(qemu: Path) -> str:
    """The name and version that the program gives itself: `QEMU 7.2.22`."""
    said = subprocess.run(
        [str(qemu), "--version"], capture_output=True, text=True, timeout=20, check=False, env={"PATH": os.defpath}
    ).stdout.split()
    return f"QEMU {said[2]}" if len(said) > 2 else "QEMU"


def emulation_available(arch: str) -> str | None:
    """Why no emulated device of `arch` can be had here, or None. Asks no network."""
    if arch != EMULATED_ARCH:
        return f"only {EMULATED_ARCH} is emulated, not {arch}"
    try:
        find_qemu()
    except ToolMissingError as error:
        return f"{error.what}; {error.hint}"
    return sysroot_unavailable()
