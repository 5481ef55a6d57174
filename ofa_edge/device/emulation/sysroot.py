"""The emulated device's file system: Debian arm64 packages and the arm64 wheels of the runtimes, unpacked, no root.

Set up once in the user's cache (about 350 MB, under a minute), then only looked at. A second process waits for the
first; a set-up that was cut off leaves nothing behind. apt works on a private state with Debian's own signatures
checked: this machine's packages, sources and architectures stay as they are, and no package script is run.

Set it up ahead, for instance from a Makefile: `python -m ofa_edge.device.emulation.sysroot --cpu cortex-a72`.
"""

import argparse
import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from ofa_edge.device.connections.cores import EmulatedCore, emulated_core
from ofa_edge.device.connections.fingerprint import MARKER
from ofa_edge.device.emulation.debian import fetch_packages, missing_tool, run_tool, unpack
from ofa_edge.errors import DeviceError, OfaEdgeError, OutputError, ToolMissingError
from ofa_edge.files import canonical_json, require_own, sha256_bytes, write_bytes, write_json

SITE = "opt/ofa-edge/site"  # where the wheels lie
_RECORD = "ofa-edge-sysroot.json"  # written last: a folder without it is not a sysroot
_MERGED = ("bin", "sbin", "lib")  # Debian's merged /usr
_CORES = 4
_LOCK_TIMEOUT_S = 1800.0
_PIP_TIMEOUT_S = 900.0
_COMPILE_TIMEOUT_S = 600.0
_PROGRAM_PACKAGES = ("base-files", "coreutils", "libpython3-stdlib", "libstdc++6", "python3-minimal")
_SYSTEM_PACKAGES = ("dash", "mksh", "openssh-server", "toybox")  # mksh and toybox are what Android has
_WHEELS = ("numpy", "ai-edge-litert", "onnxruntime")  # all that the runners in Python import
# SHA-256 of the arm64 wheels of this project's pinned versions. Other versions are taken as pip finds them.
_SUMS: Mapping[str, str] = {
    "ai-edge-litert==2.3.0": "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
    "onnxruntime==1.31.1": "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
    "numpy==2.4.6": "0ab0a9c4ffb1a6d95ef519fe4247dba8eb6b18ad93999f76b7f657039acabd47",
}


@dataclass(frozen=True)
class SysrootSpec:
    """What a sysroot is made of; its digest names the folder."""

    suite: str
    packages: tuple[str, ...]
    python: str
    wheels: tuple[str, ...]
    format: int = 1

    @property
    def digest(self) -> str:
        """Twelve hex digits."""
        return sha256_bytes(canonical_json(asdict(self)))[:12]


def current_spec(system: bool = False) -> SysrootSpec:
    """The file system with the versions of the wheels that are installed here: the device runs what the host ran.

    Args:
        system: with what a device needs to be reached over a real transport: an ssh server, Android's shell and tools.

    Raises:
        ToolMissingError: one of them is not installed here.
    """
    try:
        wheels = tuple(f"{name}=={importlib.metadata.version(name)}" for name in _WHEELS)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolMissingError(
            f"{error.name} is not installed",
            "the emulated device runs the version that is installed here",
            "pip install ofa-edge",
        ) from error
    packages = _PROGRAM_PACKAGES + (_SYSTEM_PACKAGES if system else ())
    return SysrootSpec(suite="bookworm", packages=tuple(sorted(packages)), python="3.11", wheels=wheels)


def cache_folder() -> Path:
    """Where sysroots and compiled plugins are kept. Raises OutputError where it is not ours: they are run."""
    return require_own(user_cache_path("ofa-edge"))


def sysroot_path(system: bool = False) -> Path:
    """Where the current sysroot is, or will be."""
    return cache_folder() / f"sysroot-{current_spec(system).digest}"


def sysroot_ready(system: bool = False) -> bool:
    """Whether it is there already."""
    try:
        return (sysroot_path(system) / _RECORD).is_file()
    except ToolMissingError:
        return False


def sysroot_unavailable(system: bool = False) -> str | None:
    """Why the sysroot can neither be used nor, as far as can be seen without the network, be made; or None."""
    if sysroot_ready(system):
        return None
    try:
        current_spec()
    except ToolMissingError as error:
        return error.what
    return missing_tool()


def ensure_sysroot(system: bool = False) -> Path:
    """The sysroot's folder; made if it is not there. Safe to call from many processes.

    Args:
        system: see `current_spec`.

    Raises:
        ToolMissingError: apt-get, dpkg-deb, tar or pip is missing.
        DeviceError: a download failed.
        OutputError: the cache cannot be written.
    """
    spec = current_spec(system)
    folder = sysroot_path(system)
    if (folder / _RECORD).is_file():
        return folder
    reason = missing_tool()
    if reason is not None:
        raise ToolMissingError("the emulated device cannot be set up here", reason, "--device none, or use Debian 12")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S):
            if not (folder / _RECORD).is_file():
                _build_beside(folder, spec)
    except Timeout as error:
        raise DeviceError(
            "another process is setting up the emulated device", f"waited {_LOCK_TIMEOUT_S:.0f} s", "try again later"
        ) from error
    except OSError as error:
        raise OutputError(
            "cannot set up the emulated device", f"{folder.parent}: {error.strerror}", "set XDG_CACHE_HOME"
        ) from error
    return folder


