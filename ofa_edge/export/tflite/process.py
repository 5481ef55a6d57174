"""Where TensorFlow runs: a process of its own, so that its log, its memory and its crashes stay there."""

import subprocess

from ofa_edge.export.process import run_module

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def run_tensorflow(module: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `python -m module arguments` to its end, with TensorFlow kept quiet and off any GPU."""
    return run_module(module, arguments, _QUIET)
