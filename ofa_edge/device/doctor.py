"""What the device room needs on this machine: what is there, what is not, and how to get it."""

import importlib.metadata
import shutil
from dataclasses import dataclass

from ofa_edge.device.connections.cores import emulated_core
from ofa_edge.device.emulation.emulated import find_qemu, qemu_version
from ofa_edge.device.emulation.emulated_system.system import system_unavailable
from ofa_edge.device.emulation.sysroot import sysroot_path, sysroot_ready, sysroot_unavailable
from ofa_edge.device.measuring.counting import find_counter
from ofa_edge.device.registry.devices_file import devices_path, load_devices
from ofa_edge.errors import OfaEdgeError
from ofa_edge.extras import EXTRAS, install_line, installed

_PACKAGES = ("numpy", "ai-edge-litert", "onnxruntime")


@dataclass(frozen=True)
class Check:
    """One line of `ofa-edge doctor`. `fix` is a command or "" where there is nothing to do."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor_checks() -> list[Check]:
    """All checks of the device room. Runs no download and opens no connection."""
    programs = (
        ("ssh client", "ssh", "openssh-client", "devices of kind ssh"),
        ("scp", "scp", "openssh-client", "devices of kind ssh"),
        ("adb", "adb", "adb", "Android devices"),
        ("sshd", "/usr/sbin/sshd", "openssh-server", "this project's own tests of ssh"),
        ("arm64 compiler", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "TVM artifacts and their runner"),
        ("models of cores", "llvm-mca", "llvm", "modelled cycles of an emulated Cortex-A72"),
    )
    checks = [_emulator(), _sysroot(), _transports(), _counter()]
    checks += [_program(name, program, package, use) for name, program, package, use in programs]
    checks += [_package(name) for name in _PACKAGES]
    checks += [_extra(name) for name in EXTRAS]
    return [*checks, _devices()]


def _program(name: str, program: str, package: str, use: str) -> Check:
    found = shutil.which(program)
    if found:
        return Check(name, True, found)
    return Check(name, False, f"{program} is not installed; needed for: {use}", f"apt install {package}")


def _emulator() -> Check:
    try:
        qemu = find_qemu()
    except OfaEdgeError as error:
        return Check("emulator", False, error.what, error.hint)
    return Check("emulator", True, f"{qemu} ({qemu_version(qemu)})")


def _sysroot() -> Check:
    reason = sysroot_unavailable()
    if reason is not None:
        return Check("emulated system", False, reason, "use Debian 12, or --device none")
    if sysroot_ready():
        return Check("emulated system", True, str(sysroot_path()))
    return Check(
        "emulated system", True, "not set up yet; made on first use", "python -m ofa_edge.device.emulation.sysroot"
    )


def _transports() -> Check:
    """Whether emulated devices can have an ssh server or adb of their own; starts one for a moment if it is set up."""
    name = "emulated-ssh, emulated-adb"
    reason = system_unavailable(emulated_core("cortex-a72"))
    if reason is not None:
        return Check(name, False, reason, "Linux 6.7 or newer, user namespaces allowed; or --device emulated")
    if sysroot_ready(system=True):
        return Check(name, True, "an arm64 system starts and stops")
    return Check(
        name, True, "not set up yet; made on first use", "python -m ofa_edge.device.emulation.sysroot --system"
    )


def _counter() -> Check:
    try:
        counter = find_counter()
    except OfaEdgeError as error:
        return Check("instruction counter", False, f"{error.what}: {error.why}", error.hint)
    return Check("instruction counter", True, str(counter.plugin))


def _package(name: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install {name}")


def _extra(name: str) -> Check:
    extra = EXTRAS[name]
    lacking = [module for module in extra.modules if not installed(module)]
    if lacking:
        detail = f"{', '.join(lacking)} not installed; needed for: {extra.use}"
        return Check(f"extra {name}", False, detail, install_line(name))
    return Check(f"extra {name}", True, ", ".join(extra.modules))


def _devices() -> Check:
    path = devices_path()
    try:
        names = sorted(load_devices())
    except OfaEdgeError as error:
        return Check("devices", False, error.why, error.hint)
    return Check("devices", True, f"{path}: {', '.join(names)}" if names else f"none listed in {path}")
