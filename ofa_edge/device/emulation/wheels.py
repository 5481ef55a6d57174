"""A wheel for the emulated device's Python, for runtimes of other packages: what they import there besides NumPy."""

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from ofa_edge.device.emulation.sysroot import cache_folder, fetch_wheels

_LOCK_TIMEOUT_S = 1800.0


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
    with FileLock(folder.with_name(f"{requirement}.lock"), timeout=_LOCK_TIMEOUT_S):
        if not folder.is_dir():
            part = Path(tempfile.mkdtemp(prefix=".part.", dir=folder.parent))
            try:
                digest = f" --hash=sha256:{sha256}" if sha256 else ""
                fetch_wheels(["download", "--dest", str(part)], f"{requirement}{digest}\n")
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return next(folder.glob("*.whl"))
