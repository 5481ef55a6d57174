"""TFLite files, run by LiteRT: on this machine and on boards by its Python package, on phones by the demo app."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge import __version__
from ofa_edge.cache import CacheEntry
from ofa_edge.cost.bytes import SizeModel
from ofa_edge.data.dataset import Samples
from ofa_edge.device.measuring.passes import FunctionTimes, Unavailable, no_profile, operators_pass
from ofa_edge.device.measuring.programs import is_phone, litert_program
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.measuring.turns import open_litert_turns
from ofa_edge.device.needs import Needs
from ofa_edge.device.protocol import Connection, Fingerprint, Program, Request
from ofa_edge.device.wheels import NUMPY, Distribution, Wheels
from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect.findings import Inspection
from ofa_edge.extras import install_line
from ofa_edge.files import copy_file, write_bytes, write_json
from ofa_edge.network import Network, Tensors
from ofa_edge.records.blame import BlameRecord
from ofa_edge.records.mixed import MixedRecord
from ofa_edge.runtimes.answers import answers_of
from ofa_edge.runtimes.base import Runtime, Timer, Turns
from ofa_edge.runtimes.tflite_stage import BARE, bare_tflite, tensorflow
from ofa_edge.runtimes.values import Converted, DropLimit, Export, Facts, HostAnswers, RunHere, Stages, own_example
from ofa_edge.schema import changed
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision, numbers

MIXED = "mixed.json"
_LITERT = Distribution(
    "ai-edge-litert",
    (
        Wheels("2.3.0", (3, 10), (3, 14), (2, 27)),
        Wheels("2.1.0", (3, 9), (3, 13), (2, 27)),
        Wheels("1.4.0", (3, 9), (3, 12), (2, 17)),
    ),
)


class TFLite(Runtime):
    """See `Runtime`."""

    name = "tflite"
    title = "LiteRT"
    packages = ("ai-edge-litert",)
    modelled = True
    artifact_name = "model.tflite"
    precisions = ("fp32", "fp16", "fp16-acc16", "dynamic", "int8")
    modules = MappingProxyType(
        {
            "tensorflow": install_line("tflite"),
            "tensorflow_lite_support": "pip install --no-deps tflite-support==0.4.4",
        }
    )
    # Printed by benchmarks/artifact_sizes.py, of 24 artifacts each; a network left out of the fit is within 5.1 %.
    sizes = MappingProxyType(
        {
            "fp32": SizeModel(4, 3.16, 0, 13.71, 5.33, 24542.2, 0.037),
            "fp16": SizeModel(2, 3.66, 41.57, 1325.13, 0, 27076.8, 0.036),
            "int8": SizeModel(1, 14.92, 24.63, 1278.68, 14.1, 29425.8, 0.043),
        }
    )
    app = True
    mixes = True
    suppresses = True
    rounds_as_trained = True
    delegates = "ai-edge-litert"
    example = own_example("litert")

    @property
    def turns(self) -> Turns:
        """See `Runtime`."""
        return TFLiteTurns()

    def convert(self, stages: Stages, export: Export) -> Converted:
        """Convert, then add metadata: the metadata name the target, the slow conversion is the same for a fleet."""
        bare = bare_tflite(stages, export)
        if export.limit is not None:
            bare = self._mixed(stages, export, export.limit, bare)
        if export.inside is not None:
            bare = self._suppressed(stages, export, bare)
        network = export.outcome
        origin = network.origin
        words = numbers(export.precision).words
        description = {
            "name": origin.title,
            "description": f"{origin.words} for {export.target.name}, {words}"
            + ("" if origin.trained else "; UNTRAINED: random weights"),
            "version": __version__,
        }
        facts = _facts(export)
        classifies = network.task == "classify"
        labels = network.labels if classifies else ()
        names = [each.name for each in network.interface.inputs]
        sources = ["input"] if len(names) == 1 else names
        outputs = ["logits"] if classifies else [each.name for each in network.interface.outputs]

        def produce(folder: Path) -> None:
            from ofa_edge.export.tflite.metadata_writer import write_metadata

            write_metadata(
                bare.path(BARE),
                folder / self.artifact_name,
                network.preprocessing,
                labels,
                facts=facts,
                inputs=sources,
                outputs=outputs,
                **description,
            )
            if MIXED in bare.files:
                copy_file(bare.path(MIXED), folder / MIXED)

        inputs = {
            "bare": bare.files[BARE],
            "mixed": bare.files.get(MIXED),  # an account, also where nothing had to be left in fp32
            "labels": list(labels),
            "facts": facts,
            "inputs": sources,
            "outputs": outputs,
            **description,
        }
        entry = stages.run("tflite", inputs, ("tflite-support",), produce)
        return Converted(entry, entry.path(self.artifact_name))

    def _mixed(self, stages: Stages, export: Export, limit: DropLimit, bare: CacheEntry) -> CacheEntry:
        """The int8 file with the fewest layers in fp32 that keep a limit."""

        def produce(folder: Path) -> None:
            from ofa_edge.export.tflite.choosing import choose
            from ofa_edge.export.tflite.int8_blame import pair_of

            images, labels = export.network.inputs(limit.images), limit.images.labels
            pair = pair_of(bare.path(BARE), export.network.onnx)
            content, record = choose(pair, images, labels if limit.labelled else None, limit.allowed)
            write_bytes(folder / BARE, content)
            write_json(folder / MIXED, record.model_dump(mode="json"))

        inputs = {
            "bare": bare.files[BARE],
            "model": export.network.digest,
            "asked": limit.allowed.words,
            "images": limit.images.digest,
            "labelled": limit.labelled,
        }
        return stages.run("tflite-mixed", inputs, ("ai-edge-litert",), produce)

    def tensors(self, artifact: Path, network: Network) -> Tensors:
        """See `Runtime`. Images stand as [1, H, W, C], and an int8 file stores integers."""
        from ofa_edge.export.tflite.running import own_tensors

        inputs, outputs = own_tensors(artifact)
        given = network.interface.tensors
        return (
            tuple(
                changed(each, **own, layout=each.layout and "NHWC") for each, own in zip(given[0], inputs, strict=True)
            ),
            tuple(changed(each, **own) for each, own in zip(given[1], outputs, strict=True)),
        )

    def _suppressed(self, stages: Stages, export: Export, raw: CacheEntry) -> CacheEntry:
        """The file with decoding and suppression inside, which stay in fp32."""

        def produce(folder: Path) -> None:
            from ofa_edge.export.tflite.suppress import write_suppressed

            write_suppressed(raw.path(BARE), folder / BARE, export.decoding)
            if MIXED in raw.files:
                copy_file(raw.path(MIXED), folder / MIXED)

        inputs = {**raw.files, "decoding": export.decoding.to_json()}
        return stages.run("tflite-suppressed", inputs, (tensorflow(), "ai-edge-litert"), produce)

    def facts(self, converted: Converted) -> Facts:
        """Which layers are in fp32, where a limit asked for it."""
        if MIXED not in converted.entry.files:
            return Facts()
        record = MixedRecord.model_validate_json(converted.entry.path(MIXED).read_bytes())
        return Facts((converted.entry.path(MIXED),), mixed=record)

    def blame(self, export: Export, converted: Converted, samples: Samples, labelled: bool) -> BlameRecord | None:
        """See `Runtime`. Of files that are int8 throughout, of one input, each operator with a partner in fp32."""
        if len(export.network.interface.inputs) > 1 or export.precision != "int8" or MIXED in converted.entry.files:
            return None
        from ofa_edge.export.tflite.int8_blame import blame, pair_of

        try:
            pair = pair_of(converted.path, export.network.onnx)
        except ModelFileError:  # a constant that int8's steps make 0, or an operator that stays in fp32: no account
            return None
        return blame(pair, export.network.inputs(samples), samples.labels if labelled else None)

    def run_here(self, stages: Stages, export: Export, converted: Converted, samples: Samples) -> RunHere:
        """The very file, by LiteRT."""
        logits = answers_of(
            stages,
            "run-tflite",
            {"model": converted.digest, "test": samples.digest},
            ("ai-edge-litert",),
            lambda: self.answers(converted.path, export.network.inputs(samples)),
        )
        words = numbers(export.precision).words
        return RunHere((HostAnswers(f"{self.name} {words}", logits, itself=True),))

    def answers(self, artifact: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`. A TFLite file runs anywhere."""
        from ofa_edge.export.tflite.convert import run_tflite

        return run_tflite(artifact, inputs)

    def delegation(self, artifact: Path) -> Inspection:
        """See `Runtime`. LiteRT is asked what XNNPACK takes, so the answer is of this machine."""
        from ofa_edge.export.inspect import inspect_model

        return inspect_model(artifact)

    def operators(self, artifact: Path) -> dict[str, int]:
        """See `Runtime`."""
        from ofa_edge.export.inspect.tflite_model import read_model

        return dict(Counter(op.name for graph in read_model(artifact).subgraphs for op in graph.operators))

    def program(self, connection: Connection, request: Request, device: Fingerprint) -> Program:
        """See `Runtime`."""
        return litert_program(connection, request, device)

    def needs(self, target: Target, device: Fingerprint) -> Needs:
        """See `Runtime`: LiteRT's Python package; on a phone the demo app has its own."""
        return Needs() if is_phone(device) else Needs({"numpy": NUMPY, "ai_edge_litert.interpreter": _LITERT})

    def profile(self, artifact: OpenArtifact) -> FunctionTimes | Unavailable:
        """Each operator as a file of its own: LiteRT's interpreter tells no profile."""
        from ofa_edge.export.inspect.single_operators import single_operators

        if (unavailable := no_profile(artifact)) is not None:
            return unavailable  # before the work of splitting
        with tempfile.TemporaryDirectory(prefix="ofa-profile-") as folder:
            files = {}
            for each in single_operators(artifact.request.artifact):
                files[each.name] = Path(folder) / f"{each.index}.tflite"
                write_bytes(files[each.name], each.content)
            return operators_pass(artifact, files)


class TFLiteTurns(Turns):
    """See `Turns`."""

    suffix = ".tflite"
    batch = 24  # TensorFlow takes longer to start than to convert one

    def facts(self, target: Target, precision: Precision) -> dict[str, Any]:
        """See `Turns`."""
        from ofa_edge.export.tflite.rewrites import names

        del target
        return {"versions": {tensorflow(): metadata.version(tensorflow())}, "rewrites": list(names(precision))}

    def make(self, jobs: Sequence[tuple[Path, Path]], target: Target, precision: Precision) -> None:
        """See `Turns`."""
        from ofa_edge.export.tflite.convert import convert_many

        del target
        convert_many(jobs, precision)

    def open(self, connection: Connection, target: Target, sample_us: float) -> AbstractContextManager[Timer]:
        """See `Turns`."""
        return open_litert_turns(connection, target.runtime.threads, sample_us)


def _facts(export: Export) -> dict[str, Any]:
    """What the file says of itself, for programs."""
    preprocessing = export.network.preprocessing
    return {**export.network.origin.facts(), "preprocessing": preprocessing and preprocessing.to_json()}
