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
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    write_bytes(state / "status", b"")
    write_bytes(state / "apt.conf", _CONFIG.replace("arm64", arch).format(state=state).encode())
    write_bytes(state / "sources.list", _sources(suite).encode())
    options = ["-qq", "-c", str(state / "apt.conf")]
    failed = "the arm64 system could not be downloaded"
    run_tool(["apt-get", *options, "-o", "APT::Update::Error-Mode=any", "update"], _UPDATE_TIMEOUT_S, failed)
    run_tool(["apt-get", *options, "-y", "--download-only", "install", *packages], _DOWNLOAD_TIMEOUT_S, failed)
    return sorted((state / "cache/archives").glob("*.deb"))


def _sources(suite: str) -> str:
    """Debian's mirrors: `$OFA_EDGE_DEBIAN_MIRROR`, else those that this machine's apt knows for the suite.

    Packages are checked by signature and digest, not by the transport.

    Raises:
        DeviceError: neither names one.
    """
    chosen = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    known = {suite: f"{chosen}/debian", f"{suite}-security": f"{chosen}/debian-security"} if chosen else _host_mirrors()
    if suite not in known:
        raise DeviceError(
            "no Debian mirror is known",
            f"apt on this machine lists none for {suite}",
            f"apt-get update, or {MIRROR_VARIABLE}=http://HOST, where HOST/debian is a Debian mirror",
        )
    names = (suite, f"{suite}-updates", f"{suite}-security")
    lines = [(known.get(name) or (known[suite] if name.endswith("-updates") else None), name) for name in names]
    return "".join(f"deb [signed-by={_KEYRING}] {uri} {name} main\n" for uri, name in lines if uri)


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


def run_tool(argv: Sequence[str], timeout_s: float, failed: str, good: Sequence[int] = (0,)) -> None:
    """Run a program of this machine.

    Raises:
        DeviceError: `failed`, with the last thing that the program said.
    """
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv,
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
