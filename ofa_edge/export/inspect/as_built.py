"""An ONNX file as a build would convert it: sizes fixed, simplified. What is left of it is what has to convert.

ONNX Runtime and onnxsim run in a process of their own, with a limit of time and of memory, for the file is anybody's.
Both read all weights, some four times their bytes at once; of more than 512 MB, which no device here holds, the file is
judged as it stands and its weights stay where they are.
"""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from ofa_edge.errors import ConfigError, ConversionError, UnsupportedError
from ofa_edge.export.inspect.findings import Finding
from ofa_edge.export.onnx.given_inputs import read_inputs, values_read
from ofa_edge.export.onnx.load import Loaded
from ofa_edge.export.process import ended_by_others, how_it_ended, own_environment, what_to_try
from ofa_edge.extras import install_line, installed
from ofa_edge.shapes import Shape, known_sizes, shape_example, shape_options
from ofa_edge.shown import pasteable
from ofa_edge.system import disk_error

if TYPE_CHECKING:
    import onnx

_TIMEOUT_S = 300
_MOST = 512 * 2**20  # bytes of weights
WORKER = ("-m", "ofa_edge.export.inspect.as_built_worker")


@dataclass(frozen=True)
class AsBuilt:
    """What a build would make of a file first.

    Attributes:
        path: of the prepared file; None where there is none, and the file is judged as it stands.
        said: what was done to get it, or why it was not.
        shapes: of the inputs, by name; empty where sizes are free.
        findings: about what stands in the way.
        free: whether sizes are free that nobody gave.
    """

    path: Path | None
    said: str
    shapes: Mapping[str, Shape]
    findings: tuple[Finding, ...] = ()
    free: bool = False


def as_built(path: Path, loaded: Loaded, shape: str | None, folder: Path, worker: Sequence[str] = WORKER) -> AsBuilt:
    """Prepare a file as a build does, into a folder.

    Args:
        path: the file.
        loaded: the same, without its weights.
        shape: of its inputs where it leaves sizes free, as `read_given` takes it.
        folder: to write into.
        worker: Python's arguments up to the worker's own.

    Raises:
        ConfigError: shapes that do not fit, or not all of those that are free.
        ConversionError: somebody ended the process.
    """
    graph = loaded.model.graph
    entries = _entries(graph)
    try:
        inputs = read_inputs(entries, graph, [each.name for each in graph.output], path.name, shape)
    except ConfigError as error:
        if shape is not None:
            raise
        return _free(path, graph, entries, error)
    except UnsupportedError as error:
        finding = Finding("interface", "fault", f"{error.what}: {error.why}", error.hint)
        return AsBuilt(None, f"no build takes it: {error.what}", {}, (finding,))
    shapes = {each.name: each.given_shape for each in inputs}
    size = path.stat().st_size + sum(loaded.data_files.values())
    if not installed("onnxsim"):
        return _left("onnxsim is not installed", install_line("export"), shapes)
    if size > _MOST:
        why = f"it has {size:,} bytes, and a file of more than {_MOST:,} is not read whole for it"
        return _left(why, "ofa-edge build, which reads it", shapes)
    return _prepared(path, folder / "prepared.onnx", (str(size), shape or ""), shapes, worker)


def _prepared(
    path: Path, out: Path, said: tuple[str, str], shapes: Mapping[str, Shape], worker: Sequence[str]
) -> AsBuilt:
    """What the worker makes. `said`: bytes and shape, as it takes them."""
    done = _run([*worker, str(path.resolve()), str(out), *said])
    if done is None:
        return _left(f"that took more than {_TIMEOUT_S} s", "run onnxsim over the file", shapes)
    if done.returncode:
        hint = what_to_try(done, "run onnxsim over the file, or export the network again")
        return _left(f"the process ended by {how_it_ended(done)}", hint, shapes)
    facts = json.loads(done.stdout.splitlines()[-1])
    if "refused" in facts:
        return _left(facts["refused"], facts["hint"], shapes, ours=False)
    return AsBuilt(out, ", ".join(facts["changes"]), shapes)


def _run(arguments: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    """The worker's end; None where it took too long."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=own_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    if full := disk_error(done.stderr):
        raise full
    if ended_by_others(done):
        hint = what_to_try(done, "run the same command again")
        raise ConversionError("the process that prepares the file was ended", how_it_ended(done), hint)
    return done


def _left(why: str, hint: str, shapes: Mapping[str, Shape], *, ours: bool = True) -> AsBuilt:
    """Judged as it stands. `ours`: for a reason that does not keep a build from taking it."""
    what = "judged as it stands, not as a build would convert it: " if ours else "no build takes it: "
    finding = Finding("not-prepared", "warning" if ours else "fault", what + why, hint)
    return AsBuilt(None, f"not prepared: {why}", shapes, (finding,))


def _free(path: Path, graph: "onnx.GraphProto", entries: Sequence[SimpleNamespace], error: ConfigError) -> AsBuilt:
    """Sizes that somebody has to choose; what to type; and what no size would mend."""
    outputs = [each.name for each in graph.output]
    read = values_read(graph, outputs)
    said = {each.name: each.shape for each in entries}
    usual = known_sizes(said, {})
    free = {name: sizes for name, sizes in usual.items() if name in read and None in sizes}
    command = pasteable("ofa-edge", "inspect", path) + f" {shape_options(free, len(said))}" if free else error.hint
    what = "inputs with free sizes: an artifact is made for one size, and what of it converts shows once that is given"
    words = tuple(f"{name} [{', '.join(str(size or '?') for size in said[name])}]" for name in free)
    findings = [Finding("dynamic-shape", "warning", what, command, words)]
    example = ",".join(f"{name}={shape_example(sizes)}" for name, sizes in free.items())
    try:
        read_inputs(entries, graph, outputs, path.name, example or None)
    except UnsupportedError as other:
        findings.append(Finding("interface", "fault", f"{other.what}: {other.why}", other.hint))
    except ConfigError:  # sizes that depend on each other in a way that no name tells
        pass
    return AsBuilt(None, "", {}, tuple(findings), free=True)


def _entries(graph: "onnx.GraphProto") -> list[SimpleNamespace]:
    """The inputs as ONNX Runtime tells them, told without it: it would read the weights."""
    from onnx import TensorProto

    constants: Collection[str] = {each.name for each in graph.initializer}
    found = []
    for value in graph.input:
        if value.name in constants:
            continue
        kind = value.type.WhichOneof("value") or "tensor_type"
        number = value.type.tensor_type.elem_type
        name = TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else "undefined"
        dims = value.type.tensor_type.shape.dim
        found.append(
            SimpleNamespace(
                name=value.name,
                type=f"tensor({name})" if kind == "tensor_type" else kind,
                shape=[dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in dims],
            )
        )
    return found
