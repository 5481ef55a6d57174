"""One conversion by a tool of this project or a plain one, in a process of its own, so that its cost can be counted.

    python -m bench_artifacts.make TOOL SOURCE OUT [CALIBRATION.npy]

What other projects' tools do is in with_litert_torch.py and with_onnx2tf.py: those run in environments of their own.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.export.tflite import rewrites
from ofa_edge.vocabulary import Precision


def onnx(source: Path, out: Path) -> None:
    """Fold batch norms and export."""
    from ofa_edge.export.onnx.export import export_onnx

    net, shape = _folded(source)
    export_onnx(net, shape, out)


def program(source: Path, out: Path) -> None:
    """The same folded network as a file that torch alone can read."""
    import torch

    net, shape = _folded(source)
    exported = torch.export.export(net, (torch.zeros(shape),))
    torch.export.save(exported, out)


def tflite(source: Path, out: Path, precision: Precision, calibration: Path | None, plain: bool) -> None:
    """With the rewrites of this project or with none."""
    from ofa_edge.export.tflite.convert import convert

    images = np.load(calibration, allow_pickle=False) if calibration else None
    convert(source, out, precision, images, skip=rewrites.names(precision) if plain else ())


def ncnn(source: Path, out: Path) -> None:
    """By the package in examples/ofa-edge-ncnn, from a file whose input has a fixed shape."""
    import onnx as package
    from ofa_edge_ncnn.convert import convert

    shape = package.load(source).graph.input[0].type.tensor_type.shape.dim
    convert(source, tuple(size.dim_value for size in shape), out, half=False)


def onnxruntime_int8(source: Path, out: Path, calibration: Path) -> None:
    """By the calibration images, as `--runtime onnxruntime --precision int8` does."""
    from ofa_edge.export.onnx.quantise import quantise

    quantise(source, out, np.load(calibration, allow_pickle=False))


def tvm(source: Path, out: Path, threads: int) -> None:
    """For this machine."""
    from ofa_edge.export.tvm.compile import compile_cpu, host_target

    compile_cpu(source, out, host_target(threads))


def tvm_for(source: Path, out: Path, cpu: str) -> None:
    """For a 64-bit Arm core."""
    from ofa_edge.export.tvm.compile import compile_cpu

    target = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": cpu, "mattr": ["+neon"], "num-cores": 1}
    compile_cpu(source, out, target)


def tvm_default(source: Path, out: Path) -> None:
    """`tvm.compile` as it comes: the same import, the same CPU, its own default pipeline."""
    import tvm as package

    from ofa_edge.export.tvm.compile import find_linker, host_target, make_target
    from ofa_edge.export.tvm.relax import import_onnx

    target = make_target(host_target(), "llvm")
    executable = package.compile(import_onnx(source), target=target)
    executable.export_library(str(out), fcompile=find_linker(str(target.attrs["mtriple"])))


def main(arguments: list[str]) -> None:
    """See the module."""
    name, source, out, *rest = arguments
    paths = Path(source), Path(out)
    kind, _, variant = name.partition("-")
    if kind in ("plain", "ours"):
        tflite(*paths, variant, Path(rest[0]) if rest else None, plain=kind == "plain")
    elif name in ("tvm-a72", "tvm-a76"):
        tvm_for(*paths, f"cortex-{variant}")
    elif name == "ort-int8":
        onnxruntime_int8(*paths, Path(rest[0]))
    elif name in ("tvm", "tvm-2"):
        tvm(*paths, int(variant or 1))
    else:
        {"onnx": onnx, "ncnn": ncnn, "program": program, "tvm-default": tvm_default}[name](*paths)


def _folded(source: Path) -> tuple[Any, tuple[int, int, int, int]]:
    from ofa_edge.supernet.fold import fold_batch_norm
    from ofa_edge.supernet.weights import load_static

    net = load_static(source)
    size = net.subnet.resolution
    return fold_batch_norm(net), (1, net.space.in_channels, size, size)


if __name__ == "__main__":
    main(sys.argv[1:])
