"""Build `tvm_runner` or `tvm_turns` for an architecture: one C++ file, linked to the runtime of TVM's own wheel.

The result is a folder that runs as it is: {tvm_runner, libtvm_runtime.so, libtvm_ffi.so}, 6 MB. For another
architecture than this machine's the two libraries come from that architecture's wheels, fetched by pip and held to
the digests below; of their 98 MB only the libraries are kept.
"""

import errno
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ofa_edge.errors import ConversionError, ToolMissingError, UnsupportedError
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file, write_json

RUNNER = "tvm_runner"
CUDA_PLUGIN = "libofa_edge_cuda.so"
TURNS = "tvm_turns"
CUDA_SOURCE = Path(__file__).with_name("cuda_plugin.cc")
_SUMS = "sha256.json"
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))
FLAGS = (
    "-std=c++17",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wl,--no-as-needed",
    "-Wl,--build-id=none",
    "-Wl,-rpath,$ORIGIN",
)
SHARED = ("-shared", "-fPIC")
PLUGIN_FLAGS = (*SHARED, f"-Wl,-soname,{CUDA_PLUGIN}")
_LIMIT_S = 900
RUNNER_GLIBC = (2, 27)  # the newest version that the runner and its libraries ask for (docs/jetson.md)


@dataclass(frozen=True)
class Library:
    """One library of the runtime, and the wheel it comes from."""

    distribution: str
    member: str  # its path inside the wheel and inside site-packages

    @property
    def link_name(self) -> str:
        """As after `-l`."""
        return Path(self.member).stem.removeprefix("lib")


LIBRARIES = (
    Library("apache-tvm", "tvm/lib/libtvm_runtime.so"),
    Library("apache-tvm-ffi", "tvm_ffi/lib/libtvm_ffi.so"),
)
# SHA-256 of wheels by (distribution, version, architecture), as the package index serves them.
_WHEELS = {
    ("apache-tvm", "0.27.0.post1", "aarch64"): "4acfdb7653e4e1ba7a707bdf2833db72eb8fda7d04d99141f2a4e1da43171fb7",
    ("apache-tvm-ffi", "0.1.14.post0", "aarch64"): "d1a011a0743acb88ffc650c70bfb1376fa90cb7196b042598c6d0c1e690ce185",
}


def build_tvm_runner(arch: str, cache: Path, cuda: bool = False) -> Path:
    """Build the runner, or find it built.

    Args:
        arch: as uname says: "aarch64", "x86_64".
        cache: a folder of ours, kept between builds.
        cuda: with the library that drives an NVIDIA GPU.

    Returns:
        A folder that holds `tvm_runner` and its libraries; push all of them to one place and run the first.

    Raises:
        ToolMissingError: no compiler for `arch` (names the Debian package), TVM not installed, or no network to fetch
            the libraries from.
        UnsupportedError: no wheel of the installed TVM is known for `arch`.
    """
    return _build(RUNNER, arch, cache, cuda)


def build_tvm_turns(arch: str, cache: Path) -> Path:
    """The same for `tvm_turns`, which times functions in turn and never travels with an artifact."""
    return _build(TURNS, arch, cache)


def _build(program: str, arch: str, cache: Path, cuda: bool = False) -> Path:
    compiler = _compiler(arch)
    source = Path(__file__).with_name(f"{program}.cc")
    versions = {library.distribution: version_of(library.distribution) for library in LIBRARIES}
    sources = [source, *HEADERS, *([CUDA_SOURCE] if cuda else [])]
    folder = cache / program.replace("_", "-") / f"{arch}-{_key(arch, compiler, versions, sources)[:16]}"
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        for library in LIBRARIES:
            fetch_library(library, versions[library.distribution], arch, made)
        flags = program_flags(versions["apache-tvm"])
        _compile(compiler, source, made, program, flags)
        if cuda:
            _compile(compiler, CUDA_SOURCE, made, CUDA_PLUGIN, PLUGIN_FLAGS)
        write_json(made / _SUMS, {path.name: sha256_file(path) for path in sorted(made.iterdir())})
        _install(made, folder)
    return folder


def program_flags(tvm: str) -> tuple[str, ...]:
    """What a program is compiled with beside `FLAGS`, for that version of TVM; see old_glibc.h."""
    return f'-DTVM_VERSION="{tvm}"', "-Wl,--wrap=__libc_start_main"


