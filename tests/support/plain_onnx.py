"""A runtime of somebody else's, whole: the ONNX file as it is, run by ONNX Runtime. As a program it is its own runner.

    plain_onnx.py MODEL INPUTS.npy OUTPUTS.npy [--threads T] [--latency ... | --memory N]

INPUTS is float32 [N, C, H, W], OUTPUTS float32 [N, classes].
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import onnxruntime

if __name__ == "__main__":  # on a device, where this file stands alone
    Runtime = object
else:
    from ofa_edge.runtimes import Converted, HostAnswers, RunHere, Runtime
    from ofa_edge.runtimes.answers import answers_of

MODEL, RUNNER = "network.onnx", "plain_onnx.py"


class PlainOnnx(Runtime):
    """fp32 on this machine, which a target's own file need not name."""

    name = "plain-onnx"
    title = "ONNX Runtime"
    artifact_name = MODEL
    precisions = ("fp32",)

    def builds_for(self, target):
        return target.at_hand or super().builds_for(target)

    def convert(self, stages, export):
        network = export.network

        def produce(folder):
            (folder / MODEL).write_bytes(network.onnx.read_bytes())

        entry = stages.run("plain-onnx", {"model": network.digest}, ("onnxruntime",), produce)
        return Converted(entry, entry.path(MODEL))

    def run_here(self, stages, export, converted, images):
        inputs = {"model": export.network.digest, "test": images.digest}

        def run():
            return self.answers(converted.path, export.network.inputs(images))

        logits = answers_of(stages, "run-plain-onnx", inputs, ("onnxruntime",), run)
        return RunHere((HostAnswers(f"{self.name} {export.precision}", logits, itself=True),))

    def answers(self, artifact, inputs):
        return run_all(session_of(str(artifact), 1), inputs)

    def operators(self, artifact):
        import onnx

        return dict(Counter(node.op_type for node in onnx.load(artifact).graph.node))

    def program(self, connection, request, device):
        del device
        return OnnxProgram(connection.python, request.artifact)


@dataclass(frozen=True)
class OnnxProgram:
    """This file, under the device's Python."""

    python: tuple[str, ...]
    artifact: Path
    suffix: str = ".npy"
    tells_memory: bool = True

    def files(self):
        return {RUNNER: Path(__file__), MODEL: self.artifact}

    def environment(self, work: PurePosixPath):
        del work
        return {}

    def command(self, work: PurePosixPath, inputs: str, outputs: str):
        return [*self.python, *(str(work / name) for name in (RUNNER, MODEL, inputs, outputs))]

    def write_inputs(self, images, path):
        np.save(path, np.ascontiguousarray(images, np.float32))

    def read_outputs(self, path):
        return np.load(path, allow_pickle=False)

    def facts(self, report):
        return dict(report)


def session_of(model: str, threads: int):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_all(session, images):
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


def peak_memory() -> int:
    """Resident bytes at the peak; getrusage would count what the parent process held."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def timed(work) -> int:
    start = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "inputs", "outputs"):
        parser.add_argument(name)
    for name in ("threads", "memory", "min-runs", "warmup-runs"):
        parser.add_argument(f"--{name}", type=int, default=0)
    for name in ("min-seconds", "warmup-seconds", "warmup-limit", "warmup-tolerance"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--latency", action="store_true")
    options = parser.parse_args()
    before = peak_memory()
    images, start = np.load(options.inputs, allow_pickle=False), time.perf_counter_ns()
    session = session_of(options.model, options.threads)
    facts = {"version": onnxruntime.__version__, "threads": options.threads, "load_ns": time.perf_counter_ns() - start}
    if options.latency:
        facts["first_ns"] = timed(lambda: run_all(session, images[:1]))
        facts |= {"settled": True, "warmup_runs": 0, "latency_ns": []}
        begin = time.perf_counter()
        while len(facts["latency_ns"]) < options.min_runs or time.perf_counter() - begin < options.min_seconds:
            facts["latency_ns"].append(timed(lambda: run_all(session, images[:1])))
    np.save(options.outputs, run_all(session, images[:1] if options.latency or options.memory else images))
    facts |= {"memory_before": before, "peak_memory": peak_memory()}
    print(json.dumps(facts))


if __name__ == "__main__":
    sys.exit(main())
