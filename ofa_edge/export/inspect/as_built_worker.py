"""The process that prepares a file: `python -m ofa_edge.export.inspect.as_built_worker ONNX OUT BYTES [SHAPE]`.

See `as_built`. One line of JSON on stdout: `{"changes": [...]}`, or `{"refused": "...", "hint": "..."}`.
"""

import json
import sys
from pathlib import Path

from ofa_edge.errors import OfaEdgeError
from ofa_edge.export.onnx.given import read_given
from ofa_edge.export.onnx.prepare import prepare_here

_ROOM = 4 * 2**30  # bytes, beside the weights: a file may ask for any amount
_COPIES = 8


def main(arguments: list[str]) -> int:
    """See the module."""
    path, out, size, shape = arguments
    _limit(_ROOM + _COPIES * int(size))
    try:
        given = read_given(Path(path), shape or None)
        facts: dict[str, object] = {"changes": prepare_here(given, Path(out))}
    except OfaEdgeError as error:
        facts = {"refused": f"{error.what}: {error.why}", "hint": error.hint}
    print(json.dumps(facts))
    return 0


def _limit(most: int) -> None:
    """Let this process ask for so many bytes of its own; elsewhere than on Linux there is no such limit."""
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (least, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
