"""The accuracy pass: what an artifact answers to every image, in one process of the device where that is hardware."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.protocol import Connection, Fingerprint

T = TypeVar("T")
_MOST_SHARDS = 8


@dataclass(frozen=True)
class AccuracyPass:
    """Logits [N, classes] of all inputs, what the runner said about itself, and the wall time of the whole pass."""

    outputs: NDArray[np.float32]
    facts: dict[str, Any]
    wall_ms: float


def accuracy_pass(artifact: OpenArtifact) -> AccuracyPass:
    """Run the artifact over all inputs of its request; images are batched in one process, never one process each.

    Raises:
        DeviceError: the device was lost, restarted, too slow, or its program failed.
    """
    connection = artifact.connection
    start = time.monotonic()
    parts = np.array_split(artifact.request.inputs, _shards(artifact.fingerprint, len(artifact.request.inputs)))

    def answer(index: int) -> tuple[NDArray[np.float32], dict[str, Any]]:
        inputs, outputs = f"inputs-{index}", f"outputs-{index}"
        artifact.push_inputs(inputs, parts[index])
        facts = artifact.run(artifact.call(inputs, outputs))
        return artifact.pull_outputs(outputs, len(parts[index])), facts

    answers = side_by_side(answer, len(parts), connection)
    artifact.check_boot()
    wall_ms = (time.monotonic() - start) * 1e3
    return AccuracyPass(np.concatenate([logits for logits, _ in answers]), answers[0][1], wall_ms)


def _shards(device: Fingerprint, images: int) -> int:
    """Emulation is slow and one program uses one core: several share the images. Results do not depend on it."""
    if device.device_kind != "emulated":
        return 1
    return max(1, min(_MOST_SHARDS, len(os.sched_getaffinity(0)), device.cores, images // 16))


def side_by_side(task: Callable[[int], T], count: int, connection: Connection) -> list[T]:
    """`task(0)`, `task(1)`, ... at the same time; if one fails, or on Ctrl-C, the others are stopped."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(task, index) for index in range(count)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            connection.abort()
            raise
