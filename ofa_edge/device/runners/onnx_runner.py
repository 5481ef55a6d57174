"""Run an ONNX model on the device this file was pushed to. Needs only NumPy, onnxruntime and `runner_passes.py`.

Nothing of ofa-edge is imported: the files stand alone on the device. See `runner_passes.py` for options and output.

    onnx_runner.py MODEL INPUTS.npy OUTPUTS.npy ...

INPUTS is float32 [N, C, H, W], normalised, or [N, values] of several inputs, one behind the other; OUTPUTS float32
[N, classes].
"""

from __future__ import annotations  # a device's Python may be older than this project's

import functools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from ofa_edge.device.runners import runner_passes
else:
    import runner_passes

WARM_RUNS = 10  # of a profile: not counted
TIMED = "_kernel_time"  # the profiler's event of one operator at work


def open_session(options: argparse.Namespace) -> Any:
    """A session that adds int8 products exactly, where it can.

    Without that, sums of two products saturate on x86 CPUs that have no VNNI; elsewhere it changes nothing. ONNX
    Runtime refuses some files that were quantised elsewhere with it.
    """

    def session(exact: str) -> Any:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
        settings.log_severity_level = 3
        settings.add_session_config_entry("session.x64quantprecision", exact)
        if options.profile:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(options.outputs).with_suffix(""))
        return onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])

    states = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        return session("1")
    except (states.NotImplemented, states.Fail):
        return session("0")


class Model(runner_passes.Model):
    """A session whose inputs and outputs stay where they are."""

    def __init__(self, options: argparse.Namespace) -> None:
        start = time.perf_counter_ns()
        self.session = open_session(options)
        entries, exits = self.session.get_inputs(), self.session.get_outputs()
        self.shapes = [tuple(each.shape) for each in entries]
        self.inputs = [onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(each, np.float32)) for each in self.shapes]
        self.outputs = [onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(each.shape, np.float32)) for each in exits]
        binding = self.session.io_binding()
        for each, value in zip(entries, self.inputs, strict=True):
            binding.bind_ortvalue_input(each.name, value)
        for each, value in zip(exits, self.outputs, strict=True):
            binding.bind_ortvalue_output(each.name, value)
        self.load_ns = time.perf_counter_ns() - start
        self.invoke = functools.partial(self.session.run_with_iobinding, binding)
        self.facts = {"runtime": "ONNX Runtime", "version": onnxruntime.__version__}

    def set(self, image: NDArray[np.float32]) -> None:
        """Set the input to one float32 image [C, H, W]; or several, from one behind the other."""
        values, start = image.reshape(-1), 0
        for value, shape in zip(self.inputs, self.shapes, strict=True):
            part = values[start : start + int(np.prod(shape))]
            value.update_inplace(np.ascontiguousarray(part.reshape(shape), np.float32))
            start += part.size

    def get(self) -> NDArray[np.float32]:
        """The float32 logits [classes] of the last run; or other outputs, flattened, one behind the other."""
        return np.concatenate([each.numpy().flatten() for each in self.outputs])

    def profile(self, runs: int) -> dict[str, Any]:
        """By the session's own profiler, which tells whole microseconds."""
        for _ in range(WARM_RUNS + runs):
            self.invoke()
        events = json.loads(Path(self.session.end_profiling()).read_text())
        found: dict[str, list[int]] = {}  # in the order in which they run
        for event in sorted(events, key=lambda event: event["ts"]):
            if event["cat"] == "Node" and event["name"].endswith(TIMED):
                name = f"{event['args']['op_name']} {event['name'][: -len(TIMED)]}"
                found.setdefault(name, []).append(event["dur"])
        calls = {name: len(times) // (WARM_RUNS + runs) for name, times in found.items()}
        kept = {name: times[WARM_RUNS * calls[name] :] for name, times in found.items()}
        return {"runs": runs, "profile": [[name, len(times), 1000 * sum(times)] for name, times in kept.items()]}


if __name__ == "__main__":
    sys.exit(runner_passes.main(Model))
