"""Two ways to lose less in int8, as they were tried.

    python benchmarks/int8_tried.py            # adds them to the page that `int8.py table` prints; resumes

Both start from the int8 files that builds make (ranges fitted), on the first subnets of `int8.py`:

- *equalised* (Nagel et al., ICCV 2019, section 4.1): channels between a ReLU layer and the depthwise convolutions that
  read it are scaled towards one range, by half of what is missing; the weights' integers stay, their scales change;
- *bias corrected* (the same, section 4.2, measured on 100 calibration images): layer after layer the mean error of each
  channel is taken off the bias.
"""

import json
import sys
import tempfile
from pathlib import Path

import int8
import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.export.tflite.convert import convert, convert_twin
from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.pair import WEIGHTED, Pair, constant, pair_up, scale_of, set_constant
from ofa_edge.export.tflite.rewrites import FITTED
from ofa_edge.export.tflite.rewrites.fit_ranges import fit_ranges
from ofa_edge.export.tflite.running import answers_of, dequantise, watch
from ofa_edge.files import write_json
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.verify.parity import compare

SUBNETS, IMAGES, MOST = 3, 100, 16.0
RELU, RELU6 = 1, 3


def equalised(pair: Pair, images: NDArray[np.float32]) -> tuple[bytes, bytes]:
    """(int8 file, twin) whose ReLU layers before depthwise convolutions have channels of more equal range."""
    twins, readers, operators = pair.twins(), pair.readers(), pair.graph.operators
    largest = {}
    made = [int(op.outputs[0]) for op in operators]
    for values in watch(pair.packed_twin(), images, [twins[each] for each in made]):
        for tensor, found in zip(made, values, strict=True):
            peak = np.abs(found).reshape(-1, found.shape[-1]).max(0)
            largest[tensor] = np.maximum(largest.get(tensor, 0), peak)
    for place, op in enumerate(operators):
        front, after = [int(op.outputs[0])], list[int]()
        while front:
            for reader in readers.get(front.pop(), ()):
                (front if pair.names[reader] == "PAD" else after).append(
                    int(operators[reader].outputs[0]) if pair.names[reader] == "PAD" else reader
                )
        homogeneous = pair.names[place] in WEIGHTED and op.builtinOptions.fusedActivationFunction in (0, RELU)
        if homogeneous and after and all(pair.names[each] == "DEPTHWISE_CONV_2D" for each in after):
            peaks = largest[int(op.outputs[0])]
            factor = np.minimum((peaks.max() / np.maximum(peaks, 1e-9)) ** 0.5, MOST)
            _scale(pair, place, factor, with_bias=True)
            for each in after:
                _scale(pair, each, 1 / factor, with_bias=False)
    return pair.packed(), pair.packed_twin()


def _scale(pair: Pair, place: int, factor: NDArray[np.float64], with_bias: bool) -> None:
    op, partner = pair.graph.operators[place], pair.twin.operators[place]
    stored = pair.graph.tensors[op.inputs[1]].quantization
    stored.scale = (np.asarray(stored.scale, np.float64) * factor).astype(np.float32)
    weights = pair.twin.tensors[partner.inputs[1]]
    values = constant(pair.plain, weights)
    along = -1 if pair.names[place] == "DEPTHWISE_CONV_2D" else 0
    shape = [1] * values.ndim
    shape[along] = -1
    set_constant(pair.plain, weights, (values * factor.reshape(shape)).astype(np.float32))
    if with_bias and partner.inputs[2] >= 0:
        bias = pair.twin.tensors[partner.inputs[2]]
        set_constant(pair.plain, bias, (constant(pair.plain, bias) * factor).astype(np.float32))


def corrected(pair: Pair, images: NDArray[np.float32]) -> bytes:
    """The int8 file with the mean error of each channel taken off its bias, layer after layer."""
    twins = pair.twins()
    for place, op in enumerate(pair.graph.operators):
        if pair.names[place] not in WEIGHTED or len(op.inputs) < 3 or op.inputs[2] < 0:
            continue
        made = int(op.outputs[0])
        scale, zero = scale_of(pair.graph.tensors[made])
        ends = (-128 - zero) * scale, (127 - zero) * scale
        floats = [each[0].copy() for each in watch(pair.packed_twin(), images, [twins[made]])]
        wanted = np.concatenate(floats).reshape(-1, floats[0].shape[-1])
        found = np.concatenate([dequantise(each[0], scale, zero) for each in watch(pair.packed(), images, [made])])
        gap = (wanted.clip(*ends) - found.reshape(wanted.shape)).mean(0)
        act = op.builtinOptions.fusedActivationFunction
        if act in (RELU, RELU6):  # where it is cut off, a bias moves nothing
            moved = (wanted > 0) & (wanted < (6 if act == RELU6 else np.inf))
            gap /= np.maximum(moved.mean(0), 0.2)
        bias = pair.graph.tensors[op.inputs[2]]
        steps = np.rint(gap / np.asarray(bias.quantization.scale, np.float64))
        set_constant(pair.quantised, bias, (constant(pair.quantised, bias) + steps).astype(np.int32))
    return pair.packed()


def main() -> None:
    """Measure what is not there yet, on the test images."""
    package = open_supernet("fashion-mnist")
    tried = json.loads(int8.TRIED.read_text()) if int8.TRIED.exists() else []
    for subnet in int8.subnets(package)[len(tried) : SUBNETS]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            onnx, inputs = int8.exported(package, subnet, folder)
            convert(onnx, folder / "plain.tflite", "int8", inputs["calibration"], FITTED)
            convert_twin(onnx, folder / "twin.tflite")
            exact = run_onnx(onnx, inputs["test"])
            plain, twin = ((folder / f"{each}.tflite").read_bytes() for each in ("plain", "twin"))
        fitted = fit(plain, lambda twin=twin: twin, inputs["calibration"], [fit_ranges])
        images = inputs["calibration"][:IMAGES]
        equal, its_twin = equalised(pair_up(plain, twin), images)
        made = {
            "fitted": fitted,
            "equalised": fit(equal, lambda its_twin=its_twin: its_twin, inputs["calibration"], [fit_ranges]),
            "corrected": corrected(pair_up(fitted, twin), images),
        }
        row = {each: compare(exact, answers_of(content, inputs["test"])).snr_db for each, content in made.items()}
        tried.append({"subnet": subnet.id, **row})
        write_json(int8.TRIED, tried)
        print(tried[-1], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
