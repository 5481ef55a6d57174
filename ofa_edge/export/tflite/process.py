"""Where TensorFlow runs: a process of its own, so that its log, its memory and its crashes stay there."""

import os
import subprocess
import sys
from pathlib import Path

import ofa_edge


def run_tensorflow(module: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `python -m module arguments` to its end, with TensorFlow kept quiet and off any GPU."""
    root = str(Path(ofa_edge.__file__).resolve().parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)


def how_it_ended(done: "subprocess.CompletedProcess[str]") -> str:
    """Of a process that failed: its exit code or signal, and the last line that it said."""
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    ended = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
    return f"{ended}: {last}"
