"""Run an ncnn artifact on the device this file was pushed to. Needs only NumPy, ncnn and `runner_passes.py`.

    ncnn_runner.py MODEL INPUTS.npy OUTPUTS.npy ...

INPUTS is float32 [N, C, H, W], normalised; OUTPUTS float32 [N, classes]. See `runner_passes.py` for the options.
"""

from __future__ import annotations  # a device's Python may be older than this project's

import json
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from ofa_edge.device.runners import runner_passes
else:
    try:
        import runner_passes
    except ImportError:  # on this machine, where it is imported as a module
        from ofa_edge.device.runners import runner_passes
    runner_passes.use_wheels()

import ncnn

HALF = ("use_fp16_packed", "use_fp16_storage")
NEVER = ("use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage", "use_vulkan_compute")


class Model(runner_passes.Model):
    """A network that is ready to run."""

    def __init__(self, options: argparse.Namespace) -> None:
        start = time.perf_counter_ns()
        self.net = load(options.model, options.threads)
        self.entry, self.exit = self.net.input_names()[0], self.net.output_names()[0]
        self.load_ns = time.perf_counter_ns() - start
        self.facts = {"runtime": "ncnn", "version": ncnn.__version__}
        self.image: Any = None
        self.logits: Any = None

    def set(self, image: NDArray[np.float32]) -> None:
        """Set the input to one float32 image [C, H, W]."""
        self.image = ncnn.Mat(np.ascontiguousarray(image, np.float32)).clone()

    def invoke(self) -> None:
        """Run once. ncnn keeps no state between runs: an extractor is made for each."""
        extractor = self.net.create_extractor()
        extractor.input(self.entry, self.image)
        code, self.logits = extractor.extract(self.exit)
        if code:
            raise RuntimeError(f"ncnn ended with {code}")

    def get(self) -> NDArray[np.float32]:
        """The float32 logits [classes] of the last run."""
        return np.array(self.logits, dtype=np.float32).reshape(-1)


def load(path: str, threads: int) -> Any:
    """The network of an artifact, its arithmetic as the artifact's settings say."""
    with zipfile.ZipFile(path) as archive:
        layers, weights = archive.read("net.ncnn.param"), archive.read("net.ncnn.bin")
        half = json.loads(archive.read("settings.json"))["half"]
    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in HALF:
        setattr(net.opt, name, half)
    for name in NEVER:
        setattr(net.opt, name, False)
    # Returns 0 for the layers, nothing for the weights.
    if net.load_param_mem(layers.decode()) != 0:
        raise RuntimeError("ncnn cannot read the layers of this artifact")
    net.load_model_mem(weights)
    return net


if __name__ == "__main__":
    sys.exit(runner_passes.main(Model))
