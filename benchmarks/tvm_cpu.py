"""How fast are the TVM libraries for CPUs, against ONNX Runtime and TFLite on the same networks?

    python benchmarks/tvm_cpu.py [--nets 10] [--default] [--functions] [--threads] [--a72]

Random subnets of OFA-MobileNetV3 w1.0 at 224 px with random weights. All runtimes take turns within one process. With
one thread the figures are CPU time of the calling thread, which other programs disturb least; with two threads they are
wall time, which means something on an idle machine only: the load is printed beside it. `--a72` counts the instructions
of one inference on an emulated Cortex-A72: no time. `--threads` compares two threads with one. `--default` adds TVM's
default for the first network, `--functions` the time of each function. Prints Markdown.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from ofa_edge.device.measuring.programs import litert_program, tvm_program
from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.export.tflite import convert as tflite
from ofa_edge.export.tflite import rewrites
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.timing import time_functions
from ofa_edge.space import Space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.zoo import UNTRAINED

SUPERNET = "ofa_mbv3_d234_e346_k357_w1.0"
SIZE = 224
SHAPE = (1, 3, SIZE, SIZE)
A72 = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 1}
Call = Callable[[], Any]


def export_subnets(count: int, folder: Path, space: Space = UNTRAINED[SUPERNET]) -> list[Path]:
    """Random subnets as ONNX."""
    drawn = space.sample(np.random.default_rng(4), count, SIZE)
    paths = []
    for index, genome in enumerate(drawn):
        torch.manual_seed(index)
        net = StaticNet(space, space.subnet(genome)).eval()
        recalibrate_bn(net, [torch.randn(8, *SHAPE[1:])])
        paths.append(folder / f"net{index}.onnx")
        export_onnx(fold_batch_norm(net), SHAPE, paths[-1])
    return paths


def onnx_runtime(path: Path, image: np.ndarray, threads: int = 1) -> Call:
    """One inference of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": image})[0]


