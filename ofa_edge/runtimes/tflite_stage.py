"""The stage that makes a bare TFLite file: what LiteRT runs, and what other compilers begin with."""

from collections.abc import Sequence
from pathlib import Path

from ofa_edge.cache import CacheEntry, failures_folder
from ofa_edge.runtimes.answers import installed
from ofa_edge.runtimes.values import Export, Stages
from ofa_edge.vocabulary import numbers

BARE = "bare.tflite"


def bare_tflite(stages: Stages, export: Export, skip: Sequence[str] = ()) -> CacheEntry:
    """A network's file without metadata, `BARE`; `skip` names rewrites that its runtime does not want."""
    from ofa_edge.export.tflite.rewrites import names

    network, meant = export.network, numbers(export.precision)
    images = meant.ranges and network.ranges is None

    def produce(folder: Path) -> None:
        from ofa_edge.export.tflite.convert import convert

        convert(
            network.onnx,
            folder / BARE,
            export.precision,
            network.inputs(export.calibration) if images else None,
            skip=skip,
            preprocessing=network.preprocessing,
            ranges=network.ranges,
            keep_failure=failures_folder() / f"{network.digest[:12]}-{export.precision}.onnx",
        )

    settled = meant.ranges and network.ranges is not None
    inputs = {
        "model": network.digest,
        "precision": export.precision,
        "rewrites": tuple(each for each in names(export.precision, settled=settled) if each not in skip),
        "calibration": export.calibration.digest if images else None,
        "ranges": network.ranges.digest if meant.ranges and network.ranges else None,
        "preprocessing": network.preprocessing and network.preprocessing.to_json(),
    }
    return stages.run("tflite-bare", inputs, (tensorflow(),), produce)


def tensorflow() -> str:
    """The distribution that converts."""
    return "tensorflow-cpu" if installed("tensorflow-cpu") else "tensorflow"
