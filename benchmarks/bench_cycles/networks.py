"""The networks of the published times as TFLite files with random weights, on which no time depends.

MobileNets as published have "same" padding and ReLU6; a file of one width is run at every size. int8 files have a
scale for each channel, where those that were measured have one for each tensor. MACs are held against the project's own
lists.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import published_nets as nets

from ofa_edge.cost import Operator, well_known
from ofa_edge.files import write_bytes
from ofa_edge.space import make_divisible

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_LARGEST = 224
_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
_V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclass(frozen=True)
class Network:
    """One network of the published times: a MobileNet, or one of NAS-Bench-201 by its string."""

    family: str  # v1, v2, nasbench201
    precision: str
    size: int
    width: float = 1.0
    architecture: str = ""

    @property
    def operators(self) -> Sequence[Operator]:
        """The project's own list."""
        if self.architecture:
            return nets.nasbench201(self.architecture)
        make = nets.mobilenet_v1 if self.family == "v1" else well_known.mobilenet_v2
        return make(self.width, self.size)

    def file(self, folder: Path, name: str) -> Path:
        """The file, made where it is not there yet: one for all sizes of a MobileNet."""
        path = folder / f"{name if self.architecture else f'{self.family}-{self.width}-{self.precision}'}.tflite"
        if not path.is_file():
            size = self.size if self.architecture else _LARGEST
            model = _nasbench(self.architecture) if self.architecture else _mobilenet(self.family, self.width, size)
            listed = Network(self.family, self.precision, size, self.width, self.architecture).operators
            # a classifier on a pooled map; NAS-Bench's blocks of stride 2 pool on the shortcut, as the list has it
            if _macs(model) != sum(each.macs for each in listed):
                raise ValueError(f"{name}: {_macs(model)} MACs built, {sum(each.macs for each in listed)} listed")
            write_bytes(path, _converted(model, self.precision))
        return path


def _mobilenet(family: str, width: float, size: int) -> Any:
    from tensorflow.keras import Input, Model, layers

    def conv(x: Any, out: int, kernel: int = 1, stride: int = 1, *, active: bool = True) -> Any:
        return layers.Conv2D(out, kernel, stride, "same", activation="relu6" if active else None)(x)

    def depthwise(x: Any, stride: int) -> Any:
        return layers.DepthwiseConv2D(3, stride, "same", activation="relu6")(x)

    image = Input((size, size, 3), batch_size=1)
    if family == "v1":
        x = conv(image, max(8, int(32 * width)), 3, 2)
        for out, stride in _V1:
            x = conv(depthwise(x, stride), max(8, int(out * width)))
    else:
        x = conv(image, make_divisible(32 * width), 3, 2)
        for expand, out, repeats, stride in _V2:
            for index in range(repeats):
                entered = x
                x = conv(x, x.shape[-1] * expand) if expand > 1 else x
                x = conv(depthwise(x, 1 if index else stride), make_divisible(out * width), active=False)
                x = layers.Add()([entered, x]) if index else x
        x = conv(x, make_divisible(1280 * max(1.0, width)))
    x = layers.GlobalAveragePooling2D()(x)
    return Model(image, layers.Dense(1001, activation="softmax")(x))


def _nasbench(architecture: str) -> Any:
    from tensorflow.keras import Input, Model, layers

    def edge(x: Any, operation: str, channels: int, stride: int = 1) -> Any:
        if operation == "avg_pool_3x3":
            return layers.AveragePooling2D(3, 1, "same")(x)
        kernel = {"nor_conv_3x3": 3, "nor_conv_1x1": 1}.get(operation)
        return x if kernel is None else layers.Conv2D(channels, kernel, stride, "same")(layers.ReLU()(x))

    def summed(states: list[Any]) -> Any:
        return states[0] if len(states) == 1 else layers.Add()(states)

    image = Input((32, 32, 3), batch_size=1)
    x = layers.Conv2D(16, 3, 1, "same")(image)
    for stage, channels in enumerate((16, 32, 64)):
        if stage:
            deep = edge(edge(x, "nor_conv_3x3", channels, 2), "nor_conv_3x3", channels)
            x = summed([deep, layers.Conv2D(channels, 1)(layers.AveragePooling2D(2, 2, "same")(x))])
        for _ in range(5):
            states = [x]
            for node in architecture.split("+"):
                edges = [each.split("~") for each in node.strip("|").split("|")]
                states.append(summed([edge(states[int(at)], op, channels) for op, at in edges if op != "none"]))
            x = states[-1]
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return Model(image, layers.Dense(10)(x))


def _macs(model: Any) -> int:
    """From the shapes of Keras: another count than that of the project's lists."""
    total = 0
    for layer in model.layers:
        if getattr(layer, "kernel", None) is not None:
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total


def _converted(model: Any, precision: str) -> bytes:
    import numpy as np
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision == "int8":
        image = np.random.default_rng(0).uniform(-1, 1, model.input_shape).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[image]])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    converted: bytes = converter.convert()
    return converted
