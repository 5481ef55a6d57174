"""A network as one value: weights as ONNX, what goes in and comes out, where it came from.

Everything after the search takes a `Network`. Nothing after it asks whether the network was searched for, fine-tuned
or brought as a file: what they need to know is here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.space import Subnet


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: in the ONNX graph.
        shape: [N, C, H, W], batch 1.
        preprocessing: from an image's pixels to this input.
        layout: of the axes in `shape`.
        dtype: of its values.
    """

    name: str
    shape: tuple[int, ...]
    preprocessing: Preprocessing
    layout: Literal["NCHW"] = "NCHW"
    dtype: Literal["float32"] = "float32"


@dataclass(frozen=True)
class Output:
    """One output: its name in the ONNX graph, its shape [1, classes], what it says, and the classes in its order."""

    name: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    task: Literal["classify"] = "classify"


@dataclass(frozen=True)
class Interface:
    """What goes in and what comes out."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @classmethod
    def of_classifier(cls, preprocessing: Preprocessing, labels: tuple[str, ...]) -> "Interface":
        """One image in, the logits of these classes out: what `export.onnx.export` writes."""
        size = preprocessing.size
        image = Input("input", (1, preprocessing.channels, size, size), preprocessing)
        return cls((image,), (Output("logits", (1, len(labels)), labels),))


@dataclass(frozen=True)
class Origin:
    """Where a network came from.

    Attributes:
        kind: "subnet": cut from a supernet; "network": given whole, fine-tuned or imported.
        source: name of the supernet, or of the folder that held the network; no path of this machine.
        subnet: its shape, where it is a point of a search space.
        space_hash: of that space.
        trained: whether its weights are: else accuracy means nothing.
    """

    kind: Literal["subnet", "network"]
    source: str
    subnet: Subnet
    space_hash: str
    trained: bool

    @property
    def title(self) -> str:
        """A short name for it."""
        return f"{self.source} {self.subnet.id}"

    @property
    def words(self) -> str:
        """A sentence's beginning about it."""
        return f"Subnet {self.subnet.id} of {self.source}"

    def facts(self) -> dict[str, Any]:
        """What an artifact says about it."""
        return {"subnet": self.subnet.config(), "space_hash": self.space_hash, "trained": self.trained}


@dataclass(frozen=True)
class Network:
    """What is converted, run and judged.

    Attributes:
        onnx: the fp32 file that everything is made from.
        digest: SHA-256 of that file.
        interface: what goes in and comes out.
        origin: where it came from.
        macs: multiply-accumulates of one inference.
    """

    onnx: Path
    digest: str
    interface: Interface
    origin: Origin
    macs: int

    @property
    def preprocessing(self) -> Preprocessing:
        """Of its one image."""
        return self.interface.inputs[0].preprocessing

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its one input, [1, C, H, W]."""
        return self.interface.inputs[0].shape

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of its logits."""
        return self.interface.outputs[0].labels

    @property
    def classes(self) -> int:
        """Number of its logits."""
        return self.interface.outputs[0].shape[-1]

    def inputs(self, images: Images) -> NDArray[np.float32]:
        """Images as it takes them: float32 [N, C, H, W]. Raises DataError where they do not fit."""
        return self.preprocessing.apply(images.pixels)
