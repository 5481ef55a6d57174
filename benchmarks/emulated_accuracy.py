"""How long an accuracy pass takes on the emulated devices: the same artifact and images over each way to them.

    python benchmarks/emulated_accuracy.py out/model.tflite --images 2000 --devices emulated-ssh

The time is that of the whole measurement: starting the device, sending the images, the pass, fetching the logits.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import Request
from ofa_edge.device.registry.devices_file import EMULATED, open_connection
from ofa_edge.targets import load_target


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--devices", default=",".join(EMULATED), help="built-in names (default: %(default)s)")
    parser.add_argument("--target", default="raspberry-pi-4")
    options = parser.parse_args()
    interpreter = Interpreter(str(options.artifact))
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    _, height, width, channels = inputs["shape"]
    images = np.random.default_rng(0).normal(size=(options.images, channels, height, width)).astype(np.float32)
    classes = int(outputs["shape"][-1])
    expected = None
    for name in options.devices.split(","):
        start = time.monotonic()
        connection = open_connection(name, load_target(options.target))
        if connection is None:
            parser.error(f"{name} is no device")
        try:
            found = measure(
                connection, Request(options.artifact, litert_program, images, classes, count_instructions=False)
            )
        finally:
            connection.close()
        taken = time.monotonic() - start
        expected = found.outputs if expected is None else expected
        same = "the same logits" if np.array_equal(found.outputs, expected) else "OTHER LOGITS"
        wall = (found.emulation_wall_ms or 0.0) / 1e3
        print(
            f"{name}: {options.images} images {channels}x{height}x{width} in {taken:.1f} s (pass {wall:.1f} s), {same}"
        )


if __name__ == "__main__":
    main()
