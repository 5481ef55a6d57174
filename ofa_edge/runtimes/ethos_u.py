"""Arm Ethos-U: int8 TFLite files that Vela compiles. Nothing runs them here; the file before Vela stands in."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.cost import Operator
from ofa_edge.data.dataset import Samples
from ofa_edge.data.sampling import stratified
from ofa_edge.device.measuring.measure import measure
from ofa_edge.device.measuring.programs import litert_program
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.errors import ConfigError, DeviceError, ToolMissingError, UnsupportedError
from ofa_edge.export.vela.options import check_accelerator
from ofa_edge.extras import install_line, installed
from ofa_edge.files import copy_file, sha256_file, write_json
from ofa_edge.records.npu import AccountRecord, NpuRecord
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.runtimes.base import ArraySize, CycleAccount, Runtime, Timer, Turns
from ofa_edge.runtimes.tflite_stage import BARE, bare_tflite, tensorflow
from ofa_edge.runtimes.values import Converted, Export, Facts, HostAnswers, RunHere, Stages
from ofa_edge.schema import changed
from ofa_edge.target_schema import Npu
from ofa_edge.targets import Target, load_target
from ofa_edge.vocabulary import Precision, ProvenanceKind

if TYPE_CHECKING:
    from ofa_edge.export.vela.options import VelaSystem

SOURCE = "model.int8.tflite"
ACCOUNT = "npu.json"
# Made for XNNPACK, which has no kernels for what they take apart; an Ethos-U has. Without them a network of the default
# supernet takes 26 % fewer cycles on a U55-128, 15 % on a U85-256 (docs/ethos-u.md).
UNWANTED = ("split_depthwise", "open_hard_swish", "open_average_pool", "repeat_pixels", "open_strides")
_COMPARED = 32  # images, in two sets of kernels
_CORE, _ON_CORE, _CORE_TIMEOUT_S = "cortex-a76", 64, 300.0  # an arm64 core with integer dot products; images
_PROTOTYPE = "ethos-u55-128"  # whose runtime compiles for all of them
_EMBEDDED = ("Ethos_U55_High_End_Embedded", "Shared_Sram", 4 << 20)
_CACHED = 384 << 10  # bytes of SRAM in the memory mode of the same name
_SYSTEMS = {
    **{f"55-{macs}": _EMBEDDED for macs in (32, 64, 128, 256)},
    **{f"65-{macs}": ("Ethos_U65_High_End", "Dedicated_Sram_384KB", _CACHED) for macs in (256, 512)},
    **{f"85-{macs}": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB", _CACHED) for macs in (128, 256, 512, 1024)},
}


class EthosU(Runtime):
    """See `Runtime`."""

    name = "ethos-u"
    title = "Arm Ethos-U"
    artifact_name = "model.vela.tflite"
    precisions = ("int8",)
    packages = ("ethos-u-vela", "tflite-micro")
    modelled = True
    modules = MappingProxyType({"ethosu.vela": install_line("ethos-u"), "tensorflow": install_line("ethos-u")})

    # -- what a target can do with it ---------------------------------------------------------------------------------

    def check_target(self, target: Target) -> None:
        """See `Runtime`."""
        check_accelerator(_npu(target).accelerator, target.path.name)
        if installed("ethosu.vela"):
            _system(target).check()

    def target_tables(self, target: Target, threads: int) -> dict[str, dict[str, Any]]:
        """See `Runtime`. A configuration file beside the target's stays where it is."""
        npu, own = _npu(target), target.path.parent / _npu(target).config
        tables = {"npu": npu.model_dump(exclude_none=True)}
        return tables | ({"npu": {**tables["npu"], "config": str(own)}} if own.is_file() else {})

    def why_not_emulated(self, target: Target) -> str:
        """See `Runtime`."""
        return f"no emulator runs {_npu(target).accelerator}; the int8 file before Vela was run instead"

    def why_not_here(self, target: Target) -> str:
        """See `Runtime`."""
        return f"the file is a program for {_npu(target).accelerator}"

    @property
    def turns(self) -> Turns:
        """See `Runtime`."""
        return EthosUTurns()

    def cycle_account(self, target: Target) -> CycleAccount:
        """See `Runtime`."""
        return VelaAccount(target)

    def array_size(self, target: Target) -> ArraySize | None:
        """See `Runtime`."""
        npu = _npu(target)
        check_accelerator(npu.accelerator, target.path.name)  # its name has the MACs
        return ArraySize(npu.macs_per_cycle, npu.sram_bytes, npu.area_mm2)

    def accelerators(self) -> Mapping[str, Target]:
        """See `Runtime`: all of Arm's series, in one system each."""
        base, found = load_target(_PROTOTYPE), {}
        for size, (system, mode, sram) in _SYSTEMS.items():
            name = f"{self.name}{size}"
            npu = Npu(accelerator=name, config="Arm/vela.ini", system_config=system, memory_mode=mode, sram_bytes=sram)
            found[name] = changed(base, name=name, npu=npu)
        return found

    # -- making -------------------------------------------------------------------------------------------------------

    def convert(self, stages: Stages, export: Export) -> Converted:
        """See `Runtime`."""
        bare = bare_tflite(stages, export, UNWANTED)
        system = _system(export.target)
        micro = installed("tflite_micro")

        def produce(folder: Path) -> None:
            from ofa_edge.export.vela.compile import compile_int8
            from ofa_edge.runtimes.npu_account import account

            source = folder / SOURCE
            copy_file(bare.path(BARE), source)
            compiled = compile_int8(source, system, folder / self.artifact_name)
            images = export.network.inputs(export.calibration)[:_COMPARED] if micro else None
            write_json(folder / ACCOUNT, account(compiled, system, source, images).model_dump(mode="json"))

        inputs = {
            "source": bare.files[BARE],
            "system": system.facts(),
            "storage": system.npu.storage_bytes,
            "images": export.calibration.digest if micro else None,
        }
        packages = ("ethos-u-vela", *(("tflite-micro", "ai-edge-litert") if micro else ()))
        entry = stages.run("vela", inputs, packages, produce)
        return Converted(entry, entry.path(self.artifact_name))

    def facts(self, converted: Converted) -> Facts:
        """See `Runtime`. The int8 file is left beside the compiled one: Vela takes it, and it runs anywhere."""
        record = NpuRecord.model_validate_json(converted.entry.path(ACCOUNT).read_bytes())
        return Facts((converted.entry.path(SOURCE),), npu=record)

    # -- on this machine ----------------------------------------------------------------------------------------------

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """The int8 file before Vela: in LiteRT's reference kernels, and in its arm64 ones on an emulated core."""
        from ofa_edge.export.vela.micro import reference_answers

        source = converted.entry.path(SOURCE)
        logits = answers_of(
            stages,
            "run-int8-reference",
            {"model": converted.entry.files[SOURCE], "test": samples.digest},
            ("ai-edge-litert",),
            lambda: reference_answers(source, export.network.inputs(samples)),
        )
        note = f"{SOURCE} in LiteRT's reference kernels: Vela's own file runs on the accelerator alone"
        here = HostAnswers("int8 before Vela", logits, note=note)
        try:
            return RunHere((here, _on_a_core(stages, export, converted, samples)))
        except (DeviceError, ToolMissingError, UnsupportedError) as error:
            return RunHere((here,), (f"run of {SOURCE} on an emulated core: {error.what}: {error.why}",))

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """See `Runtime`."""
        del artifact, inputs
        return None

    # -- on a device --------------------------------------------------------------------------------------------------

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """See `Runtime`."""
        del connection, request, device
        raise UnsupportedError(
            "nothing here runs a file for an Ethos-U on a board",
            "it is linked into firmware with TensorFlow Lite Micro, or runs by the board's own driver",
            "leave out --device; docs/ethos-u.md says how the file gets onto a board",
        )


