"""A process that loads a TFLite file: `python -m ofa_edge.export.inspect.litert_worker MODEL [profile]`.

It is one of its own because a bad file can end it by a signal. One line of JSON on stdout:

    {"operators": 64, "partitions": 1, "kept": [3, 9], "ms": {"0": 0.12, ...}}     or     {"refused": "why"}

`kept` are the operators of the first subgraph that no delegate took, `ms` each operator's least time alone.
"""

import json
import sys
from pathlib import Path
from typing import Any

from ofa_edge.export.inspect.single_operators import times


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
    return {"operators": total, "partitions": len(nodes) - total, "kept": sorted(kept)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
