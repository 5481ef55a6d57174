"""ONNX files, run by ONNX Runtime's CPU kernels: on this machine and on boards by its Python package."""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import CacheEntry
from ofa_edge.data.dataset import Samples
from ofa_edge.device.measuring.passes import FunctionTimes, Unavailable, profile_pass
from ofa_edge.device.measuring.programs import onnx_program
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.needs import Needs
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.device.wheels import NUMPY, Distribution, Wheels
from ofa_edge.files import copy_file
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.runtimes.base import Runtime
from ofa_edge.runtimes.values import Converted, Export, HostAnswers, RunHere, Stages, own_example
from ofa_edge.targets import Target
from ofa_edge.vocabulary import numbers

_ONNX_RUNTIME = Distribution(
    "onnxruntime",
    (
        Wheels("1.31.1", (3, 11), (3, 14), (2, 28)),
        Wheels("1.28.0", (3, 11), (3, 14), (2, 27)),
        Wheels("1.23.2", (3, 10), (3, 13), (2, 27)),
        Wheels("1.19.2", (3, 9), (3, 12), (2, 27)),
        Wheels("1.16.3", (3, 9), (3, 11), (2, 17)),
    ),
)


class OnnxRuntime(Runtime):
    """See `Runtime`. fp32 is the exported network itself; int8 has its ranges from the calibration images."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    packages = ("onnxruntime",)
    modelled = True
    artifact_name = "model.ort.onnx"
    precisions = ("fp32", "int8")
    example = own_example("onnxruntime")
    suppresses = True

    def convert(self, stages: Stages, export: Export) -> Converted:
        """See `Runtime`."""
        network = export.network
        ranges = numbers(export.precision).ranges and not network.quantised  # integers that were given are kept

        def produce(folder: Path) -> None:
            from ofa_edge.export.onnx.quantise import quantise

            out = folder / self.artifact_name
            if ranges:
                quantise(network.onnx, out, network.inputs(export.calibration), network.ranges)
            else:
                copy_file(network.onnx, out)

        inputs = {
            "model": network.digest,
            "precision": export.precision,
            "calibration": export.calibration.digest if ranges else None,
            "ranges": network.ranges.digest if ranges and network.ranges else None,
            "preprocessing": network.preprocessing.to_json() if ranges and network.preprocessing else None,
        }
        entry = stages.run("onnxruntime", inputs, ("onnx", "onnxruntime"), produce)
        if export.inside is not None:
            entry = self._suppressed(stages, export, entry)
        return Converted(entry, entry.path(self.artifact_name))

    def _suppressed(self, stages: Stages, export: Export, raw: CacheEntry) -> CacheEntry:
        """The file with decoding and suppression inside, which stay in fp32."""

        def produce(folder: Path) -> None:
            from ofa_edge.export.onnx.suppress import write_suppressed

            write_suppressed(raw.path(self.artifact_name), folder / self.artifact_name, export.decoding)

        inputs = {"model": raw.files[self.artifact_name], "decoding": export.decoding.to_json()}
        return stages.run("onnxruntime-suppressed", inputs, ("onnx",), produce)

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """The very file."""
        logits = answers_of(
            stages,
            "run-onnxruntime",
            {"model": converted.digest, "test": samples.digest},
            ("onnxruntime",),
            lambda: self.answers(converted.path, export.network.inputs(samples)),
        )
        return RunHere((HostAnswers(f"{self.name} {numbers(export.precision).words}", logits, itself=True),))

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`. An ONNX file runs anywhere."""
        from ofa_edge.export.onnx.run import run_onnx

        return run_onnx(artifact, inputs)

    def operators(self, artifact: Path) -> dict[str, int]:
        """See `Runtime`."""
        import onnx

        return dict(Counter(node.op_type for node in onnx.load(artifact).graph.node))

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """See `Runtime`."""
        return onnx_program(connection, request, device)

    def needs(self, target: Target, device: Fingerprint) -> Needs:
        """See `Runtime`: its Python package."""
        return Needs({"numpy": NUMPY, "onnxruntime": _ONNX_RUNTIME})

    def profile(self, artifact: OpenArtifact) -> FunctionTimes | Unavailable:
        """By the session's own profiler, of the graph as ONNX Runtime fuses it."""
        return profile_pass(artifact)
