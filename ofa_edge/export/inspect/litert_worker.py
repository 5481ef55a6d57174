"""A process that loads a TFLite file: `python -m ofa_edge.export.inspect.litert_worker MODEL [profile]`.

It is one of its own because a bad file can end it by a signal. One line of JSON on stdout:

    {"operators": 64, "partitions": 1, "kept": [3], "once": [9], "ms": {"0": 0.12, ...}, "whole_ms": 2.1}
    {"refused": "why"}

`kept` are the operators of the first subgraph that no delegate took, `once` those of them that run when the file is
loaded and never again, `ms` each operator's least time alone, `whole_ms` that of the whole file.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.export.inspect.single_operators import times, whole_ms


def main(arguments: list[str]) -> int:
    """See the module."""
    path = arguments[0]
    try:
        facts = delegation(path)
    except (RuntimeError, ValueError) as error:
        print(json.dumps({"refused": " ".join(str(error).split())}))
        return 0
    if arguments[1:] == ["profile"]:
        facts["ms"] = times(Path(path))
        facts["whole_ms"] = whole_ms(Path(path))
    print(json.dumps(facts))
    return 0


def delegation(path: str) -> dict[str, Any]:
    """How LiteRT runs the first subgraph here, with its default delegate (XNNPACK)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = Interpreter(path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    plain.allocate_tensors()
    total = len(plain._get_ops_details())
    used = Interpreter(path, num_threads=1)
    used.allocate_tensors()
    nodes = used._get_ops_details()
    # The delegate's nodes stand behind the model's own. What a delegate makes is made by it; the rest by the model's
    # operator, if it is needed for an output at all.
    makers = {int(tensor): node for node in nodes for tensor in node["outputs"]}
    needed = [int(each["index"]) for each in used.get_output_details()]
    kept: set[int] = set()
    seen: set[int] = set()
    while needed:
        tensor = needed.pop()
        if tensor in seen or tensor not in makers:
            continue
        seen.add(tensor)
        node = makers[tensor]
        if node["index"] < total:
            kept.add(int(node["index"]))
        needed += [int(each) for each in node["inputs"] if each >= 0]
    once = _run_once(used, [node for node in nodes if node["index"] in kept])
    return {"operators": total, "partitions": len(nodes) - total, "kept": sorted(kept - once), "once": sorted(once)}


def _run_once(interpreter: Any, nodes: list[Any]) -> set[int]:
    """Which of these nodes do not run at an inference: what is written over their results is still there after one."""
    given = {int(each["index"]) for each in interpreter.get_input_details()}
    fixed: list[Any] = []
    computed = {int(tensor) for node in interpreter._get_ops_details() for tensor in node["outputs"]}
    for node in nodes:
        inputs = {int(each) for each in node["inputs"] if each >= 0}
        if inputs and not inputs & (given | computed):
            fixed.append(node)
            computed.difference_update(map(int, node["outputs"]))
    if not fixed:
        return set()
    marked = {int(tensor): _marked(interpreter, int(tensor)) for node in fixed for tensor in node["outputs"]}
    for each in interpreter.get_input_details():
        interpreter.set_tensor(each["index"], np.zeros(each["shape"], each["dtype"]))
    try:
        interpreter.invoke()
    except RuntimeError:  # of zeros: says nothing of the file
        return set()
    still = {tensor for tensor, mark in marked.items() if np.array_equal(interpreter.get_tensor(tensor), mark)}
    return {int(node["index"]) for node in fixed if still.issuperset(map(int, node["outputs"]))}


def _marked(interpreter: Any, tensor: int) -> "np.ndarray[Any, Any]":
    """Other values in a tensor's place; they are returned."""
    view = interpreter.tensor(tensor)
    mark = view().copy().reshape(-1)
    mark = (np.arange(mark.size) % 7 + 3).astype(mark.dtype).reshape(view().shape)
    view()[...] = mark
    return mark


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
