"""A network as one value: weights as ONNX, what goes in and comes out, where it came from.

Everything after the search takes a `Network`. Nothing after it asks whether the network was searched for, fine-tuned
or brought as a file: what they need to know is here.
"""

import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images, Samples
from ofa_edge.data.decoding import Decoding
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.errors import DataError
from ofa_edge.records.interface import InterfaceRecord, Layout, PictureRecord, TensorRecord
from ofa_edge.records.licences import Licences
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.space import Subnet
from ofa_edge.vocabulary import NetworkKind, Task


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: in the ONNX graph.
        shape: batch 1; of an image [1, C, H, W]. Among several it may have no batch, as [2] or [] have none.
        preprocessing: from an image's pixels to this input; None for what is no image.
        dtype: of its values.
    """

    name: str
    shape: tuple[int, ...]
    preprocessing: Preprocessing | None
    dtype: Literal["float32"] = "float32"

    @property
    def values(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def tensor(self) -> TensorRecord:
        """As the ONNX file has it."""
        picture = None if self.preprocessing is None else self.preprocessing.record()
        layout: Layout | None = "NCHW" if len(self.shape) == 4 else None
        return TensorRecord(name=self.name, shape=self.shape, layout=layout, picture=picture)

    def apply(self, samples: Samples) -> NDArray[np.float32]:
        """Samples as the network takes them, float32 [N, ...]. Raises DataError where they do not fit."""
        if isinstance(samples, Images) and self.preprocessing is not None:
            return self.preprocessing.apply(samples.pixels)
        if isinstance(samples, Images) or samples.values.shape[1:] != self.shape[1:]:
            raise DataError(
                "the inputs do not fit the network",
                f"got {samples.values.dtype} {list(samples.values.shape)}, it takes {list(self.shape)}, one at a time",
                f"give float32 inputs [N, {', '.join(map(str, self.shape[1:]))}]",
            )
        return np.asarray(samples.values, np.float32)


@dataclass(frozen=True)
class Output:
    """One output.

    Attributes:
        name: in the ONNX graph.
        shape: of a classifier [1, classes].
        labels: classes, by number; none where it only gives features.
        task: what it says.
        layout: of a segmenter's scores.
        threshold: of a segmenter's score that stands alone, above which a pixel is of the second class.
    """

    name: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    task: Task = "classify"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    threshold: float = 0.0

    @property
    def tensor(self) -> TensorRecord:
        """As the ONNX file has it."""
        maps = self.task == "segment" and len(self.shape) == 4
        threshold = self.threshold if self.task == "segment" else None
        return TensorRecord(name=self.name, shape=self.shape, layout=self.layout if maps else None, threshold=threshold)

    @property
    def values(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Interface:
    """What goes in and what comes out.

    Several inputs stand one behind the other in a sample, as several outputs do in an answer.

    Attributes:
        inputs, outputs: each of them.
        decoding: from a detector's outputs to boxes.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    decoding: Decoding | None = None

    @classmethod
    def of_classifier(cls, preprocessing: Preprocessing, labels: tuple[str, ...]) -> "Interface":
        """One image in, the logits of these classes out: what `export.onnx.export` writes."""
        size = preprocessing.size
        image = Input("input", (1, preprocessing.channels, size, size), preprocessing)
        return cls((image,), (Output("logits", (1, len(labels)), labels),))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the inputs, in order."""
        return tuple(each.shape for each in self.inputs)

    def apply(self, samples: Samples) -> NDArray[np.float32]:
        """Samples as the network takes them, float32: one input [N, ...]; several [N, values], one behind the other.

        Raises:
            DataError: they do not fit.
        """
        if len(self.inputs) == 1:
            return self.inputs[0].apply(samples)
        total = sum(each.values for each in self.inputs)
        if isinstance(samples, Images) or samples.values.shape[1:] != (total,):
            raise DataError(
                "the inputs do not fit the network",
                f"got {samples.values.dtype} {list(samples.values.shape)}, it takes {len(self.inputs)} inputs: "
                + ", ".join(f"'{each.name}' {list(each.shape)}" for each in self.inputs),
                f"give rows [N, {total}], all inputs of a sample one behind the other",
            )
        return np.asarray(samples.values, np.float32)

    def record(self, file: str, tensors: "Tensors | None" = None) -> InterfaceRecord:
        """The interface of a file of this network; `tensors` where the file has others than the ONNX file."""
        inputs, outputs = tensors or self.tensors
        return InterfaceRecord(
            file=file,
            task=self.outputs[0].task,
            inputs=inputs,
            outputs=outputs,
            labels=self.outputs[0].labels,
            decoding=None if self.decoding is None else self.decoding.to_json(),
        )

    @property
    def pictures(self) -> list[PictureRecord | None]:
        """How a photo becomes each of its inputs, where it does."""
        return [each.tensor.picture for each in self.inputs]

    @property
    def tensors(self) -> "Tensors":
        """Inputs and outputs of its ONNX file."""
        return tuple(each.tensor for each in self.inputs), tuple(each.tensor for each in self.outputs)


Tensors = tuple[tuple[TensorRecord, ...], tuple[TensorRecord, ...]]
"""Inputs and outputs of a file, in its order."""


@dataclass(frozen=True)
class Origin:
    """Where a network came from.

    Attributes:
        kind: "subnet": cut from a supernet; "network": given whole, fine-tuned or imported; "file": a model file.
        source: name of the supernet, of the folder that held the network, or of the file; no path of this machine.
        trained: whether its weights are: else accuracy means nothing.
        subnet: its shape, where it is a point of a search space.
        space_hash: of that space.
        licences: of its weights, and of the data that they were trained on.
    """

    kind: NetworkKind
    source: str
    trained: bool
    subnet: Subnet | None = None
    space_hash: str | None = None
    licences: Licences = field(default_factory=Licences)

    @property
    def title(self) -> str:
        """A short name for it."""
        return self.source if self.subnet is None else f"{self.source} {self.subnet.id}"

    @property
    def words(self) -> str:
        """A sentence's beginning about it."""
        return self.source if self.subnet is None else f"Subnet {self.subnet.id} of {self.source}"

    def facts(self) -> dict[str, Any]:
        """What an artifact says about it."""
        if self.subnet is None:
            return {"source": self.source, "trained": self.trained}
        return {"subnet": self.subnet.config(), "space_hash": self.space_hash, "trained": self.trained}


