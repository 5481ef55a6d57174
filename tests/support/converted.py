"""Several TFLite conversions by the product's own worker in one process: TensorFlow takes seconds to start."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from places import ROOT


def convert_together(jobs: Iterable[tuple[Path, Path, dict[str, Any]]]) -> None:
    """For each job (ONNX model, file to write, the worker's settings) what `convert` would write."""
    arguments = [part for model, out, settings in jobs for part in (str(model), str(out), json.dumps(settings))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "ofa_edge.export.tflite.worker", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
