"""Convert many small models in one process: `python convert_many.py FOLDER`, for TensorFlow takes seconds to start.

Each FOLDER/NAME.onnx is converted twice in fp32, with every rewrite and with none, and both files run with LiteRT over
FOLDER/NAME.npy. Prints {name: [dB of the rewritten file against ONNX Runtime, dB against the plain file]} as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

from ofa_edge.export.onnx.export import run_onnx
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.rewrites import names, rewrite
from ofa_edge.export.tflite.worker import Settings, convert_graph
from ofa_edge.verify.parity import compare


def main(folder: Path) -> dict[str, list[float]]:
    """See the module."""
    found = {}
    for path in sorted(folder.glob("*.onnx")):
        x = np.load(path.with_suffix(".npy"))
        answers = {}
        for name, skip in (("rewritten", ()), ("plain", names("fp32"))):
            out = path.with_suffix(f".{name}.tflite")
            out.write_bytes(convert_graph(rewrite(read_graph(path), "fp32", skip), Settings("fp32")))
            answers[name] = run_tflite(out, x)
        references = (run_onnx(path, x), answers["plain"])
        found[path.stem] = [compare(each, answers["rewritten"]).snr_db for each in references]
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
