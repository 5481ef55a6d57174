"""Where TensorFlow runs: a process of its own, so that its log, its memory and its crashes stay there."""

import subprocess

from ofa_edge.export.forked import run_forked

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def run_tensorflow(module: str, arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `module.main(arguments)` to its end where TensorFlow is kept quiet and off any GPU. It is started once."""
    return run_forked("tensorflow", module, arguments, _QUIET)
