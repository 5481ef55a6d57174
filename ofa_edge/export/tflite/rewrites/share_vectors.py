"""Quantised files: equal vectors are written once.

Each tensor with a scale per channel carries one zero point per channel, 8 bytes each and 0 throughout: in a small
network they are a sixth of the file. A flatbuffer may point at one vector from many places, which the converter never
does.

Given::

    tensor 1: zero_point -> [0] * 96             tensor 2: zero_point -> another [0] * 96

Result::

    tensor 1: zero_point -> [0] * 96  <-  zero_point of tensor 2

The same model to every reader; constants (buffers) are left as they are. It is a rewrite of the file's bytes alone.
"""

from collections.abc import Callable

from ofa_edge.export.tflite.flatbuffer import pack, unpack


def share_vectors(converted: bytes, plain: Callable[[], bytes]) -> bytes:
    """Write the same model with equal vectors shared.

    Args:
        converted: any TFLite file.
        plain: not looked at.
    """
    del plain
    return pack(unpack(converted))
