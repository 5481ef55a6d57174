"""A process of its own world: user, mount, process and host-name namespaces, and QEMU for arm64 programs in it alone.

binfmt_misc can be mounted inside a user namespace since Linux 6.7, and what is registered there is seen by the
namespace's own processes only: children start arm64 programs as if the machine were one, this machine changes nothing,
and no privilege is needed (see the kernel's Documentation/admin-guide/binfmt-misc.rst and user_namespaces(7)).

Everything here is called in a forked child that never returns to its caller; it uses the standard library only.
"""

import ctypes
import os
import platform
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_DETACH: Final = 2
_PR_SET_PDEATHSIG: Final = 1
# Mount flags that a namespace may not take off, as statvfs names them: nosuid, nodev, noexec; noatime, relatime.
_LOCKED: Final = {2: 2, 4: 4, 8: 8, 1024: 1024, 4096: 1 << 21}
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}  # its system call's number
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
# An ELF header of an arm64 program or library, and which of its bits are looked at; as QEMU's own registration has it.
_MAGIC: Final = rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK: Final = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


class NamespaceError(Exception):
    """A step that this kernel or its settings do not allow."""


@dataclass(frozen=True)
class Root:
    """What a device's file system is made of; it lives in memory and ends with its processes.

    Attributes:
        system: a folder with `usr`, `opt` and `etc`, shown read-only (`etc` is copied).
        machine: a folder with `proc/cpuinfo` and `sys`: what the processor is said to be.
        folders: further folders that the device's user may write to.
        files: further files: path to content and mode.
        links: path to target.
        absent: files of `etc` that are left out.
        size_mb: how much may be written.
    """

    system: Path
    machine: Path
    folders: Sequence[str]
    files: Mapping[str, tuple[bytes, int]]
    links: Mapping[str, str]
    absent: Sequence[str]
    size_mb: int


def die_with_parent() -> None:
    """This process is killed when its parent ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def unshare_all() -> None:
    """Leave this machine's namespaces; this process is root in the new ones, and its children are the first there.

    Raises:
        NamespaceError: namespaces of users are switched off, or the kernel refuses.
    """
    user, group = os.geteuid(), os.getegid()
    _check(_libc().unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWUTS | _NEWIPC), "user namespaces are not allowed here")
    _map_ids(0, user, group)


def become(user: int) -> None:
    """Give up root: a further user namespace in which this process is `user`, with no way back."""
    _check(_libc().unshare(_NEWUSER), "no further user namespace")
    _map_ids(user, 0, 0)


def _map_ids(inside: int, user: int, group: int) -> None:
    try:
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{inside} {user} 1"),
            ("gid_map", f"{inside} {group} 1"),
        ):
            Path("/proc/self", file).write_text(text)
    except OSError as error:
        raise NamespaceError(f"cannot map users: /proc/self/{file}: {error.strerror}") from error


def set_host_name(name: str) -> None:
    """Of this namespace."""
    _check(_libc().sethostname(name.encode(), len(name)), "cannot name the host")


def register_qemu(folder: Path, qemu: Path) -> None:
    """Have arm64 programs of this namespace run under `qemu`, a static build that is opened now, once.

    Args:
        folder: where binfmt_misc is mounted; must exist.
        qemu: the emulator.

    Raises:
        NamespaceError: the kernel is older than 6.7.
    """
    _mount("binfmt_misc", folder, "binfmt_misc", 0, "binfmt_misc cannot be mounted here (Linux 6.7 or newer can)")
    line = b":ofa-edge-arm64:M::" + _MAGIC + b":" + _MASK + b":" + os.fsencode(qemu) + b":PF"
    try:
        (folder / "register").write_bytes(line)
    except OSError as error:
        raise NamespaceError(f"binfmt_misc refused {qemu}: {error.strerror}") from error


def build_root(at: Path, root: Root, qemu: Path) -> None:
    """Mount a device's file system at an empty folder; seen in this namespace only.

    Raises:
        NamespaceError: a mount is refused.
    """
    _mount("none", Path("/"), None, _REC | _PRIVATE, "mounts cannot be made private")
    _mount("tmpfs", at, "tmpfs", _NOSUID | _NODEV, "no file system in memory", f"size={root.size_mb}m,mode=755")
    for name in ("usr", "opt"):
        _show(root.system / name, at / name)
    for name in ("bin", "sbin", "lib"):
        (at / name).symlink_to(f"usr/{name}")
    shutil.copytree(root.system / "etc", at / "etc", symlinks=True)
    shutil.copytree(root.machine / "sys", at / "sys")
    for path in root.absent:
        (at / path.lstrip("/")).unlink(missing_ok=True)
    for name in ("proc", "dev/shm", "run/binfmt", "tmp", "var/tmp", "mnt", *root.folders):
        (at / name.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp", "dev/shm"):
        (at / name).chmod(0o1777)
    _devices(at / "dev")
    _proc(at / "proc", root.machine)
    register_qemu(at / "run/binfmt", qemu)
    for path, target in root.links.items():
        (at / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (at / path.lstrip("/")).symlink_to(target)
    for path, (content, mode) in root.files.items():
        file = at / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)


def _show(source: Path, target: Path) -> None:
    """Show a folder read-only."""
    target.mkdir()
    _mount(str(source), target, None, _BIND, f"cannot show {source}")
    found = os.statvfs(target).f_flag
    kept = sum(flag for bit, flag in _LOCKED.items() if found & bit)
    _mount("none", target, None, _REMOUNT | _BIND | _RDONLY | kept, f"cannot show {source} read-only")


def _devices(folder: Path) -> None:
    for name in _DEVICES:
        (folder / name).touch()
        _mount(f"/dev/{name}", folder / name, None, _BIND, f"cannot show /dev/{name}")
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        (folder / name).symlink_to(f"/proc/self/fd{target}")


def _proc(folder: Path, machine: Path) -> None:
    try:
        _mount("proc", folder, "proc", 0, "no /proc of its own")
    except NamespaceError:  # in a container whose /proc is masked: this machine's processes are seen
        _mount("/proc", folder, None, _BIND | _REC, "no /proc")
    _mount(str(machine / "proc/cpuinfo"), folder / "cpuinfo", None, _BIND, "no /proc/cpuinfo of its own")


def enter(root: Path) -> None:
    """Make `root` the root folder, and let go of this machine's files."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise NamespaceError(f"not known on {platform.machine()}: pivot_root")
    os.chdir(root)
    _check(_libc().syscall(number, b".", b"."), "cannot change the root folder")
    _check(_libc().umount2(b".", _DETACH), "cannot let go of this machine's files")
    os.chdir("/")


def _mount(source: str, target: Path, kind: str | None, flags: int, failed: str, data: str = "") -> None:
    texts = [text.encode() if text else None for text in (source, str(target), kind, data)]
    _check(_libc().mount(texts[0], texts[1], texts[2], flags, texts[3]), failed)


def _check(result: int, failed: str) -> None:
    if result != 0:
        raise NamespaceError(f"{failed}: {os.strerror(ctypes.get_errno())}")


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    return libc