def litert(path: Path, image: np.ndarray, threads: int = 1) -> Call:
    """One inference of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.set_tensor(source, np.ascontiguousarray(image.transpose(0, 2, 3, 1)))

    def run() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(sink)

    return run


def in_turn(calls: Mapping[str, Call], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median milliseconds of each, all taking turns; each is warmed up before its turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start = clock()
            call()
            times[name].append(1e3 * (clock() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def build_all(path: Path, *, default: bool) -> tuple[dict[str, Path], tvm.CpuLibrary, float]:
    """Convert one network for every runtime; return the files, our library and the CPU seconds that it took."""
    files = {
        "ONNX Runtime": path,
        "TFLite plain": path.with_suffix(".plain.tflite"),
        "TFLite": path.with_suffix(".tflite"),
    }
    tflite.convert(path, files["TFLite plain"], "fp32", skip=rewrites.names("fp32"))
    tflite.convert(path, files["TFLite"], "fp32")
    files["TVM"] = path.with_suffix(".so")
    start = time.process_time()
    library = tvm.compile_cpu(path, files["TVM"], tvm.host_target())
    seconds = time.process_time() - start
    if default:
        files["TVM default"] = path.with_suffix(".default.so")
        target = tvm.make_target(tvm.host_target(), "llvm")
        tvm.build(
            tvm.import_onnx(path), target, files["TVM default"], tvm.find_linker(target.attrs["mtriple"]), path.name
        )
    return files, library, seconds


def loaded(files: Mapping[str, Path], image: np.ndarray) -> dict[str, Call]:
    """The inference of each file."""

    def call(name: str, path: Path) -> Call:
        if name.startswith("TVM"):
            run = tvm.load_module(path)
            return lambda: run(image)
        return (litert if name.startswith("TFLite") else onnx_runtime)(path, image)

    return {name: call(name, path) for name, path in files.items()}


def count_a72(files: Mapping[str, Path], path: Path) -> dict[str, int | None]:
    """Instructions of one inference on an emulated Cortex-A72."""
    from ofa_edge.device.emulation.emulated import open_emulated
    from ofa_edge.device.emulation.sysroot import cache_folder
    from ofa_edge.device.measuring.measure import measure
    from ofa_edge.device.protocol import Request
    from ofa_edge.device.runners.build import build_tvm_runner

    library = tvm.compile_cpu(path, path.with_suffix(".a72.so"), A72).file.path
    runner = build_tvm_runner("aarch64", cache_folder())
    image = np.zeros(SHAPE, np.float32)
    requests = {
        "TFLite plain": Request(files["TFLite plain"], litert_program, image, 1000),
        "TFLite": Request(files["TFLite"], litert_program, image, 1000),
        "TVM": Request(library, tvm_program, image, 1000, runner=runner),
    }
    device = open_emulated("cortex-a72")
    found = {name: measure(device, request).instructions for name, request in requests.items()}
    return {name: each.per_inference if each else None for name, each in found.items()}


def two_threads(path: Path, image: np.ndarray, rounds: int) -> float:
    """Wall time with one thread over wall time with two. Each setting needs a process: TVM reads it once."""
    import subprocess

    library = path.with_suffix(".2.so")
    tvm.compile_cpu(path, library, tvm.host_target(cores=2))
    times = []
    for threads in ("1", "2"):
        command = [sys.executable, __file__, "--time", str(library), "--rounds", str(rounds)]
        variables = {**os.environ, "TVM_NUM_THREADS": threads}
        times.append(float(subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout))
    return times[0] / times[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=30)
    for flag in ("--default", "--functions", "--a72", "--threads"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--time", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    if options.time:
        run = tvm.load_module(options.time)
        print(in_turn({"": lambda: run(image)}, options.rounds, time.perf_counter)[""])
        return
    with tempfile.TemporaryDirectory() as folder:
        for index, path in enumerate(export_subnets(options.nets, Path(folder))):
            _report(index, path, image, options)


def _report(index: int, path: Path, image: np.ndarray, options: argparse.Namespace) -> None:
    files, library, seconds = build_all(path, default=options.default and index == 0)
    calls = loaded(files, image)
    wanted, found = calls["ONNX Runtime"](), calls["TVM"]()
    times = in_turn(calls, options.rounds, time.thread_time)
    if index == 0:
        print(f"{library.schedules.isa}, one thread, CPU time; load {os.getloadavg()[0]:.1f}\n")
        print(
            "| net | TVM, ms | ONNX Runtime, ms | TVM / ONNX Runtime | / TFLite plain | / TFLite | largest difference |"
        )
        print("|---|---|---|---|---|---|---|")
    ratios = [times["TVM"] / times[name] for name in ("ONNX Runtime", "TFLite plain", "TFLite")]
    difference = np.abs(found - wanted).max() / np.abs(wanted).max()
    shown = " | ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"| {index} | {times['TVM']:.2f} | {times['ONNX Runtime']:.2f} | {shown} | {difference:.0e} |", flush=True)
    notes = [f"built in {seconds:.0f} CPU seconds", f"functions on TVM's default: {len(library.schedules.fallbacks)}"]
    if "TVM default" in times:
        notes.append(f"TVM default: {times['TVM default'] / times['TVM']:.1f} times slower")
    if options.threads:
        notes.append(f"two threads: {two_threads(path, image, options.rounds):.2f} times faster, wall time")
    if options.a72:
        notes.append(f"instructions on a Cortex-A72: {count_a72(files, path)}")
    print(f"  net {index}: " + "; ".join(notes), file=sys.stderr, flush=True)
    if options.functions:
        _functions(path, files["TVM"], library)


def _functions(path: Path, library: Path, facts: tvm.CpuLibrary) -> None:
    """The slowest functions, and how many multiply-adds they reach."""
    times = time_functions(library, path)
    known = {each.name: each for each in facts.schedules.functions}
    for name, seconds in sorted(times.items(), key=lambda item: -item[1])[:25]:
        each = known[name]
        print(f"  {1e3 * seconds:.3f} ms {each.rule:11} {each.calls * each.work / seconds / 1e9:6.1f} G/s  {name}")


if __name__ == "__main__":
    main()
