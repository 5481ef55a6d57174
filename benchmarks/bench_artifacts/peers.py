"""The environments of the tools that are compared with, each made once in the work folder from pinned versions."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.files import sha256_bytes, write_json

_HERE = Path(__file__).parent
_MADE = "made.json"
SHOWN = ("litert-torch", "onnx2tf", "torch", "torchao", "ai-edge-quantizer", "tensorflow", "onnx", "numpy", "protobuf")
_FIRST = {"litert-torch": "torch"}  # by itself: a CPU build is served for an exact version only


@dataclass(frozen=True)
class Environment:
    """Where a peer runs.

    Attributes:
        python: its interpreter.
        script: of this folder; `SCRIPT SOURCE OUT [CALIBRATION.npy]` converts.
        versions: of the packages that matter.
        reason: why it cannot be had; None: it is there.
    """

    python: Path
    script: Path
    versions: dict[str, str]
    reason: str | None = None


def ensure(name: str, work: Path, say: Callable[[str], None]) -> Environment:
    """The environment of a peer, made on the first call (gigabytes, minutes). A failure is told in `reason`."""
    pins = _HERE / f"{name}.txt"
    folder = work / "environments" / f"{name}-{sha256_bytes(pins.read_bytes())[:12]}"
    python, script = folder / "bin" / "python", script_of(name)
    if (folder / _MADE).is_file():
        return Environment(python, script, pinned(name), json.loads((folder / _MADE).read_bytes())["reason"])
    say(f"installing {name} into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    first = _FIRST.get(name)
    reason = _make(folder, pins, [f"{first}=={pinned(name)[first]}"] if first else [])
    if folder.is_dir():
        write_json(folder / _MADE, {"reason": reason})
    return Environment(python, script, pinned(name), reason)


def script_of(name: str) -> Path:
    """What converts with a peer, inside its environment."""
    return _HERE / f"with_{name.removesuffix('-2').replace('-', '_')}.py"


def pinned(name: str) -> dict[str, str]:
    """The versions of a peer's packages that matter."""
    lines = (_HERE / f"{name}.txt").read_text().splitlines()
    versions = dict(line.split("==") for line in lines if "==" in line)
    return {package: versions[package] for package in SHOWN if package in versions}


def _make(folder: Path, pins: Path, first: list[str]) -> str | None:
    """Install; why that failed, or None."""
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    steps = [[sys.executable, "-m", "venv", str(folder)], *([[*pip, *first]] if first else [])]
    steps.append([*pip, "--requirement", str(pins)])
    for step in steps:
        done = subprocess.run(step, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
            return f"cannot be installed: {lines[0][:200]}"
    return None
