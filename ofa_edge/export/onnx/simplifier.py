"""onnxsim for a process of its own: without torch, which it imports for quantising alone, where it is installed."""

import sys

sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # "cannot be imported": seconds of a start
from onnxsim import simplify  # noqa: E402  (after what it is not to find)

__all__ = ["simplify"]
