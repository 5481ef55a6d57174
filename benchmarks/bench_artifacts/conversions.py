"""Making every model of every tool, each kept under a key, with what it cost."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import ofa_edge
from bench_artifacts import peers
from bench_artifacts.networks import CALIBRATION, STATIC, Network, prepare
from bench_artifacts.tools import TOOLS, Tool, tools_for
from ofa_edge.files import canonical_json, sha256_bytes, sha256_file, write_bytes, write_json

RECORD, LOG = "conversion.json", "log.txt"
LIMIT_S = 3600
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}
_ROOT = Path(ofa_edge.__file__).parents[1]
_SCRIPTS = Path(__file__).parent
_PACKAGES = {
    "onnx": ("torch", "onnx", "onnxsim"),
    "program": ("torch",),
    "tvm": ("apache-tvm",),
    "ncnn": ("pnnx",),
    "ort-int8": ("onnx", "onnxruntime"),
}
_TENSORFLOW = ("tensorflow-cpu",)
_EXPORT = _ROOT / "ofa_edge" / "export"
# A change of the project's code converts again what it may have changed: for the export to ONNX two files, for the rest
# all of export/ but for the rooms of other runtimes.
_ONNX_FILES = ("onnx/export.py", "../supernet/fold.py")
_OWN_FILES = {"ort-int8": ("onnx/quantise.py",), "ncnn": ("../../examples/ofa-edge-ncnn/ofa_edge_ncnn/convert.py",)}
_OTHERS = {
    "tflite": ("tvm", "cuda"),
    "tvm": ("tflite", "cuda"),
}


@dataclass(frozen=True)
class Conversion:
    """What one conversion gave and cost.

    Attributes:
        key: digest of all that decides the result.
        reason: why there is no file; None: there is one.
        wall_s: of the whole process, its start included.
        cpu_s: of it and the processes that it waited for.
        size: of the file in bytes.
    """

    key: str
    reason: str | None
    wall_s: float
    cpu_s: float
    size: int | None

    @property
    def ok(self) -> bool:
        """Whether there is a file."""
        return self.reason is None


def python_path() -> str:
    """Where processes of this benchmark import from: the project, its benchmarks, the package that brings ncnn."""
    return os.pathsep.join(map(str, (_ROOT, _SCRIPTS.parent, _ROOT / "examples" / "ofa-edge-ncnn")))


def folder_of(network: Network, work: Path) -> Path:
    """Where a network's files lie."""
    return work / "networks" / network.key


def read_conversion(tool: Tool, folder: Path) -> Conversion | None:
    """What was recorded of a tool on the network in `folder`."""
    path = folder / tool.name / RECORD
    return Conversion(**json.loads(path.read_bytes())) if path.is_file() else None