class EthosUTurns(Turns):
    """See `Turns`: int8 files, which Vela compiles for any accelerator."""

    suffix = ".tflite"
    batch = 24  # TensorFlow takes longer to start than to convert one

    def facts(self, target: Target, precision: Precision) -> dict[str, Any]:
        """See `Turns`. No accelerator is in them: the same files serve all."""
        from ofa_edge.export.tflite.rewrites import names

        del target
        rewrites = [each for each in names(precision) if each not in UNWANTED]
        versions = {tensorflow(): metadata.version(tensorflow())}
        return {"versions": versions, "rewrites": rewrites, "drawn": "where all operators can be"}

    def draw(self, network: Sequence[Operator]) -> bytes | None:
        """See `Turns`. Cycles depend on shapes; a converted network has the same within a fraction of a percent."""
        from ofa_edge.export.vela.drawn import drawn

        return drawn(network)

    def make(self, jobs: Sequence[tuple[Path, Path]], target: Target, precision: Precision) -> None:
        """See `Turns`."""
        from ofa_edge.export.tflite.convert import convert_many

        del target
        convert_many(jobs, precision, UNWANTED)

    def open(self, connection: Connection, target: Target, sample_us: float) -> AbstractContextManager[Timer]:
        """See `Turns`. The compiler tells cycles; nothing is timed."""
        raise NotImplementedError("models for an Ethos-U are not timed")


