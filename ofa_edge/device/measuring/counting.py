"""Count the instructions of an emulated program with a QEMU plugin, compiled on first use and kept in the cache."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from ofa_edge.device.connections.process import run_error
from ofa_edge.device.emulation.emulated import EmulatedConnection, qemu_version
from ofa_edge.device.emulation.sysroot import cache_folder
from ofa_edge.device.measuring.modelled_cycles import BlockCounts, find_core_model, read_blocks
from ofa_edge.device.measuring.programs import with_count
from ofa_edge.device.measuring.session import OpenArtifact
from ofa_edge.device.protocol import Instructions
from ofa_edge.errors import DeviceRunError, OfaEdgeError, OtherModelError, ToolMissingError
from ofa_edge.files import atomic_path, sha256_bytes

_COMPILE_TIMEOUT_S = 120.0
_COUNTED_RUNS = 5


@dataclass(frozen=True)
class Counter:
    """An emulator that takes plugins, and our plugin compiled."""

    qemu: Path
    plugin: Path


def find_counter() -> Counter:
    """The counting emulator.

    Raises:
        ToolMissingError: QEMU without plugins, no C compiler, or the plugin does not compile.
    """
    qemu, compiler = shutil.which("qemu-aarch64"), shutil.which("gcc") or shutil.which("cc")
    if qemu is None:  # the static build cannot load a plugin
        raise ToolMissingError(
            "no qemu-aarch64", "only the dynamically linked one takes plugins", "apt install qemu-user"
        )
    if compiler is None:
        raise ToolMissingError("no C compiler", "the counting plugin is compiled on first use", "apt install gcc")
    source = resources.files("ofa_edge.device.measuring").joinpath("_qemu", "insncount.c").read_bytes()
    plugin = cache_folder() / f"insncount-{sha256_bytes(source)[:12]}.so"
    if not plugin.is_file():
        _compile(compiler, source, plugin)
    return Counter(Path(qemu), plugin)


def _compile(compiler: str, source: bytes, plugin: Path) -> None:
    with atomic_path(plugin) as part:
        argv = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-x", "c", "-o", str(part), "-"]
        done = subprocess.run(argv, input=source, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=False)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            raise ToolMissingError("the counting plugin does not compile", said, "apt install gcc libc6-dev")


def count_instructions(
    connection: EmulatedConnection,
    argv: Sequence[str],
    env: dict[str, str],
    timeout_s: float,
    check: Callable[[str], object],
    *,
    blocks: bool = False,
) -> tuple[Instructions, BlockCounts | None]:
    """Run a program that marks its inferences (see `runner_passes.count`) and count each one's instructions.

    Args:
        connection: to the device.
        argv: the program.
        env: its variables.
        timeout_s: limit.
        check: looks at what it printed.
        blocks: also count what each block of code ran and what the caches missed; takes about twice as long.

    Raises:
        ToolMissingError: see `find_counter`.
        DeviceRunError: the program failed, or made no marks; and what `check` raises.
    """
    counter = find_counter()
    with tempfile.TemporaryDirectory(prefix="ofa-count-") as folder:
        marks, ran = Path(folder) / "marks", Path(folder) / "blocks"
        options = ["-plugin", f"{counter.plugin},out={marks}" + (f",blocks={ran}" if blocks else "")]
        command = connection.emulate(counter.qemu, options, argv)
        completed = connection.execute(command, connection.guest_environment(env), timeout_s)
        if completed.returncode != 0:
            raise run_error(connection.name, completed)
        check(completed.stdout)
        text = marks.read_text()
        counts = read_blocks(ran.read_text()) if blocks else None
    emulator = f"{qemu_version(counter.qemu)}, cpu {connection.core.name}"
    return instructions_from_marks(text, emulator), counts


def instructions_from_marks(text: str, emulator: str) -> Instructions:
    """The count of one inference from the plugin's lines.

    Marks 2k and 2k + 1 stand before and after run k. The second half of the runs is empty: their median is what the
    marks themselves cost (thousands of instructions from Python, a handful from C++), and is taken off.

    Raises:
        DeviceRunError: too few marks.
    """
    found = {
        int(mark): int(executed)
        for mark, executed in re.findall(r"^MARK ([0-9]{1,18}) ([0-9]{1,18})$", text, re.MULTILINE)
    }
    pairs = sorted(mark // 2 for mark in found if mark % 2 == 0 and mark + 1 in found)
    spans = np.array([found[2 * pair + 1] - found[2 * pair] for pair in pairs], np.int64)
    runs = len(spans) // 2
    if runs == 0:
        raise DeviceRunError(
            "no instructions were counted", f"{len(found)} marks", "is qemu-user 7.2 or newer installed?"
        )
    counts = spans[:runs] - int(np.median(spans[runs:]))
    middle = int(np.median(counts))
    if middle <= 0:
        raise DeviceRunError(
            "no instructions were counted", f"{middle} an inference, marks taken off", "run the same command again"
        )
    spread = float(np.ptp(counts)) / middle
    return Instructions(per_inference=middle, spread=spread, counted=runs, threads=1, emulator=emulator)


def count_inference(artifact: OpenArtifact) -> tuple[Instructions | None, tuple[str, ...]]:
    """Instructions and modelled cycles of one inference, or why there are none; nothing else depends on them.

    Raises:
        OtherModelError: they are of another model.
    """
    if not artifact.request.count_instructions:
        return None, ("instructions not counted: not asked for",)
    connection = artifact.connection
    if not isinstance(connection, EmulatedConnection):
        return None, ("instructions not counted: only --device emulated starts the counting emulator itself",)
    argv = with_count(artifact.first("counted"), _COUNTED_RUNS)
    notes: tuple[str, ...] = ()
    try:
        model = find_core_model(connection.core.name)
    except (ToolMissingError, DeviceRunError) as error:
        model, notes = None, _not("cycles not modelled", error)
    try:
        environment = artifact.program.environment(artifact.work)
        limit = artifact.request.timeout_s
        counted, blocks = count_instructions(
            connection, argv, environment, limit, artifact.facts, blocks=model is not None
        )
    except OtherModelError:
        raise
    except (ToolMissingError, DeviceRunError) as error:
        return None, _not("instructions not counted", error)
    if model is not None and blocks is not None:
        try:
            counted = replace(counted, cycles=model.cycles(blocks))
        except DeviceRunError as error:
            notes = _not("cycles not modelled", error)
    return counted, notes


def _not(what: str, error: OfaEdgeError) -> tuple[str]:
    """A measurement's note."""
    return (f"{what}: {error.what}: {error.why}",)