def _compiler(arch: str) -> str:
    name = "g++" if arch == platform.machine() else f"{arch}-linux-gnu-g++"
    found = shutil.which(name)
    if found is None:
        package = "g++" if name == "g++" else f"g++-{arch.replace('_', '-')}-linux-gnu"
        raise ToolMissingError(
            f"no C++ compiler for {arch}: {name}",
            "the program that runs a TVM model on a device is compiled here",
            f"apt-get install {package}",
        )
    return found


def version_of(distribution: str) -> str:
    """The installed version of a distribution. Raises ToolMissingError where there is none."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolMissingError(
            f"{distribution} is not installed", "its headers are needed", f"pip install {distribution}"
        ) from error


def _key(arch: str, compiler: str, versions: dict[str, str], sources: Sequence[Path]) -> str:
    """Digest of all that a program is made of."""
    says = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    libraries = [asdict(library) for library in LIBRARIES]
    digests = [sha256_file(source) for source in sources]
    parts = [arch, says, versions, libraries, list(FLAGS), list(SHARED), digests]
    return sha256_bytes(canonical_json(parts))


def _is_whole(folder: Path) -> bool:
    """Whether a folder is as it was when it was made."""
    try:
        sums = json.loads((folder / _SUMS).read_text())
        return all(sha256_file(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _install(made: Path, folder: Path) -> None:
    """Move a finished folder into place; one that another build has put there meanwhile is as good."""
    if folder.exists() and not _is_whole(folder):
        shutil.rmtree(folder)
    try:
        made.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not _is_whole(folder):
            raise


def site_of(library: Library) -> Path:
    """A library's folder in this environment: .../site-packages."""
    return Path(str(importlib.metadata.distribution(library.distribution).locate_file("")))


def fetch_library(library: Library, version: str, arch: str, out: Path) -> None:
    """Put the library for `arch` into the folder `out`; that of another machine comes from its wheel."""
    target = out / Path(library.member).name
    if arch == platform.machine():
        shutil.copy(site_of(library) / library.member, target)
        return
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=out.parent) as scratch:
        wheel = _download(library.distribution, version, arch, Path(scratch))
        with zipfile.ZipFile(wheel) as archive, archive.open(library.member) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def _download(distribution: str, version: str, arch: str, folder: Path) -> Path:
    """Fetch one wheel with pip, which compares its digest and honours the user's own index and proxy."""
    digest = _WHEELS.get((distribution, version, arch))
    if digest is None:
        known = ", ".join(sorted({f"{name} {number}" for name, number, kind in _WHEELS if kind == arch}))
        raise UnsupportedError(
            f"no runtime of TVM for {arch} is known for {distribution} {version}",
            f"wheels with a known digest: {known or 'none'}",
            "install those versions, or build the runner on the device itself",
        )
    (folder / "wheel.txt").write_text(f"{distribution}=={version} --hash=sha256:{digest}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"]
    command += ["--abi", "none", "--platform", f"manylinux_2_28_{arch}", "--dest", str(folder)]
    command += ["--require-hashes", "--requirement", str(folder / "wheel.txt")]
    done = _run(command)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise ToolMissingError(
            f"cannot fetch {distribution} {version} for {arch}",
            done.stderr.strip()[-500:] or "pip gave no reason",
            "check the network; --device none builds without it",
        )
    return wheels[0]


def _compile(compiler: str, source: Path, out: Path, name: str, flags: Sequence[str]) -> None:
    headers = [f"-isystem{site_of(library) / Path(library.member).parts[0] / 'include'}" for library in LIBRARIES]
    command = [compiler, *FLAGS, *headers, str(source), "-L", str(out), "-o", str(out / name)]
    done = _run([*command, *(f"-l{library.link_name}" for library in LIBRARIES), *flags])
    if done.returncode != 0:
        raise ConversionError(
            f"{Path(compiler).name} cannot compile {source.name}", done.stderr.strip()[-1000:], "ofa-edge doctor"
        )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise ToolMissingError(
            f"{Path(command[0]).name} gave no answer in {_LIMIT_S} s", " ".join(command)[:500], "check the network"
        ) from error
