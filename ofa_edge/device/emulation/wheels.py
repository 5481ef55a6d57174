"""A wheel for the emulated device's Python, for runtimes of other packages: what they import there besides NumPy."""

import shutil
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from ofa_edge.device.emulation.debian import run_tool
from ofa_edge.device.emulation.sysroot import cache_folder, wheel_options

_PIP_TIMEOUT_S = 900.0


def arm64_wheel(requirement: str, sha256: str | None = None) -> Path:
    """Fetch an arm64 wheel once, by whatever index and settings the user's pip has.

    Args:
        requirement: of one version: `ncnn==1.0.20261020`.
        sha256: of the wheel, if it is to be held to one.

    Returns:
        The wheel's file, in the user's cache.

    Raises:
        DeviceError: pip could not fetch it, or another file came.
    """
    folder = cache_folder() / "wheels" / requirement
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{requirement}.lock"), timeout=_PIP_TIMEOUT_S):
        if not folder.is_dir():
            part = Path(tempfile.mkdtemp(prefix=".part.", dir=folder.parent))
            try:
                _download(part, requirement, sha256)
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return next(folder.glob("*.whl"))


def _download(folder: Path, requirement: str, sha256: str | None) -> None:
    argv = [sys.executable, "-m", "pip", "download", *wheel_options("3.11"), "--dest", str(folder)]
    with tempfile.NamedTemporaryFile("w", prefix="ofa-wheels-", suffix=".txt") as file:
        file.write(requirement + (f" --hash=sha256:{sha256}" if sha256 else "") + "\n")
        file.flush()
        run_tool(
            [*argv, "--requirement", file.name], _PIP_TIMEOUT_S, f"the arm64 wheel of {requirement} could not be had"
        )
