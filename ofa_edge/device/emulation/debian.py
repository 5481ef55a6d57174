"""Debian packages of another architecture without root: apt with a state of its own, then plain unpacking."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ofa_edge.errors import DeviceError
from ofa_edge.files import write_bytes

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "OFA_EDGE_DEBIAN_MIRROR"
_UPDATE_TIMEOUT_S = 300.0
_DOWNLOAD_TIMEOUT_S = 900.0
_UNPACK_TIMEOUT_S = 300.0
_FAILED = "the Debian packages could not be downloaded"

_CONFIG = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear APT::Architectures;
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::State::lists "{state}/lists";
Dir::Cache "{state}/cache";
Dir::Etc::sourcelist "{state}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
"""


def missing_tool() -> str | None:
    """What is missing here to fetch and unpack Debian packages, or None."""
    for program in ("apt-get", "dpkg-deb", "tar"):
        if shutil.which(program) is None:
            return f"{program} is not installed: the arm64 system is made of Debian packages"
    if not _KEYRING.is_file():
        return f"{_KEYRING} is missing (package debian-archive-keyring)"
    return None


def fetch_packages(state: Path, suite: str, arch: str, packages: Iterable[str]) -> list[Path]:
    """Download packages with all they depend on, signatures checked.

    Args:
        state: an empty or absent folder for apt's own files.
        suite: Debian's release name.
        arch: Debian's architecture name.
        packages: names.

    Returns:
        The .deb files, sorted by name.

    Raises:
        DeviceError: no network, or a package does not exist.
    """
    options = _private_apt(state, arch, _sources(suite))
    argv = ["apt-get", *options, "-y", "--download-only", "install", *packages]
    run_tool(argv, _DOWNLOAD_TIMEOUT_S, _FAILED)
    return sorted((state / "cache/archives").glob("*.deb"))


def download_package(state: Path, suite: str, package: str) -> Path:
    """Download one package for all architectures, without what it depends on, from a suite that may be an older one.

    Args:
        state: an empty or absent folder for apt's own files.
        suite: Debian's release name; where this machine's apt does not know it, its mirror of Debian is asked.
        package: its name.

    Raises:
        DeviceError: no network, no mirror is known, or the suite has no such package.
    """
    known = _chosen_mirrors(suite) or _host_mirrors()
    mirror = known.get(suite) or next((uri for name, uri in known.items() if "-" not in name), None)
    if mirror is None:
        raise _no_mirror(suite)
    options = _private_apt(state, "amd64", f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n")
    run_tool(["apt-get", *options, "download", package], _DOWNLOAD_TIMEOUT_S, _FAILED, folder=state)
    return next(state.glob(f"{package}_*.deb"))


def _private_apt(state: Path, arch: str, sources: str) -> list[str]:
    """Options of an apt that keeps to `state` and knows only `sources`, whose lists it has read."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    write_bytes(state / "status", b"")
    write_bytes(state / "apt.conf", _CONFIG.replace("arm64", arch).format(state=state).encode())
    write_bytes(state / "sources.list", sources.encode())
    options = ["-qq", "-c", str(state / "apt.conf")]
    run_tool(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"], _UPDATE_TIMEOUT_S, _FAILED)
    return options


def _sources(suite: str) -> str:
    """Debian's mirrors: `$OFA_EDGE_DEBIAN_MIRROR`, else those that this machine's apt knows for the suite.

    Packages are checked by signature and digest, not by the transport.

    Raises:
        DeviceError: neither names one.
    """
    known = _chosen_mirrors(suite) or _host_mirrors()
    if suite not in known:
        raise _no_mirror(suite)
    names = (suite, f"{suite}-updates", f"{suite}-security")
    lines = [(known.get(name) or (known[suite] if name.endswith("-updates") else None), name) for name in names]
    return "".join(f"deb [signed-by={_KEYRING}] {uri} {name} main\n" for uri, name in lines if uri)


def _chosen_mirrors(suite: str) -> dict[str, str]:
    chosen = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    return {suite: f"{chosen}/debian", f"{suite}-security": f"{chosen}/debian-security"} if chosen else {}


def _no_mirror(suite: str) -> DeviceError:
    return DeviceError(
        "no Debian mirror is known",
        f"apt on this machine lists none for {suite}",
        f"apt-get update, or {MIRROR_VARIABLE}=http://HOST, where HOST/debian is a Debian mirror",
    )


def _host_mirrors() -> dict[str, str]:
    """Suite -> address, of Debian's own repositories in this machine's apt sources."""
    wanted = ["Created-By: Packages", "Origin: Debian"]
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", *wanted]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout
    pairs = [pair for pair in (line.split() for line in said.splitlines()) if len(pair) == 2]
    return {suite: uri for uri, suite in pairs if uri.startswith(("http://", "https://"))}


def unpack(archive: Path, root: Path) -> None:
    """Unpack one package into `root`, through the merged /usr links that are there.

    Raises:
        DeviceError: the package is damaged or the disk is full.
    """
    # dpkg-deb -x would replace the links by folders.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as source:
        argv = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--no-same-owner", "--no-same-permissions"]
        target = subprocess.run(
            argv, stdin=source.stdout, capture_output=True, text=True, timeout=_UNPACK_TIMEOUT_S, check=False
        )
    if target.returncode != 0 or source.returncode != 0:
        raise DeviceError(f"cannot unpack {archive.name}", target.stderr.strip()[-500:] or "damaged", "try again")


def run_tool(
    argv: Sequence[str], timeout_s: float, failed: str, good: Sequence[int] = (0,), folder: Path | None = None
) -> None:
    """Run a program of this machine, in `folder` if one is given.

    Raises:
        DeviceError: `failed`, with the last thing that the program said.
    """
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            failed, f"{argv[0]} took more than {timeout_s:.0f} s", "check the network, try again"
        ) from error
    if done.returncode not in good:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}")[-800:]
        raise DeviceError(failed, said, "check the network, then run the same command again; or --device none")
