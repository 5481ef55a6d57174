"""Why LiteRT refuses an int8 model: an activation that was 0 on every calibration image has no scale."""

from pathlib import Path
from typing import Any

from ofa_edge.errors import ConversionError
from ofa_edge.export.tflite.flatbuffer import operator_names, unpack

DEAD_SCALE = 1e-8
"""A tensor that is 0 on every calibration image gets the converter's least range, +-1e-6: a scale of 7.8e-9."""


def check_scales(path: Path) -> None:
    """Name an activation that was 0 on every calibration image, in a model that LiteRT did not run.

    The ratio of its neighbours' scales to its own can be more than XNNPACK takes: LiteRT then refuses the model, or
    ends the whole process. Where the ratio is not, such a model runs and is right (a branch whose weights are 0): so
    this is asked only after a failure.

    Raises:
        ConversionError: naming the first such operator and its result.
    """
    model = unpack(path.read_bytes())
    names = operator_names(model)
    for graph in model.subgraphs:
        for number, op in enumerate(graph.operators):
            dead = [each for each in (graph.tensors[index] for index in op.outputs) if _is_dead(each)]
            if dead:
                name = dead[0].name.decode(errors="replace")
                raise ConversionError(
                    f"int8 calibration found nothing but zeros after {names[op.opcodeIndex]}, node {number}",
                    f"'{name}' is 0 on every calibration image, so it has no scale, and LiteRT does not run the model",
                    "calibrate on images of the training data, normalised as in training; if they are, those channels "
                    "of the network are dead and --precision fp16 still works",
                )


def _is_dead(tensor: Any) -> bool:
    quantised = tensor.quantization is not None and tensor.quantization.scale is not None
    return quantised and len(tensor.quantization.scale) == 1 and float(tensor.quantization.scale[0]) < DEAD_SCALE
