"""What the runtimes of TVM share: libraries that our C++ runner loads."""

import json
import platform
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Samples
from ofa_edge.device.measuring.passes import FunctionTimes, Unavailable, profile_pass
from ofa_edge.device.measuring.programs import is_phone, tvm_program
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.needs import Needs
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.device.runners.build import RUNNER_GLIBC
from ofa_edge.errors import ConfigError, ToolMissingError
from ofa_edge.extras import install_line
from ofa_edge.files import write_bytes
from ofa_edge.runtimes.answers import answers_of, installed
from ofa_edge.runtimes.base import Runtime
from ofa_edge.runtimes.values import Converted, Export, HostAnswers, Stages, own_example
from ofa_edge.target_schema import TvmOptions
from ofa_edge.targets import Target, machine_architecture

FACTS = "model.json"


class TvmRuntime(Runtime):
    """A library of TVM: compiled for the target, run by `tvm_runner`."""

    title = "TVM"
    example = own_example("tvm", python=False)
    packages = ("apache-tvm", "apache-tvm-ffi")
    modelled = True
    artifact_name = "model.so"
    precisions = ("fp32", "fp16")
    modules = MappingProxyType({"tvm": install_line("tvm"), "onnxsim": install_line("export")})

    kind: str
    """Kind of TVM target that it compiles for."""
    compiler: tuple[str, ...] = ("apache-tvm",)
    """Packages whose versions decide what is compiled."""

    # -- what a target can do -----------------------------------------------------------------------------------------

    def options(self, target: Target) -> TvmOptions | None:
        """See `Runtime`: [runtime.tvm]."""
        return target.runtime.tvm

    def check_target(self, target: Target) -> None:
        """Raise ConfigError without a table [runtime.tvm], or for one of another kind."""
        found = tvm_target(target).get("kind")
        if found != self.kind:
            raise ConfigError(
                f"{target.name} has no TVM target for {self.name}",
                f"{target.path}: [runtime.tvm] target has kind = {found!r}, wanted {self.kind!r}",
                "correct the kind of the target or of [runtime]",
            )

    def target_tables(self, target: Target, threads: int) -> dict[str, dict[str, Any]]:
        """See `Runtime`."""
        return {"runtime.tvm": {"target": self.compiled_for(target, threads)}}

    def compiled_for(self, target: Target, threads: int) -> dict[str, Any]:
        """TVM's description of the target, for so many threads."""
        del threads
        return dict(tvm_target(target))

    def require_tools(self, target: Target) -> None:
        """Raise ToolMissingError without TVM, or without a compiler that links for the target."""
        super().require_tools(target)
        arch = target.hardware.arch
        compiler = f"{arch}-linux-gnu-g++"
        if arch != platform.machine() and shutil.which(compiler) is None:
            raise ToolMissingError(
                f"no compiler for {arch}",
                f"{compiler} links the library",
                f"apt-get install g++-{arch.replace('_', '-')}-linux-gnu",
            )

    def why_not_emulated(self, target: Target) -> str | None:
        """See `Runtime`."""
        if target.android:
            return "an Android library needs bionic, which the emulated device does not have"
        return None

    def why_not_here(self, target: Target) -> str | None:
        """See `Runtime`."""
        arch, here = target.hardware.arch, machine_architecture()
        return None if arch == here else f"it was compiled for {arch}; this is {here}"

    # -- making -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def compile(self, export: Export, folder: Path, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """Write the library, and what goes with it, to a folder; what was found inside."""

    def library(self, stages: Stages, export: Export, knobs: Mapping[str, Any] = MappingProxyType({})) -> Converted:
        """Compile with knobs of tuned functions; beside the library, what was found inside it."""

        def produce(folder: Path) -> None:
            facts = {**self.compile(export, folder, knobs), "runtime": "tvm"}
            write_bytes(folder / FACTS, json.dumps(facts, sort_keys=True).encode())

        inputs = {
            "model": export.network.digest,
            "target": dict(tvm_target(export.target)),
            "precision": export.precision,
        }
        if knobs:
            inputs["knobs"] = {key: asdict(each) for key, each in knobs.items()}
        packages = tuple(package for package in self.compiler if installed(package))
        entry = stages.run("tvm", inputs, packages, produce)
        return Converted(entry, entry.path(self.artifact_name))

    def runner(self, target: Target) -> Path:
        """`tvm_runner` and the libraries that it needs, for the target's architecture."""
        return self.runner_for(target.hardware.arch)

    def runner_for(self, arch: str) -> Path:
        """The same for any architecture."""
        from ofa_edge.device.emulation.sysroot import cache_folder
        from ofa_edge.device.runners.build import build_tvm_runner

        return build_tvm_runner(arch, cache_folder())

    # -- on this machine --------------------------------------------------------------------------------------------

    def on_host_cpu(self, stages: Stages, export: Export, samples: Samples, note: str = "") -> HostAnswers:
        """Answers of the same Relax module compiled for this machine's CPU."""
        from ofa_edge.export.tvm.compile import host_target

        network, target = export.network, host_target()

        def run() -> NDArray[np.float32]:
            from ofa_edge.export.tvm.compile import compile_cpu, run_tvm_host

            with tempfile.TemporaryDirectory(prefix="ofa-host-") as folder:
                library = Path(folder, "host.so")
                compile_cpu(network.onnx, library, target, None, export.precision)
                return run_tvm_host(library, network.inputs(samples), network.interface.shapes)

        inputs = {"model": network.digest, "target": target, "precision": export.precision, "test": samples.digest}
        logits = answers_of(stages, "run-tvm-host", inputs, ("apache-tvm",), run)
        note = f"the same Relax module compiled for this machine's CPU{note}"
        return HostAnswers(f"tvm {export.precision}, host CPU", logits, note=note)

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> None:
        """See `Runtime`: a library is for its own machine."""
        del artifact, inputs

    # -- on a device ------------------------------------------------------------------------------------------------

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """See `Runtime`."""
        return tvm_program(connection, request, device)

    def needs(self, target: Target, device: Fingerprint) -> Needs:
        """See `Runtime`: a system of the library's machine; TVM and the runner travel with it."""
        return Needs(machine=target.hardware.arch, glibc=None if is_phone(device) else RUNNER_GLIBC)

    def profile(self, artifact: OpenArtifact) -> FunctionTimes | Unavailable:
        """By the virtual machine's own instrument."""
        return profile_pass(artifact)


def tvm_target(target: Target) -> Mapping[str, object]:
    """TVM's description of a target. Raises ConfigError where the target's file has none."""
    options = target.runtime.tvm
    if options is None:
        raise ConfigError(f"{target.name} has no TVM target", f"{target.path}: no [runtime.tvm]", "--runtime tflite")
    return cast(Mapping[str, object], options.target)
