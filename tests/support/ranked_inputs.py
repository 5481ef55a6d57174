"""Networks whose inputs are no images, made here: a signal, a row of numbers, bytes, and a recurrent layer's states."""

from pathlib import Path

import numpy as np
from onnx import TensorProto
from several_inputs import save_network

FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32
LENGTH, WIDTH, BYTES, KINDS, STEP, HIDDEN = 200, 12, 16, 20, 6, 4


def _normal(seed, deviation, *shape) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, deviation, shape).astype(np.float32)


def save_signal(path, length=LENGTH, batch="N") -> Path:
    """A signal [N, length, 1], as Keras has it, through two convolutions: five logits."""
    nodes = [
        (
            "Transpose",
            [
                "wave",
            ],
            ["lines"],
            {"perm": [0, 2, 1]},
        ),
        ("Conv", ["lines", "w", "b"], ["a"], {"strides": [2], "pads": [3, 3]}),
        ("Relu", ["a"], ["ra"], {}),
        ("Conv", ["ra", "v"], ["c"], {"strides": [2], "pads": [1, 1]}),
        ("Relu", ["c"], ["rc"], {}),
        ("GlobalAveragePool", ["rc"], ["p"], {}),
        ("Flatten", ["p"], ["f"], {}),
        ("MatMul", ["f", "h"], ["logits"], {}),
    ]
    weights = {"w": _normal(0, 0.4, 8, 1, 7), "b": _normal(1, 0.2, 8), "v": _normal(2, 0.3, 6, 8, 3)}
    ends = [("wave", FLOAT, (batch, length, 1))], [("logits", FLOAT, None)]
    return save_network(path, nodes, *ends, h=_normal(3, 0.6, 6, 5), **weights)


def save_row(path, batch="N") -> Path:
    """A row of numbers [N, 12] through three layers; what is exactly 0 counts as 0.05, which int8 may mistake."""
    nodes = [
        ("Equal", ["row", "zero"], ["is0"], {}),
        ("Where", ["is0", "little", "row"], ["safe"], {}),
        ("Gemm", ["safe", "w", "b"], ["a"], {}),
        ("Relu", ["a"], ["ra"], {}),
        ("Gemm", ["ra", "v"], ["c"], {}),
        ("Neg", ["c"], ["n"], {}),
        ("MatMul", ["n", "h"], ["logits"], {}),
    ]
    weights = {"w": _normal(4, 0.3, WIDTH, 16), "b": _normal(5, 0.2, 16), "v": _normal(6, 0.3, 16, 8)}
    numbers = {"zero": np.float32(0), "little": np.float32(0.05), "h": _normal(7, 0.4, 8, 5)}
    return save_network(path, nodes, [("row", FLOAT, (batch, WIDTH))], [("logits", FLOAT, None)], **weights, **numbers)


def save_bytes(path) -> Path:
    """Bytes [N, 16] of whole numbers, one of 20 kinds each, as ones among zeros; the mean of a layer on them."""
    nodes = [
        ("Unsqueeze", ["bytes", "last"], ["column"], {}),
        ("Equal", ["column", "kinds"], ["same"], {}),
        ("Cast", ["same"], ["hot"], {"to": FLOAT}),
        ("MatMul", ["hot", "w"], ["e"], {}),
        ("Tanh", ["e"], ["t"], {}),
        ("ReduceMean", ["t"], ["m"], {"axes": [1], "keepdims": 0}),
        ("MatMul", ["m", "h"], ["logits"], {}),
    ]
    weights = {"last": np.array([2], np.int64), "kinds": np.arange(KINDS, dtype=np.int32)}
    ends = [("bytes", INT32, ("N", BYTES))], [("logits", FLOAT, None)]
    return save_network(path, nodes, *ends, w=_normal(8, 0.8, KINDS, 6), h=_normal(9, 0.6, 6, 5), **weights)


def save_recurrent(path) -> Path:
    """A step [N, 6] of a recurrent layer both ways, with its states [2, N, 4]: what it says, and the new states."""
    nodes = [
        ("Unsqueeze", ["step", "first"], ["sequence"], {}),
        (
            "LSTM",
            ["sequence", "w", "r", "b", "", "h", "c"],
            ["y", "hn", "cn"],
            {"hidden_size": HIDDEN, "direction": "bidirectional"},
        ),
        ("Reshape", ["y", "flat"], ["f"], {}),
        ("MatMul", ["f", "head"], ["said"], {}),
    ]
    weights = {
        "w": _normal(10, 0.4, 2, 4 * HIDDEN, STEP),
        "r": _normal(11, 0.4, 2, 4 * HIDDEN, HIDDEN),
        "b": _normal(12, 0.2, 2, 8 * HIDDEN),
        "head": _normal(13, 0.5, 2 * HIDDEN, 3),
        "first": np.array([0], np.int64),
        "flat": np.array([1, -1], np.int64),
    }
    state = (2, "N", HIDDEN)
    inputs = [("step", FLOAT, ("N", STEP)), ("h", FLOAT, state), ("c", FLOAT, state)]
    outputs = [(name, FLOAT, None) for name in ("said", "hn", "cn")]
    return save_network(path, nodes, inputs, outputs, **weights)


def ranked_samples(name, count=24) -> dict[str, np.ndarray]:
    """Samples for one of the networks, by the arrays of a .npz file."""
    random = np.random.default_rng(20)
    if name == "bytes":
        return {"inputs": random.integers(0, KINDS, (count, BYTES)).astype(np.int32)}
    shapes = {
        "signal": {"inputs": (LENGTH, 1)},
        "row": {"inputs": (WIDTH,)},
        "recurrent": {"step": (STEP,), "h": (2, 1, HIDDEN), "c": (2, 1, HIDDEN)},
    }
    found = {each: random.normal(size=(count, *shape)).astype(np.float32) for each, shape in shapes[name].items()}
    if name == "row":
        found["inputs"][:, 3] = 0
    return found


SAVED = {"signal": save_signal, "row": save_row, "bytes": save_bytes, "recurrent": save_recurrent}
