"""Which node it is, where a network does not convert or its file answers otherwise. Runs in the worker's process."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import OfaEdgeError
from ofa_edge.export.onnx.graph import Graph
from ofa_edge.export.onnx.nodes import Node
from ofa_edge.export.onnx.part import run_values
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.converter import Settings, convert_graph, convert_values, known_values, refuses
from ofa_edge.export.tflite.rewrites import names, rewrite
from ofa_edge.export.tflite.running import laid_out
from ofa_edge.metrics import power


def smallest_refused(graph: Graph, settings: Settings) -> tuple[Node, ...]:
    """The fewest nodes in a row that the converter still refuses by themselves: mostly one. Empty where none is found.

    Nodes are tried one by one, alike ones once; where each converts alone, from both ends of the graph by halving.
    """
    known = known_values(graph)
    seen = set()
    for node in graph.nodes:
        sizes = tuple(known[name].shape if name in known else name for name in node.inputs)
        if (alike := (node.op, repr(node.attributes), sizes)) not in seen:
            seen.add(alike)
            if refuses(graph, [node], known, settings):
                return (node,)
    if not refuses(graph, graph.nodes, known, settings):
        return ()
    low, high = 0, len(graph.nodes)  # the shortest beginning that is refused
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refuses(graph, graph.nodes[:middle], known, settings) else (middle, high)
    end, first, last = high, 0, high
    while last - first > 1:  # of that, the shortest end
        middle = (first + last) // 2
        first, last = (middle, last) if refuses(graph, graph.nodes[middle:end], known, settings) else (first, middle)
    return graph.nodes[first:end]


def first_that_differs(
    onnx_path: Path, graph: Graph, image: NDArray[np.float32], least_db: float
) -> tuple[Node, str] | None:
    """The first node of a graph whose result in a TFLite file is not ONNX Runtime's, and how it differs."""
    wanted = run_values(onnx_path, [node.output for node in graph.nodes], image)
    nodes = [node for node in graph.nodes if node.output in wanted]
    with tempfile.TemporaryDirectory(prefix="ofa-edge-blame-") as folder:
        path = Path(folder) / "values.tflite"
        path.write_bytes(convert_values(graph, [node.output for node in nodes]))
        found = _values(path, image, len(nodes))
    for node, value in zip(nodes, found, strict=True):
        right = wanted[node.output]
        if value.shape != right.shape:
            return node, f"{list(value.shape)} for {list(right.shape)}"
        if np.isfinite(right).all() and not (near := quiet_db(right, value)) >= least_db:
            return node, f"{near:.1f} dB"
    return None


def blame_rewrite(
    graph: Graph, settings: Settings, image: NDArray[np.float32], wanted: NDArray[np.float32], least: float | None
) -> str | None:
    """The one rewrite without which the answer is right, if there is one."""
    for name in names(settings.precision):
        without = (*settings.skip, name)
        with tempfile.TemporaryDirectory(prefix="ofa-edge-blame-") as folder:
            path = Path(folder) / "without.tflite"
            try:
                changed = Settings(settings.precision, without, settings.images)
                path.write_bytes(convert_graph(rewrite(graph, settings.precision, without), changed))
                answer = run_tflite(path, image)
            except (OfaEdgeError, RuntimeError, ValueError):
                continue
        if answer.shape == wanted.shape and (least is None or quiet_db(wanted, answer) >= least):
            return name
    return None


def quiet_db(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Signal over noise, in dB; infinite where nothing differs, -infinity where all is noise."""
    noise, signal = power(wanted - found), power(wanted)
    if not noise:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal else float("-inf")


def _values(path: Path, image: NDArray[np.float32], count: int) -> Sequence[NDArray[np.float32]]:
    """The outputs of a file of `convert_values`, in order."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(path), num_threads=1).get_signature_runner()
    details = run.get_input_details()
    order = sorted(details)
    given = run(**dict(zip(order, laid_out(image[0], [details[name]["shape"] for name in order]), strict=True)))
    return [given[str(at)] for at in range(count)]
