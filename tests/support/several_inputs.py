"""Networks of several inputs, made here: a change detector, an image with conditions, tokens with a mask."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT


def save_network(path, nodes, inputs, outputs, **weights) -> Path:
    """Write a network of nodes (operator, inputs, outputs, attributes), of inputs and outputs (name, kind, shape)."""
    graph = helper.make_graph(
        [
            helper.make_node(op, ins, outs, f"{op.lower()}{place}", **facts)
            for place, (op, ins, outs, facts) in enumerate(nodes)
        ],
        "several",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def save_change_detector(path, size=16, batch="N") -> Path:
    """Two images through one layer, their difference squared and weighed: a map of change. Which is which matters."""
    rng = np.random.default_rng(0)
    w = rng.normal(0, 0.4, (4, 3, 3, 3)).astype(np.float32)
    v = rng.normal(0, 0.5, (1, 4, 1, 1)).astype(np.float32)
    image = (batch, 3, size, size)
    conv = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
    nodes = [
        ("Conv", ["after", "w"], ["a"], conv),
        ("Relu", ["a"], ["ra"], {}),
        ("Conv", ["before", "w"], ["b"], conv),
        ("Relu", ["b"], ["rb"], {}),
        ("Sub", ["ra", "rb"], ["d"], {}),
        ("Conv", ["d", "v"], ["change"], {}),
    ]
    inputs = [("before", FLOAT, image), ("after", FLOAT, image)]
    return save_network(path, nodes, inputs, [("change", FLOAT, None)], w=w, v=v)


def save_conditioned(path, size=16) -> Path:
    """An image, a vector of conditions and, without a batch, two sizes that scale it: logits of three classes."""
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.normal(0, 0.4, (4, 3, 3, 3)).astype(np.float32),
        "g": rng.normal(0, 0.5, (4, 6)).astype(np.float32),
        "c": rng.normal(0, 0.5, (5, 6)).astype(np.float32),
        "h": rng.normal(0, 0.5, (8, 3)).astype(np.float32),
    }
    nodes = [
        ("Conv", ["image", "w"], ["a"], {"strides": [2, 2]}),
        ("Relu", ["a"], ["r"], {}),
        ("GlobalAveragePool", ["r"], ["p"], {}),
        ("Flatten", ["p"], ["f"], {}),
        ("MatMul", ["f", "g"], ["fg"], {}),
        ("MatMul", ["conditions", "c"], ["cc"], {}),
        ("Add", ["fg", "cc"], ["s"], {}),
        ("Relu", ["s"], ["t"], {}),
        ("Reshape", ["sizes", "row"], ["sr"], {}),
        ("Concat", ["t", "sr"], ["u"], {"axis": 1}),
        ("MatMul", ["u", "h"], ["logits"], {}),
    ]
    inputs = [
        ("image", FLOAT, ("N", 3, size, size)),
        ("conditions", FLOAT, ("N", 5)),
        ("sizes", FLOAT, (2,)),
    ]
    outputs = [("logits", FLOAT, None)]
    return save_network(path, nodes, inputs, outputs, row=np.array([1, 2], np.int64), **weights)


def save_reader(path, length=8, words=50) -> Path:
    """Tokens and a mask of whole numbers: a mean of the embeddings that the mask leaves, and a layer on it."""
    rng = np.random.default_rng(2)
    weights = {
        "table": rng.normal(0, 1, (words, 6)).astype(np.float32),
        "h": rng.normal(0, 0.5, (6, 4)).astype(np.float32),
        "last": np.array([2], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        ("Gather", ["table", "tokens"], ["e"], {}),
        ("Cast", ["mask"], ["m"], {"to": FLOAT}),
        ("Unsqueeze", ["m", "last"], ["mm"], {}),
        ("Mul", ["e", "mm"], ["em"], {}),
        ("ReduceSum", ["em", "one"], ["sum"], {"keepdims": 0}),
        ("ReduceSum", ["m", "one"], ["count"], {"keepdims": 1}),
        ("Div", ["sum", "count"], ["mean"], {}),
        ("MatMul", ["mean", "h"], ["scores"], {}),
    ]
    inputs = [("tokens", INT64, ("N", length)), ("mask", INT64, ("N", length))]
    return save_network(path, nodes, inputs, [("scores", FLOAT, None)], **weights)


def change_samples(count=24, size=16, seed=0) -> dict[str, np.ndarray]:
    """Pairs for the change detector, the second twice as wide in range as the first."""
    rng = np.random.default_rng(seed)
    shape = (count, 3, size, size)
    return {"before": rng.normal(0, 1, shape).astype(np.float32), "after": rng.normal(0, 2, shape).astype(np.float32)}


def conditioned_samples(count=24, size=16, seed=0) -> dict[str, np.ndarray]:
    """Samples for the network with conditions, and labels of three classes."""
    rng = np.random.default_rng(seed)
    return {
        "image": rng.normal(0, 1, (count, 3, size, size)).astype(np.float32),
        "conditions": rng.normal(0, 1, (count, 5)).astype(np.float32),
        "sizes": rng.uniform(0, 3, (count, 2)).astype(np.float32),
    }


def reader_samples(count=24, length=8, words=50, seed=0) -> dict[str, np.ndarray]:
    """Samples for the reader: tokens anywhere among its words, the first always left by the mask."""
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 2, (count, length))
    mask[:, 0] = 1
    return {"tokens": rng.integers(0, words, (count, length)), "mask": mask}


def answers_by_hand(path, samples) -> np.ndarray:
    """What ONNX Runtime says of the file as it is, [N, values], every input given under its name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows = []
    for at in range(len(next(iter(samples.values())))):
        feed = {
            each.name: samples[each.name][at] if each.name == "sizes" else samples[each.name][at : at + 1]
            for each in session.get_inputs()
        }
        rows.append(np.concatenate([each.reshape(-1) for each in session.run(None, feed)]))
    return np.stack(rows)
