"""Which nodes of an ONNX file would not convert to TFLite: the converter's own functions are asked, node by node.

Each node is built in TensorFlow on shapes alone; nothing is converted or run. Behind a node that is refused the trial
goes on from the shape that ONNX infers, so that one file names all of its faults.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.errors import ConversionError
from ofa_edge.export.process import how_it_ended, what_to_try
from ofa_edge.export.tflite.process import run_tensorflow
from ofa_edge.extras import installed


@dataclass(frozen=True)
class Refusal:
    """A node that does not convert.

    Attributes:
        node: its name.
        op: its operator.
        why, hint: what stands against it, and what to try.
        mendable: whether it only computes sizes or waits for some, so that it may convert, or go, once they are known.
    """

    node: str
    op: str
    why: str
    hint: str
    mendable: bool = False


@dataclass(frozen=True)
class Trial:
    """What became of a file's nodes.

    Attributes:
        refused: those that do not convert, in the file's order.
        untried: names of those behind a value of unknown shape.
        tried: whether there is TensorFlow here to ask.
    """

    refused: tuple[Refusal, ...] = ()
    untried: tuple[str, ...] = ()
    tried: bool = True


def try_nodes(paths: Sequence[Path]) -> tuple[Trial, ...]:
    """Try each node of each file, in one process that holds TensorFlow.

    Weights are not read where they lie in files of their own. A free batch size is taken as 1.

    Raises:
        ModelFileError: a file cannot be read.
        ConversionError: the process ended before it had answered.
    """
    if not installed("tensorflow"):
        return (Trial(tried=False),) * len(paths)
    done = run_tensorflow("ofa_edge.export.tflite.trial_worker", [str(path.resolve()) for path in paths])
    if done.returncode:
        raise ConversionError(
            "the process that tries nodes in TensorFlow ended unexpectedly",
            how_it_ended(done),
            what_to_try(done, "check which tensorflow-cpu is installed, and that there is memory for the weights"),
        )
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    return tuple(Trial(tuple(Refusal(**each) for each in one["refused"]), tuple(one["untried"])) for one in facts)
