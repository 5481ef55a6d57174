"""The runtime: all that ofa-edge has to know of ncnn."""

import argparse
from collections import Counter
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Images
from ofa_edge.device.emulation.wheels import arm64_wheel
from ofa_edge.device.measuring.programs import PythonProgram
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.errors import UnsupportedError
from ofa_edge.runtimes import Converted, Export, HostAnswers, RunHere, Runtime, Stages
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.targets import Target
from ofa_edge.vocabulary import numbers

# Of the arm64 wheel of the version that this package was tried with; other versions are taken as pip finds them.
_SUMS = {"1.0.20261020": "0503da4f3960ee2e555feef55db13adffd6c62eb59a4bd22f8083b12d1757ad8"}


class NcnnProgram(PythonProgram):
    """`ncnn_runner.py`."""

    package = "ofa_edge_ncnn"
    runner = "ncnn_runner.py"
    model = "model.ncnn.zip"


class Ncnn(Runtime):
    """fp32, and fp16: weights and activations in half precision, sums in fp32."""

    name = "ncnn"
    title = "ncnn"
    artifact_name = "model.ncnn.zip"
    precisions = ("fp32", "fp16")
    packages = ("ncnn",)
    modules = MappingProxyType({"ncnn": "pip install ncnn", "pnnx": "pip install pnnx"})

    def builds_for(self, target: Target) -> bool:
        """CPUs: this machine, and boards whose core can be emulated; no target's file need name it."""
        return target.at_hand or target.emulation is not None or super().builds_for(target)

    def convert(self, stages: Stages, export: Export) -> Converted:
        """See `Runtime`."""
        network, half = export.network, numbers(export.precision).weights == "fp16"

        def produce(folder: Path) -> None:
            from ofa_edge_ncnn.convert import convert

            convert(network.onnx, network.interface.inputs[0].shape, folder / self.artifact_name, half=half)

        entry = stages.run("ncnn", {"model": network.digest, "half": half}, ("pnnx",), produce)
        return Converted(entry, entry.path(self.artifact_name))

    def run_here(self, stages: Stages, export: Export, converted: Converted, images: Images) -> RunHere:
        """The very file."""
        logits = answers_of(
            stages,
            "run-ncnn",
            {"model": converted.digest, "test": images.digest},
            self.packages,
            lambda: self.answers(converted.path, export.network.inputs(images)),
        )
        return RunHere((HostAnswers(f"{self.name} {numbers(export.precision).words}", logits, itself=True),))

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`."""
        from ofa_edge_ncnn.ncnn_runner import Model

        model = Model(argparse.Namespace(model=str(artifact), threads=1))
        return np.stack([self._one(model, image) for image in inputs])

    @staticmethod
    def _one(model: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
        model.set(image)
        model.invoke()
        return np.asarray(model.get())

    def operators(self, artifact: Path) -> dict[str, int]:
        """See `Runtime`."""
        from ofa_edge_ncnn.convert import operators

        return dict(Counter(operators(artifact)))

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """Ncnn's Python package: a board has to have it, an emulated core is given it."""
        if device.device_kind == "emulated":
            version = metadata.version("ncnn")
            wheel = arm64_wheel(f"ncnn=={version}", _SUMS.get(version))
            return NcnnProgram(connection.python, request.artifact, wheels=(wheel,))
        if device.build is not None:
            raise UnsupportedError(
                f"ncnn artifacts do not run on {connection.name}", "Android has no Python", "--runtime of another kind"
            )
        return NcnnProgram(connection.python, request.artifact)
