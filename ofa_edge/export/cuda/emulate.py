"""Run a CUDA library's own kernels on this machine's CPU: their arithmetic and indexing, proved without a GPU.

What runs is the network's host code, compiled for this machine, with the very source of the kernels in the library; it
calls a driver of ours that launches them as C++ (`emulated/`). It shows wrong indices, missing barriers and leaks.
It does not show what NVIDIA's compiler or hardware do, and its time means nothing.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.errors import ConversionError
from ofa_edge.export.cuda.compile import EMULATED
from ofa_edge.export.cuda.emulated.build import build_driver, build_kernels
from ofa_edge.export.cuda.worker import SOURCE


def run_emulated(
    emulation: Path,
    runner: Path,
    inputs: NDArray[np.float32],
    arch: str,
    reverse: bool = False,
    shapes: Sequence[tuple[int, ...]] = (),
) -> NDArray[np.float32]:
    """Run images through emulated kernels.

    Args:
        emulation: the folder that `compile.compile_cuda` filled.
        runner: `tvm_runner` of this machine, its CUDA library beside it.
        inputs: [N, C, H, W] float32, normalised; of several inputs [N, values], one behind the other.
        arch: of the kernels: "sm_53"; the emulated device is of that kind.
        reverse: let the threads of each block take their turns in reverse order. A race shows as another result.
        shapes: of several inputs.

    Returns:
        Logits, [N, classes] float32.

    Raises:
        UnsupportedError: the kernels use what the emulation does not know.
        ConversionError: the run failed.
        ToolMissingError: no C++ compiler.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-edge-emulated-") as name:
        scratch = Path(name)
        build_driver(scratch)
        kernels = build_kernels((emulation / SOURCE).read_text(encoding="utf-8"), scratch)
        inputs.astype("<f4").tofile(scratch / "in.f32")
        number = arch.removeprefix("sm_")
        settings = {
            "LD_LIBRARY_PATH": str(scratch),
            "OFA_EDGE_CUDA_KERNELS": str(kernels),
            "OFA_EDGE_CUDA_ARCH": f"{number[:-1]}.{number[-1]}",
            "OFA_EDGE_CUDA_REVERSED": "1" if reverse else "0",
        }
        each = shapes if len(shapes) > 1 else ((1, *inputs.shape[1:]),)
        told = [word for shape in each for word in ("--shape", ",".join(map(str, shape)) or "scalar")]
        command = [str(runner), str(emulation / EMULATED), str(scratch / "in.f32"), str(scratch / "out.f32")]
        done = subprocess.run(
            [*command, *told, "--device", "cuda"],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = done.stderr.strip()[-800:]
            if done.returncode < 0:
                reason = f"a kernel went outside its memory (signal {-done.returncode}): {reason}"
            raise ConversionError("the emulated CUDA kernels failed", reason, "report it with the model")
        return np.fromfile(scratch / "out.f32", "<f4").reshape(len(inputs), -1)
