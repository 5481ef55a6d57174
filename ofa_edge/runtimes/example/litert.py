"""The network of this build in LiteRT."""

from __future__ import annotations  # a board's Python may be older than this project's

from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ofa_edge.data.pixels import dequantise, quantise
else:
    from pixels import dequantise, quantise


class Model:
    """A file and what runs it: float32 [1, C, H, W] in, all outputs one behind the other out, float32."""

    def __init__(self, path: str, threads: int = 1) -> None:
        self.interpreter = Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        (self.source,) = self.interpreter.get_input_details()
        self.sinks = self.interpreter.get_output_details()

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """One inference. A TFLite file takes [1, H, W, C], and an int8 one integers."""
        laid_out = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
        stored = quantise(laid_out, self.source["dtype"], *self.source["quantization"])
        self.interpreter.set_tensor(self.source["index"], stored)
        self.interpreter.invoke()
        parts = [(self.interpreter.get_tensor(each["index"]), each["quantization"]) for each in self.sinks]
        return np.concatenate([dequantise(part, *steps).reshape(-1) for part, steps in parts])
