"""Which layers of an int8 TFLite file cost how much: each rounded alone, in LiteRT, on real images.

For each layer the fp32 network is run with that layer's weights as the int8 file stores them and its result rounded to
the int8 file's steps (`mixed.probe`). All layers rounded so at once give the int8 file's own answers, but for single
steps of its integer arithmetic: nothing is estimated.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import DataError
from ofa_edge.export.onnx.graph import read_graph
from ofa_edge.export.tflite.convert import convert_twin
from ofa_edge.export.tflite.loss import Exact
from ofa_edge.export.tflite.mixed import INPUT, probe
from ofa_edge.export.tflite.pair import Pair, open_pair
from ofa_edge.export.tflite.rewrites import rewrite
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.metrics import snr_db, top1
from ofa_edge.records.blame import BlameRecord, LayerBlame


def pair_of(tflite: Path, onnx: Path) -> Pair:
    """An int8 file of `convert.convert` beside its network in fp32, which is converted anew.

    Raises:
        ModelFileError: it is not the int8 form of that network.
        ConversionError: see `convert.convert`.
    """
    graph = read_graph(onnx)
    with tempfile.TemporaryDirectory(prefix="ofa-edge-twin-") as folder:
        twin = Path(folder) / "twin.tflite"
        convert_twin(onnx, twin)
        nodes = [node.name for node in rewrite(graph, "int8").nodes]
        return open_pair(tflite, twin, nodes, [node.name for node in graph.nodes])


def blame(pair: Pair, images: NDArray[np.float32], labels: NDArray[np.int64] | None = None) -> BlameRecord:
    """Round one layer after the other.

    Args:
        pair: the int8 file and its twin.
        images: [N, C, H, W] float32, normalised.
        labels: [N]; None where they mean nothing.

    Returns:
        Of several outputs decibels are those of the worst, and a layer's share is the mean of its shares in each.

    Raises:
        DataError: no images.
    """
    if not len(images):
        raise DataError("no images to blame layers on", "0 images", "give a folder of images with --data")
    exact = Exact.of(pair, images)
    right = None if labels is None else top1(exact.answers, labels)

    def drop(answers: NDArray[np.float32]) -> float | None:
        return None if labels is None or right is None else right - top1(answers, labels)

    whole = answers_of(pair.packed(), images)
    total = exact.noise(whole)
    found = []
    for name, places in (("input", (INPUT,)), *pair.layers.items()):
        answers = answers_of(probe(pair, places), images)
        operators = tuple(pair.names[place] for place in places if place != INPUT)
        share = exact.noise(answers) / total if total else 0.0
        near = exact.snr_db(answers)
        found.append(LayerBlame(layer=name, operators=operators, snr_db=near, share=share, top1_drop=drop(answers)))
    return BlameRecord(
        images=len(images),
        snr_db=exact.snr_db(whole),
        added_db=snr_db(1.0, total * sum(each.share for each in found)),
        top1_drop=drop(whole),
        layers=tuple(sorted(found, key=lambda each: -each.share)),
    )
