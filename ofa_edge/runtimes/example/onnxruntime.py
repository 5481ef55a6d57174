"""The network of this build in ONNX Runtime."""

from __future__ import annotations  # a board's Python may be older than this project's

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Model:
    """A file and what runs it: float32 [1, C, H, W] in, all outputs one behind the other out, float32."""

    def __init__(self, path: str, threads: int = 1) -> None:
        try:
            self.session = session(path, threads, "1")
        except Exception:  # its classes have no common base; some files that were quantised elsewhere refuse this
            self.session = session(path, threads, "0")
        (source,) = self.session.get_inputs()
        self.name = source.name

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """One inference."""
        parts = self.session.run(None, {self.name: np.ascontiguousarray(values, np.float32)})
        return np.concatenate([part.reshape(-1).astype(np.float32) for part in parts])


def session(path: str, threads: int, exact: str) -> Any:
    """A session; `exact` adds int8 products without saturation on x86 CPUs that have no VNNI."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", exact)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
