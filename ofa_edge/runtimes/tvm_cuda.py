"""TVM for NVIDIA GPUs: kernels by our rules, compiled by NVRTC, held against the architecture's limits."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.data.dataset import Samples
from ofa_edge.data.sampling import stratified
from ofa_edge.device.runners.build import RUNNER
from ofa_edge.errors import UnsupportedError
from ofa_edge.records.schedules import KernelRecord
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.runtimes.tvm_family import FACTS, TvmRuntime, tvm_target
from ofa_edge.runtimes.values import Converted, Export, Facts, HostAnswers, RunHere, Stages
from ofa_edge.targets import Target, machine_architecture

KERNELS = "kernels.cu"
# The most that kernels are emulated on: a minute or less.
EMULATED_IMAGES, EMULATED_MACS = 32, 10_000_000_000


class TvmCuda(TvmRuntime):
    """See `Runtime`."""

    name = "tvm-cuda"
    kind = "cuda"
    compiler = ("apache-tvm", "nvidia-cuda-nvrtc-cu12")

    def require_tools(self, target: Target) -> None:
        """See `Runtime`: NVRTC and CUDA's headers as well."""
        from ofa_edge.export.cuda.nvrtc import require_nvrtc

        super().require_tools(target)
        require_nvrtc()

    def why_not_here(self, target: Target) -> str:
        """See `Runtime`: a GPU that this machine is not known to have."""
        return f"it was compiled for {target.hardware.arch} and its GPU; this is {machine_architecture()}"

    def require_tunable(self, target: Target) -> None:
        """See `Runtime`."""
        raise UnsupportedError(
            f"--tune cannot turn the CUDA kernels of {target.name}", "it knows schedules of CPUs", "leave out --tune"
        )

    def convert(self, stages: Stages, export: Export) -> Converted:
        """See `Runtime`."""
        return self.library(stages, export)

    def compile(self, export: Export, folder: Path, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """See `TvmRuntime`."""
        from ofa_edge.export.cuda.compile import compile_cuda

        del knobs
        library, target = folder / self.artifact_name, tvm_target(export.target)
        return compile_cuda(export.network.onnx, library, target, None, export.precision, folder).to_json()

    def facts(self, converted: Converted) -> Facts:
        """The kernels, and their source."""
        path = converted.entry.path(FACTS)
        kernels = json.loads(path.read_bytes()).get("kernels", ())
        records = tuple(KernelRecord.model_validate_json(json.dumps(kernel)) for kernel in kernels)
        return Facts((path, converted.entry.path(KERNELS)), kernels=records)

    def runner_for(self, arch: str) -> Path:
        """With the library that drives a GPU."""
        from ofa_edge.device.emulation.sysroot import cache_folder
        from ofa_edge.device.runners.build import build_tvm_runner

        return build_tvm_runner(arch, cache_folder(), cuda=True)

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """The module on this machine's CPU, then the kernels, emulated, on as many images as a minute allows."""
        gpu = export.target.hardware.gpu
        answers = [self.on_host_cpu(stages, export, samples, f"; for the kernels for {gpu} see the next rung")]
        emulated = "ran emulated"
        try:
            answers.append(self._emulated(stages, export, converted, samples))
        except UnsupportedError as error:
            emulated = f"were not even emulated ({error.what}: {error.why})"
        skipped = (
            f"run of the {gpu} kernels on a GPU: there is none here. They are compiled, held against the "
            f"architecture's limits, and {emulated}; their speed is not known"
        )
        return RunHere(tuple(answers), (skipped,))

    def _emulated(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> HostAnswers:
        network, entry = export.network, converted.entry
        count = max(1, min(EMULATED_IMAGES, EMULATED_MACS // max(1, network.macs), len(samples)))
        runner = self.runner_for(platform.machine())

        def run() -> NDArray[np.float32]:
            from ofa_edge.export.cuda.emulate import run_emulated

            arch = str(tvm_target(export.target)["arch"])
            inputs, shapes = network.inputs(samples.sample(count)), network.interface.shapes
            return run_emulated(entry.folder, runner / RUNNER, inputs, arch, shapes=shapes)

        inputs = {
            "kernels": entry.files[KERNELS],
            "host": entry.files["emulated.so"],
            "test": samples.digest,
            "images": count,
        }
        logits = answers_of(stages, "run-cuda-emulated", inputs, ("apache-tvm",), run)
        note = f"the kernels for {export.target.hardware.gpu} as C++ on this machine's CPU; no GPU ran them"
        rows = stratified(samples.labels, count, 0)
        return HostAnswers(f"tvm {export.precision}, emulated kernels", logits, rows=rows, note=note)