def convert_all(
    chosen: Sequence[Network],
    work: Path,
    only: Sequence[str] = (),
    retry: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Make what is missing or out of date; a tool that fails is recorded with its reason, and the rest goes on.

    Args:
        chosen: the networks.
        work: the folder of everything.
        only: names of tools; what they start from is made too. None: all.
        retry: try again what failed before with the same inputs.
        say: told of each conversion.
    """
    wanted = set(only or [tool.name for tool in TOOLS])
    wanted |= {tool.source for tool in TOOLS if tool.name in wanted and tool.source}
    ready = {
        name: peers.ensure(name, work, say) for name in sorted({t.peer for t in TOOLS if t.name in wanted and t.peer})
    }
    for network in chosen:
        folder = folder_of(network, work)
        prepare(network, folder)
        for tool in tools_for(network):
            if tool.name in wanted and tool.suffix:
                done = _convert(tool, folder, ready, retry)
                state = "ok" if done.ok else f"FAILED: {done.reason}"
                say(f"{network.key:20} {tool.name:20} {done.cpu_s:7.1f} s CPU  {state}")


def _convert(tool: Tool, folder: Path, ready: Mapping[str, peers.Environment], retry: bool) -> Conversion:
    source = _source(tool, folder)
    environment = ready.get(tool.peer) if tool.peer else None
    if environment is not None and environment.reason:
        return _record(tool, folder, Conversion(_missing(tool, environment), environment.reason, 0.0, 0.0, None))
    if not source.is_file():
        why = f"no {source.parent.name} to start from"
        return _record(tool, folder, Conversion(sha256_bytes(why.encode()), why, 0.0, 0.0, None))
    given = sha256_file(source)
    key = _key(tool, folder, given, environment)
    before = read_conversion(tool, folder)
    if before is not None and before.key == key and (tool.file(folder).is_file() if before.ok else not retry):
        return before
    shutil.rmtree(folder / tool.name, ignore_errors=True)
    (folder / tool.name).mkdir(parents=True)
    part = tool.file(folder).with_stem("part")
    command, variables = _command(tool, folder, source, part, environment)
    reason, wall, cpu = run_conversion(command, variables, folder / tool.name)
    if sha256_file(source) != given:  # all tools start from this file
        raise SystemExit(f"{tool.name} changed {source}: remove its folder, and give the tool a copy")
    if reason is None and not part.is_file():
        reason = "it wrote no file"
    if reason is None:
        part.replace(tool.file(folder))
    size = tool.file(folder).stat().st_size if reason is None else None
    return _record(tool, folder, Conversion(key, reason, round(wall, 2), round(cpu, 2), size))


def _source(tool: Tool, folder: Path) -> Path:
    sources = {each.name: each for each in TOOLS}
    return folder / STATIC if tool.source is None else sources[tool.source].file(folder)


def _missing(tool: Tool, environment: peers.Environment) -> str:
    return sha256_bytes(canonical_json([tool.name, environment.reason]))


def _record(tool: Tool, folder: Path, done: Conversion) -> Conversion:
    write_json(folder / tool.name / RECORD, asdict(done))
    return done


def _key(tool: Tool, folder: Path, given: str, environment: peers.Environment | None) -> str:
    inputs = [sha256_file(folder / name) for name in tool.inputs()]
    if environment is not None:
        made_by: Any = [environment.versions, sha256_file(environment.script)]
    else:
        family = tool.name if tool.name in _PACKAGES else "tvm" if tool.runtime.startswith("tvm") else "tflite"
        made_by = [
            {package: metadata.version(package) for package in _PACKAGES.get(family, _TENSORFLOW)},
            _code(family),
        ]
    return sha256_bytes(canonical_json([tool.name, given, inputs, made_by]))


def _code(family: str) -> str:
    """Digest of the project's files that decide what a family of tools makes."""
    if family in _OTHERS:
        files = [path for path in sorted(_EXPORT.rglob("*.py")) if _belongs(path, family)]
    else:
        files = [_EXPORT / name for name in _OWN_FILES.get(family, _ONNX_FILES)]
    return sha256_bytes("".join(sha256_file(path) for path in files).encode())


def _belongs(path: Path, family: str) -> bool:
    return path.relative_to(_EXPORT).parts[0] not in _OTHERS[family]


def _command(
    tool: Tool, folder: Path, source: Path, out: Path, environment: peers.Environment | None
) -> tuple[list[str], dict[str, str]]:
    calibration = [str(folder / CALIBRATION)] if tool.precision == "int8" else []
    if environment is not None:
        arguments = [str(source), str(out), *calibration]
        return [str(environment.python), str(environment.script), *arguments], QUIET
    command = [sys.executable, "-m", "bench_artifacts.make", tool.name, str(source), str(out), *calibration]
    return command, {**QUIET, "PYTHONPATH": python_path()}


def run_conversion(command: list[str], variables: dict[str, str], folder: Path) -> tuple[str | None, float, float]:
    """Run a conversion: why it failed or None, wall and CPU seconds. What it prints is kept in the folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    start, used = time.monotonic(), _children_cpu()
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        text, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        text, code = error.stdout or b"", -1
    wall, cpu = time.monotonic() - start, _children_cpu() - used
    write_bytes(folder / LOG, text)
    if code == 0:
        return None, wall, cpu
    if code == -1:
        return f"not done in {LIMIT_S} s", wall, cpu
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return (lines or [f"exit code {code}"])[-1][:300], wall, cpu


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
