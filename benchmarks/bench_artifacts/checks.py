"""What the models answer: against torch, against the labels; and their instructions on emulated cores. No times."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench_artifacts.conversions import folder_of, python_path, read_conversion
from bench_artifacts.networks import INPUTS, LABELS, REFERENCE, Network, read_facts
from bench_artifacts.running import LOADERS, answers
from bench_artifacts.tools import Tool, cores_for, tools_for
from ofa_edge.device.emulation.emulated import open_emulated
from ofa_edge.device.emulation.sysroot import cache_folder
from ofa_edge.device.measuring.counting import count_inference
from ofa_edge.device.measuring.programs import litert_program, tvm_program
from ofa_edge.device.measuring.session import open_artifact
from ofa_edge.device.protocol import Request
from ofa_edge.device.runners.build import build_tvm_runner
from ofa_edge.errors import OfaEdgeError
from ofa_edge.files import sha256_file, write_json
from ofa_edge.metrics import top1
from ofa_edge.verify.parity import compare

CHECK, COUNT = "check.json", "count.json"
Say = Callable[[str], None]


def check_all(chosen: Sequence[Network], work: Path, say: Say = print) -> None:
    """Compare the answers of what was converted and not yet checked."""

    def check(tool: Tool, network: Network, folder: Path) -> dict[str, Any]:
        del network
        return _compared(tool, folder)

    _each(chosen, work, CHECK, lambda tool, network: tool.timed and bool(tool.suffix), check, say)


def count_all(chosen: Sequence[Network], work: Path, say: Say = print) -> None:
    """Count the instructions of what was converted and not yet counted."""

    def count(tool: Tool, network: Network, folder: Path) -> dict[str, Any]:
        return {core: _counted(tool, folder, core) for core in cores_for(tool, network)}

    _each(chosen, work, COUNT, lambda tool, network: bool(cores_for(tool, network)), count, say)


def _each(
    chosen: Sequence[Network],
    work: Path,
    name: str,
    wanted: Callable[[Tool, Network], bool],
    find: Callable[[Tool, Network, Path], dict[str, Any]],
    say: Say,
) -> None:
    """Write a file `name` beside each model that is wanted, unless one is there that was found of the same model."""
    for network in chosen:
        folder = folder_of(network, work)
        for tool in tools_for(network):
            done = read_conversion(tool, folder)
            if done is None or not done.ok or not wanted(tool, network):
                continue
            digest = sha256_file(tool.file(folder))
            before = read_found(tool, folder, name)
            if before is None or before["digest"] != digest:
                found = find(tool, network, folder)
                write_json(folder / tool.name / name, {"digest": digest, "found": found})
                say(f"{network.key:20} {tool.name:20} {found}")


def read_found(tool: Tool, folder: Path, name: str) -> dict[str, Any] | None:
    """The digest of the model and what was `found` of it: CHECK or COUNT. None: nothing yet."""
    path = folder / tool.name / name
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _compared(tool: Tool, folder: Path) -> dict[str, Any]:
    """In a process of its own: a runtime that crashes ends that one only."""
    environment = {**os.environ, "PYTHONPATH": python_path(), "TVM_NUM_THREADS": str(tool.threads)}
    command = [sys.executable, "-m", "bench_artifacts.checks", tool.runtime, str(tool.threads), str(tool.file(folder))]
    done = subprocess.run(
        [*command, str(folder)], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"failed": lines[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(runtime: str, threads: int, model: Path, folder: Path) -> dict[str, Any]:
    """A model's answers against torch's and against the labels.

    Returns:
        `snr_db` over all logits, `relative` the largest difference as a share of the largest logit, `agreement` of the
        classes with torch's, and `top1` with the labels where they mean something.
    """
    reference, labels = (np.load(folder / name, allow_pickle=False) for name in (REFERENCE, LABELS))
    logits = answers(LOADERS[runtime](model, threads), np.load(folder / INPUTS, allow_pickle=False))
    difference = compare(reference, logits)
    found = {
        "snr_db": round(difference.snr_db, 1),
        "relative": float(f"{difference.max_abs / np.abs(reference).max():.3g}"),
        "agreement": difference.argmax_agreement,
        "images": len(reference),
    }
    if read_facts(folder)["labelled"]:
        found |= {"top1": top1(logits, labels), "top1_torch": top1(reference, labels)}
    return found


def _counted(tool: Tool, folder: Path, core: str) -> int | str:
    """Instructions of one inference, or why they were not counted."""
    try:
        runner = build_tvm_runner("aarch64", cache_folder()) if tool.suffix == ".so" else None
    except OfaEdgeError as error:
        return f"{error.what}: {error.why}"
    image = np.load(folder / INPUTS, mmap_mode="r", allow_pickle=False)[:1].copy()
    return counted(tool.file(folder), core, image, read_facts(folder)["classes"], runner)


def counted(model: Path, core: str, image: np.ndarray, classes: int, runner: Path | None = None) -> int | str:
    """Instructions of one inference of a TFLite file, or with a runner of a TVM library; or why they were not counted.

    Args:
        model: the file.
        core: emulated.
        image: [1, C, H, W] float32.
        classes: numbers in an answer.
        runner: the folder of TVM's.
    """
    try:
        request = Request(
            artifact=model,
            program=tvm_program if runner else litert_program,
            inputs=image,
            classes=classes,
            runner=runner,
            latency=None,
        )
        with open_artifact(open_emulated(core), request) as artifact:
            found, notes = count_inference(artifact)
    except OfaEdgeError as error:
        return f"{error.what}: {error.why}"
    return found.per_inference if found is not None else "; ".join(notes)


if __name__ == "__main__":
    print(json.dumps(compared(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))))
