"""Several TFLite conversions by the product's own worker in one process."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ofa_edge.export.tflite.process import run_tensorflow


def convert_together(jobs: Iterable[tuple[Path, Path, dict[str, Any]]]) -> None:
    """For each job (ONNX model, file to write, the worker's settings) what `convert` would write."""
    arguments = [part for model, out, settings in jobs for part in (str(model), str(out), json.dumps(settings))]
    done = run_tensorflow("ofa_edge.export.tflite.worker", arguments)
    assert done.returncode == 0, done.stdout + done.stderr
