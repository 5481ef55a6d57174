"""Mark two runs of a TFLite file for the counting plugin, on an emulated device: by TFLite's own kernels or by XNNPACK.

    own_kernels.py MODEL SIZE own|xnnpack       the first run warms the caches; two pairs of marks around nothing follow

One line of JSON on stdout: the runtime's version. A file is run at any input size, as its layers allow.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ofa_edge" / "device" / "runners"))
from runner_passes import mark


def main(model: str, size: int, kernels: str) -> None:
    """See the module."""
    resolver = OpResolverType.AUTO if kernels == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=model, num_threads=1, experimental_op_resolver_type=resolver)
    (detail,) = interpreter.get_input_details()
    if detail["shape"][1] != size:
        interpreter.resize_tensor_input(detail["index"], [1, size, size, 3])
    interpreter.allocate_tensors()
    rng, shape = np.random.default_rng(0), (1, size, size, 3)
    image = rng.integers(-128, 128, shape) if detail["dtype"] == np.int8 else rng.uniform(-1, 1, shape)
    interpreter.set_tensor(detail["index"], image.astype(detail["dtype"]))
    for run in range(4):
        mark(2 * run)
        if run < 2:
            interpreter.invoke()
        mark(2 * run + 1)
    print(json.dumps({"version": version("ai-edge-litert")}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