@dataclass(frozen=True)
class Network:
    """What is converted, run and judged.

    Attributes:
        onnx: the fp32 file that everything is made from.
        digest: SHA-256 of that file.
        interface: what goes in and comes out.
        origin: where it came from.
        macs: multiply-accumulates of one inference; 0 where they could not be counted.
        params: numbers in its weights.
        quantised: whether its file computes in integers already, which are to be kept.
        ranges: those that its training settled for int8, if it was trained for it.
    """

    onnx: Path
    digest: str
    interface: Interface
    origin: Origin
    macs: int
    params: int
    quantised: bool = False
    ranges: RangesRecord | None = None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """Of its one image, if it takes one."""
        return self.interface.inputs[0].preprocessing  # among several no image has one

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its first input; of an image [1, C, H, W]."""
        return self.interface.inputs[0].shape

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, by number; none of a network that only gives features."""
        return self.interface.outputs[0].labels

    @property
    def task(self) -> Task:
        """What its outputs say."""
        return self.interface.outputs[0].task

    @property
    def values(self) -> int:
        """Numbers in an answer: a classifier's logits, or all outputs one behind the other."""
        return sum(each.values for each in self.interface.outputs)

    @property
    def parts(self) -> dict[str, slice] | None:
        """Where each output stands among the numbers of an answer, by name; None of a classifier, which has one."""
        if self.task == "classify":
            return None
        ends = list(itertools.accumulate(each.values for each in self.interface.outputs))
        starts = (0, *ends)
        return {
            each.name: slice(start, end) for each, start, end in zip(self.interface.outputs, starts, ends, strict=False)
        }

    @property
    def finished(self) -> Decoding | None:
        """What reads the boxes of a detector that suppresses them itself; None of any other network."""
        decoding = self.interface.decoding
        return decoding if decoding is not None and decoding.form == "suppressed" else None

    def inputs(self, samples: Samples) -> NDArray[np.float32]:
        """Samples as it takes them, float32: see `Interface.apply`. Raises DataError where they do not fit."""
        return self.interface.apply(samples)