class VelaAccount:
    """Vela as an account of cycles; see `CycleAccount`."""

    kind: ProvenanceKind = "estimated"

    def __init__(self, target: Target) -> None:
        from ofa_edge.export.vela.options import vela_version

        self._system = _system(target)
        self.name = f"Vela {vela_version()}"
        self.clock_hz = self._system.clock_hz

    def facts(self) -> dict[str, Any]:
        """See `CycleAccount`."""
        return {**self._system.facts(), "compiler": self.name}

    def told(self, models: Sequence[Path], cache: StageCache) -> list[AccountRecord]:
        """See `CycleAccount`."""
        return [self._told(each, cache) for each in models]

    def _told(self, model: Path, cache: StageCache) -> AccountRecord:
        from ofa_edge.export.vela.compile import compile_int8
        from ofa_edge.runtimes.npu_account import short_account

        def produce(folder: Path) -> None:
            found = short_account(compile_int8(model, self._system), self._system.macs_per_cycle)
            write_json(folder / ACCOUNT, found.model_dump(mode="json"))

        entry = cache.run("cycles", {"model": sha256_file(model), **self.facts()}, produce, version=2)
        return AccountRecord.model_validate_json(entry.path(ACCOUNT).read_bytes())


def _on_a_core(stages: Stages, export: Export, converted: Converted, samples: Samples) -> HostAnswers:
    """The int8 file before Vela on an emulated arm64 core, as an i.MX 93 runs it without its driver; on some images.

    Raises:
        DeviceError, ToolMissingError, UnsupportedError: there is no emulated core here.
    """
    source, network = converted.entry.path(SOURCE), export.network
    rows = stratified(samples.labels, min(_ON_CORE, len(samples)), 0)

    def run() -> NDArray[np.float32]:
        from ofa_edge.device.emulation.emulated import open_emulated

        with closing(open_emulated(_CORE)) as core:
            request = Request(
                source,
                litert_program,
                network.inputs(samples.take(rows)),
                network.values,
                latency=None,
                count_instructions=False,
                timeout_s=_CORE_TIMEOUT_S,
            )
            return measure(core, request).outputs

    inputs = {"model": converted.entry.files[SOURCE], "test": samples.digest, "images": len(rows), "core": _CORE}
    logits = answers_of(stages, "run-int8-core", inputs, ("ai-edge-litert",), run)
    note = f"{SOURCE} in LiteRT's arm64 kernels on an emulated {_CORE}: what a board's CPU answers, not its accelerator"
    return HostAnswers(f"int8 on emulated {_CORE}", logits, rows=rows, note=note)


def _npu(target: Target) -> Npu:
    if target.npu is None:
        raise ConfigError(
            f"{target.path.name} has no [npu]",
            "the runtime ethos-u has to know the accelerator and the memories around it",
            "ofa-edge targets show ethos-u55-128 has such a table",
        )
    return target.npu


def _system(target: Target) -> "VelaSystem":
    from ofa_edge.export.vela.options import VelaSystem

    return VelaSystem(_npu(target), target.path.parent)