def _build_beside(folder: Path, spec: SysrootSpec) -> None:
    """Build in a temporary folder, then rename: the sysroot is whole or absent. The lock is held."""
    for stale in (folder, *folder.parent.glob(f"{folder.name}.*.part")):  # a lost record, a set-up that was killed
        shutil.rmtree(stale, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        root = part / "root"
        versions = _unpack_debian(root, part / "apt", spec)
        _install_wheels(root / SITE, spec)
        _compile_python(root)
        write_bytes(root / MARKER.lstrip("/"), b"emulated\n")
        write_json(root / _RECORD, {"recipe": asdict(spec), "packages": versions})
        root.chmod(0o755)
        root.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _unpack_debian(root: Path, state: Path, spec: SysrootSpec) -> Mapping[str, str]:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("etc", "opt"):
        (root / name).mkdir()
    archives = fetch_packages(state, spec.suite, "arm64", spec.packages)
    for archive in archives:
        unpack(archive, root)
    # name_version_arch.deb; apt writes the colon of an epoch as %3a
    return {name: version.replace("%3a", ":") for name, version, _ in (item.stem.split("_") for item in archives)}


def _install_wheels(site: Path, spec: SysrootSpec) -> None:
    """Unpack arm64 wheels with pip, by whatever index and settings the user's pip has; known digests are enforced."""
    fetch_wheels(["install", "--target", str(site), "--no-compile"], requirements(spec.wheels), spec.python)
    shutil.rmtree(site / "bin", ignore_errors=True)


def fetch_wheels(command: Sequence[str], requirements: str, python: str = "3.11") -> None:
    """Let pip take arm64 wheels for a version of Python, and nothing but what the requirements file names.

    Raises:
        DeviceError: it could not, or a digest was another.
    """
    platforms = [f"--platform=manylinux{tag}_aarch64" for tag in ("_2_28", "_2_27", "_2_17", "2014")]
    argv = [sys.executable, "-m", "pip", *command, "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--only-binary=:all:", "--no-deps", *platforms, "--implementation=cp", f"--python-version={python}"]
    with tempfile.NamedTemporaryFile("w", prefix="ofa-wheels-", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        run_tool([*argv, "--requirement", file.name], _PIP_TIMEOUT_S, "the arm64 wheels could not be had")


def requirements(wheels: Sequence[str]) -> str:
    """A requirements file for these wheels; pip enforces digests for all of a file or for none."""
    if not all(wheel in _SUMS for wheel in wheels):
        return "".join(f"{wheel}\n" for wheel in wheels)
    return "".join(f"{wheel} --hash=sha256:{_SUMS[wheel]}\n" for wheel in wheels)


def _compile_python(root: Path) -> None:
    """Byte-compile ahead: under emulation it would cost seconds at every start."""
    if sys.version_info[:2] != (3, 11):
        return  # another version's byte code is of no use there; it still works, three seconds slower
    for folder, seen_as in ((root / "usr/lib/python3.11", "/usr/lib/python3.11"), (root / SITE, f"/{SITE}")):
        # Checked by content, not by time: the sources' times must not matter.
        argv = [sys.executable, "-m", "compileall", "-q", "-q", "-d", seen_as]
        argv += ["--invalidation-mode", "unchecked-hash", str(folder)]
        run_tool(argv, _COMPILE_TIMEOUT_S, "the emulated Python could not be compiled", good=(0, 1))


def ensure_view(core: EmulatedCore, system: bool = False) -> Path:
    """The sysroot as a device with this core shows it: its own /proc/cpuinfo, links to the rest.

    Args:
        core: the processor that it shows.
        system: see `current_spec`.

    Raises:
        As `ensure_sysroot`.
    """
    root = ensure_sysroot(system)
    view = root / "view" / core.name
    record = view / "complete"
    if record.is_file():
        return view
    part = Path(tempfile.mkdtemp(prefix=f".{core.name}.", dir=root))
    try:
        for entry in root.iterdir():
            if entry.is_dir() and entry.name not in ("proc", "sys", "view") and not entry.name.startswith("."):
                (part / entry.name).symlink_to(f"../../{entry.name}")
        _write_machine(part, core)
        write_bytes(part / record.name, b"")
        part.chmod(0o755)
        view.parent.mkdir(exist_ok=True)
        try:
            part.rename(view)
        except OSError:
            if not record.is_file():  # not another process that was faster: an incomplete one is in the way
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return view


def _write_machine(view: Path, core: EmulatedCore) -> None:
    """What programs read to learn about the processor."""
    last = _CORES - 1
    write_bytes(view / "proc/cpuinfo", core.cpuinfo(_CORES).encode())
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        write_bytes(view / path, f"ofa-edge emulated {core.name}".encode() + b"\0")
    system = view / "sys/devices/system/cpu"
    for name in ("possible", "present", "online"):
        write_bytes(system / name, f"0-{last}\n".encode())
    write_bytes(system / "kernel_max", b"7\n")
    for index in range(_CORES):
        topology = system / f"cpu{index}/topology"
        write_bytes(topology / "physical_package_id", b"0\n")
        write_bytes(topology / "core_id", f"{index}\n".encode())
        write_bytes(topology / "core_siblings_list", f"0-{last}\n".encode())
        write_bytes(topology / "thread_siblings_list", f"{index}\n".encode())


def main(arguments: list[str] | None = None) -> int:
    """Set the emulated device up ahead of its first use; print its folder."""
    parser = argparse.ArgumentParser(prog="python -m ofa_edge.device.emulation.sysroot", description=main.__doc__)
    parser.add_argument("--cpu", default="cortex-a72", help="the core to emulate (default: %(default)s)")
    parser.add_argument("--system", action="store_true", help="the larger one, of emulated-ssh and emulated-adb")
    options = parser.parse_args(arguments)
    try:
        print(ensure_sysroot(system=True) if options.system else ensure_view(emulated_core(options.cpu)))
    except OfaEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
