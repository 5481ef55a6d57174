"""onnxsim for a process of its own: without torch, which it imports for quantising alone, where it is installed."""

import functools
import sys

sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # "cannot be imported": seconds of a start
import onnxsim  # noqa: E402  (after what it is not to find)

# What they fuse becomes one operator of ONNX Runtime's own (com.microsoft), which no other runtime has.
_OF_ONE_RUNTIME = ["fuse_attention", "fuse_gqa", "fuse_rope", "fuse_rms_norm"]
simplify = functools.partial(onnxsim.simplify, skipped_optimizers=_OF_ONE_RUNTIME)

__all__ = ["simplify"]
