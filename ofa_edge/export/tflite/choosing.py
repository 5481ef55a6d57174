"""The fewest layers of an int8 file that have to compute in fp32 for it to keep what was asked for.

Greedy, and every step is measured on a real file: the layer that is blamed most next is taken out of int8 together with
what reads its result, for a result that is rounded on the way costs the same wherever it is computed. In the end each
step that is not missed is taken back.
"""

import platform
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.export.tflite.int8_blame import blame
from ofa_edge.export.tflite.loss import Exact
from ofa_edge.export.tflite.mixed import mixed
from ofa_edge.export.tflite.pair import MOVES, Pair
from ofa_edge.export.tflite.running import answers_of, started
from ofa_edge.metrics import top1
from ofa_edge.records.mixed import MixedRecord, MixedStep
from ofa_edge.vocabulary import Allowed

STEPS = 24
ROUNDS = 30


def choose(
    pair: Pair, images: NDArray[np.float32], labels: NDArray[np.int64] | None, allowed: Allowed
) -> tuple[bytes, MixedRecord]:
    """Take layers out of int8 until the file keeps what is allowed.

    Args:
        pair: the int8 file and its twin.
        images: [N, C, H, W] float32, normalised; to choose by, so not those that the build is judged on.
        labels: [N]; None where they mean nothing, and then `allowed` has to be in dB.
        allowed: what the answers may lose; each of several outputs.

    Returns:
        The file, without metadata, and the account of the choice.
    """
    exact = Exact.of(pair, images)

    def measured(floats: Collection[int]) -> tuple[float, float | None]:
        answers = answers_of(mixed(pair, floats), images)
        drop = None if labels is None else top1(exact.answers, labels) - top1(answers, labels)
        return exact.snr_db(answers), drop

    blamed = blame(pair, images, labels)
    layers, floats = pair.layers, set[int]()
    steps, freed = list[MixedStep](), list[set[int]]()
    found = measured(floats)
    for layer in (each.layer for each in blamed.layers if each.layer in layers):
        if allowed.keeps(*found) or len(steps) == STEPS:
            break
        more = _with_readers(pair, layers[layer]) - floats
        if not more:
            continue
        floats |= more
        freed.append(more)
        found = measured(floats)
        names = dict.fromkeys((layer, *(pair.sources[place][0] for place in sorted(more))))
        steps.append(MixedStep(layers=tuple(names), operators=len(floats), snr_db=found[0], top1_drop=found[1]))
    reached = allowed.keeps(*found)
    if reached:
        for more in freed[:-1]:  # put back what is not missed
            if allowed.keeps(*measured(floats - more)):
                floats -= more
        found = measured(floats)
    content, int8 = mixed(pair, floats), pair.packed()
    record = MixedRecord(
        asked=allowed.words,
        images=len(images),
        reached=reached,
        blame=blamed,
        steps=tuple(steps),
        kept=tuple(dict.fromkeys(pair.sources[place][0] for place in sorted(floats))),
        operators=len(floats),
        of_operators=len(pair.names),
        snr_db=found[0],
        top1_drop=found[1],
        int8_size=len(int8),
        size=len(content) if floats else len(int8),
        ratio=time_ratio(content, int8) if floats else None,
        machine=platform.machine() if floats else "",
    )
    return content if floats else int8, record


def time_ratio(content: bytes, other: bytes, rounds: int = ROUNDS) -> float:
    """Time of one inference over that of another file, on this machine, one thread: median over rounds in turn."""
    ratios = []
    with tempfile.TemporaryDirectory(prefix="ofa-edge-turns-") as folder:
        runs = []
        for place, each in enumerate((content, other)):
            path = Path(folder) / f"{place}.tflite"
            path.write_bytes(each)
            runs.append(started(path))
        for number in range(rounds + 3):
            spent = [_seconds(run) for run in (runs if number % 2 else runs[::-1])]
            first, second = spent if number % 2 else spent[::-1]
            ratios.append(first / second)
    return float(np.median(ratios[3:]))


def _seconds(interpreter: Any) -> float:
    """CPU seconds of the quickest of a few inferences: long enough for the clock, short enough to take turns."""
    least = np.inf
    for _ in range(5):
        start = time.thread_time_ns()
        interpreter.invoke()
        least = min(least, (time.thread_time_ns() - start) / 1e9)
    return float(max(least, 1e-9))


def _with_readers(pair: Pair, places: Collection[int]) -> set[int]:
    """A layer's operators and those that read what it gives, through what only moves values."""
    readers, found = pair.readers(), set(places)
    front = [int(pair.graph.operators[place].outputs[0]) for place in places]
    while front:
        for place in readers.get(front.pop(), ()):
            if place not in found:
                found.add(place)
                if pair.names[place] in MOVES:
                    front.append(int(pair.graph.operators[place].outputs[0]))
    return found
