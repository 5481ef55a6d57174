"""Our TFLite files beside those of onnx2tf and litert-torch: the same networks of others, the same images.

    pip install timm                       # and the torchvision that fits the torch at hand
    python benchmarks/rivals.py convert    # every file of every tool; resumes
    python benchmarks/rivals.py time       # on this machine, rounds in turn
    python benchmarks/rivals.py count      # instructions on emulated cores
    python benchmarks/rivals.py table > docs/benchmarks/rivals.md

The others run in environments of their own, which `convert` makes in the work folder from the versions pinned in
bench_artifacts (6 GB); `--litert-torch`, `--onnx2tf` and `--onnx2tf-2` name the Python of environments that are there
already. onnx2tf 2 wants Python 3.12: `python3.12 -m venv FOLDER`, its pip with bench_artifacts/onnx2tf-2.txt, and
`--onnx2tf-2 FOLDER/bin/python`. A tool that cannot be had is said to be missing. Networks have random weights; batch
norms are calibrated on the images that also set int8 ranges, for every tool the same.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxsim
import torch
from any_network import draw_anew
from bench_artifacts import peers
from bench_artifacts.checks import counted
from bench_artifacts.conversions import LOG, QUIET, python_path, run_conversion
from bench_artifacts.record import processor
from bench_artifacts.rivals_page import PEERS, page
from bench_artifacts.running import LiteRt, answers
from bench_artifacts.tools import COUNTED_CORES
from numpy.typing import NDArray
from torch import nn
from tvm_networks import Detector

from ofa_edge.export.tflite.convert import operators
from ofa_edge.files import sha256_file, write_json
from ofa_edge.verify.parity import compare
from ofa_edge.workflows.build.images import random_images

RECORDED = Path(__file__).parent / "rivals_results.json"
WORK = Path(__file__).parents[1] / "runs" / "rivals"
NAMES = (
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
    "efficientnet_lite0",
    "mnasnet_100",
    "resnet18",
    "mobileone_s0",
    "ghostnet_100",
    "regnety_002",
    "convnext_atto",
    "detector",
)
TOOLS, PRECISIONS = ("ours", *PEERS), ("fp32", "int8")
SIZE, IMAGES, BATCH, OPSET = 224, 32, 16, 17
MEAN, STD = (np.array(each, np.float32) for each in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
ROUNDS, TURN_S, WARM = 11, 0.15, 2
_PACKAGES = ("timm", "torch", "onnx", "onnxsim", "tensorflow-cpu", "ai-edge-litert")


def images(folder: Path) -> tuple[Path, Path]:
    """Files of smooth random images, normalised [IMAGES, C, H, W]: to calibrate on, to test on."""
    paths = folder / "calibration.npy", folder / "test.npy"
    if not paths[1].is_file():
        data = random_images((SIZE, SIZE), 3)
        for path, part in zip(paths, (data.calibration, data.validation), strict=True):
            values = ((part.sample(IMAGES).pixels - MEAN) / STD).transpose(0, 3, 1, 2)
            np.save(path, np.ascontiguousarray(values, np.float32))
    return paths


def network(name: str, calibration: NDArray[np.float32]) -> nn.Module:
    """With random weights, and batch norms as after training: else random networks fade to nothing over their depth."""
    torch.manual_seed(0)
    if name == "detector":
        net: nn.Module = Detector()
    else:
        import timm

        net = timm.create_model(name, pretrained=False)
    draw_anew(net)
    net.eval()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.train()
    with torch.no_grad():
        for at in range(0, len(calibration), BATCH):
            net(torch.from_numpy(calibration[at : at + BATCH]))
    net.eval()
    if hasattr(net, "stages") and name.startswith("mobileone"):  # as its authors deploy it: a branch for each layer
        from timm.utils import reparameterize_model

        net = reparameterize_model(net)
    return net


def prepare(name: str, folder: Path) -> None:
    """What the tools start from: an ONNX file and an exported program, and torch's own answers."""
    if (folder / "reference.npy").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    calibration, test = (np.load(path) for path in images(folder.parent))
    net, example = network(name, calibration), torch.zeros(1, 3, SIZE, SIZE)
    torch.export.save(torch.export.export(net, (example,)), folder / "model.pt2")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        path = folder / "model.onnx"
        torch.onnx.export(net, (example,), str(path), dynamo=False, opset_version=OPSET, input_names=["input"])
    simple, _ = onnxsim.simplify(onnx.load(path))
    onnx.save(simple, path)
    with torch.no_grad():
        reference = net(torch.from_numpy(test)).flatten(1).numpy()
    np.save(folder / "reference.npy", reference)


def convert(tool: str, folder: Path, peer: peers.Environment | None) -> dict[str, dict[str, Any]]:
    """Both files of one tool by precision: what they cost, and how near their answers are to torch's.

    A peer's int8 run makes its fp32 file on the way: one process gives both, and its log lies beside the latter.
    """
    if peer is not None and peer.reason:
        return {precision: {"reason": peer.reason} for precision in PRECISIONS}
    outs = {precision: _file(folder, tool, precision) for precision in PRECISIONS}
    for out in outs.values():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
    source = str((folder / ("model.pt2" if tool == "litert-torch" else "model.onnx")).absolute())
    calibration = str(images(folder.parent)[0].absolute())
    fp32, int8 = map(str, outs.values())
    if peer is None:
        ours = [sys.executable, "-m", "bench_artifacts.make"]
        commands = [[*ours, "ours-fp32", source, fp32], [*ours, "ours-int8", source, int8, calibration]]
    else:
        commands = [[str(peer.python), str(peer.script), source, int8, calibration, fp32]]
    variables = {**QUIET, **({"PYTHONPATH": python_path()} if peer is None else {})}
    runs = [run_conversion(command, variables, Path(command[-1 if peer else 4]).parent) for command in commands]
    if peer is not None and runs[0][0]:  # what fails in int8 may give its fp32 file by itself
        runs.append(run_conversion([*commands[0][:3], fp32], variables, Path(fp32).parent))
    reason = next((run[0] for run in runs if run[0]), None)
    seconds = round(sum(run[2] for run in runs), 1)
    return {precision: {**_facts(out, folder, reason), "cpu_s": seconds} for precision, out in outs.items()}


def _facts(out: Path, folder: Path, reason: str | None) -> dict[str, Any]:
    if not out.is_file():
        return {"reason": reason or f"it wrote no file, see {LOG}"}
    try:
        rows = answers(LiteRt(out, 1), np.load(images(folder.parent)[1]))
    except (RuntimeError, ValueError) as error:
        out.unlink()  # so that it is neither timed nor counted
        return {"reason": f"LiteRT refuses its file: {' '.join(str(error).split())[:160]}"}
    found = compare(np.load(folder / "reference.npy"), rows)
    used = operators(out)
    facts = {
        "digest": sha256_file(out),
        "size": out.stat().st_size,
        "snr_db": round(found.snr_db, 1),
        "operators": len(used),
    }
    return {**facts, "transposes": used.count("TRANSPOSE")}


def _file(folder: Path, tool: str, precision: str) -> Path:
    return (folder / f"{tool}-{precision}" / "model.tflite").absolute()


def times(files: dict[str, Path], image: Path, rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of the quickest inference of each turn by tool, in the order of the rounds.

    A round is a process that holds all files and gives each a turn, beginning with another one each time.
    """
    found: dict[str, list[float]] = {tool: [] for tool in files}
    tools = list(files)
    for number in range(rounds):
        at = number % len(tools)
        turns = "".join(f"{tool} {TURN_S} {WARM}\n" for tool in tools[at:] + tools[:at])
        command = [sys.executable, "-m", "bench_artifacts.worker", "litert", "1", str(image)]
        done = subprocess.run(
            [*command, *(f"{tool}={path}" for tool, path in files.items())], input=turns, text=True, check=True,
            env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE,
        )  # fmt: skip
        for line, tool in zip(done.stdout.splitlines()[1:], tools[at:] + tools[:at], strict=True):
            found[tool].append(round(json.loads(line)["least_cpu_ns"] / 1e6, 4))
    return found


class Record:
    """What was found so far, written after each addition."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {"found": {}, "peers": {}}

    def of(self, name: str) -> dict[str, Any]:
        """Of one network."""
        found: dict[str, Any] = self.known["found"].setdefault(name, {"tools": {}})
        return found

    def write(self) -> None:
        """To the disk."""
        self.known["found"] = {name: self.known["found"][name] for name in NAMES if name in self.known["found"]}
        write_json(self.path, self.known)


def convert_all(names: Sequence[str], tools: Sequence[str], options: argparse.Namespace, record: Record) -> None:
    """What is not there yet, or all of it again."""
    given = {peer: getattr(options, peer.replace("-", "_")) for peer in PEERS}
    ready: dict[str, peers.Environment] = {}
    for each in PEERS:
        if each in tools:
            ready[each] = _given(each, given[each]) if given[each] else peers.ensure(each, options.work, print)
            record.known["peers"][each] = ready[each].versions
    for name in names:
        folder, found = options.work / name, record.of(name)["tools"]
        for tool in tools:
            made = all(_file(folder, tool, precision).is_file() for precision in PRECISIONS)
            if options.again or not made or f"{tool}-int8" not in found:
                prepare(name, folder)
                record.known["versions"] = {name: metadata.version(name) for name in _PACKAGES}  # of what made it
                for precision, facts in convert(tool, folder, ready.get(tool)).items():
                    found[f"{tool}-{precision}"] = facts
                    print(name, tool, precision, facts, flush=True)
                record.write()


def _given(name: str, python: Path) -> peers.Environment:
    """An environment of the user's, and the versions in it."""
    script = peers.script_of(name)
    found = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        return peers.Environment(python, script, {}, f"no pip in {python}")
    versions = dict(line.split("==") for line in found.stdout.splitlines() if line.count("==") == 1)
    environment = peers.Environment(python, script, {key: versions[key] for key in peers.SHOWN if key in versions})
    missing = name.removesuffix("-2") not in versions
    return replace(environment, reason=f"no {name} in {python}") if missing else environment


def _files(name: str, work: Path, tools: Sequence[str]) -> dict[str, Path]:
    paths = {f"{tool}-{precision}": _file(work / name, tool, precision) for precision in PRECISIONS for tool in tools}
    return {tool: path for tool, path in paths.items() if path.is_file()}


def time_all(names: Sequence[str], options: argparse.Namespace, record: Record) -> None:
    """Networks whose files are others than those that were timed."""
    for name in names:
        files = _files(name, options.work, TOOLS)
        digests = {tool: sha256_file(path) for tool, path in files.items()}
        if not files or (not options.again and record.of(name).get("timed") == digests):
            continue
        found = times(files, images(options.work)[1], options.rounds)
        record.known["processor"] = processor()
        record.of(name).update({"times": found, "timed": digests, "load": round(os.getloadavg()[0], 1)})
        print(name, {tool: float(np.median(each)) for tool, each in found.items()}, flush=True)
        record.write()


def count_all(
    names: Sequence[str], tools: Sequence[str], cores: Sequence[str], options: argparse.Namespace, record: Record
) -> None:
    """Files that were not counted yet."""
    for core in cores:
        for name in names:
            classes = np.load(options.work / name / "reference.npy").shape[1]
            image = np.load(images(options.work)[1])[:1].copy()
            for tool, path in _files(name, options.work, tools).items():
                found = record.of(name)["tools"][tool].setdefault("instructions", {})
                digest = sha256_file(path)
                if not options.again and found.get(core, {}).get("digest") == digest:
                    continue
                found[core] = {"count": counted(path, core, image, classes), "digest": digest}
                print(name, tool, core, found[core]["count"], flush=True)
                record.write()


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("convert", "time", "count", "table"))
    parser.add_argument("--work", type=Path, default=WORK, help="the folder of all files")
    parser.add_argument("--name", action="append", choices=NAMES, help="these networks alone")
    parser.add_argument("--tool", action="append", choices=TOOLS, help="these alone, but of `time`")
    parser.add_argument("--core", action="append", choices=COUNTED_CORES, help="count: on these alone")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", type=Path, help="the Python of an environment that has it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--again", action="store_true", help="also what is recorded")
    options = parser.parse_args()
    names, tools = options.name or NAMES, options.tool or TOOLS
    record = Record(RECORDED)
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    if options.command == "table":
        print(page(record.known), end="")
    elif options.command == "convert":
        convert_all(names, tools, options, record)
    elif options.command == "time":
        time_all(names, options, record)
    else:
        count_all(names, tools, options.core or COUNTED_CORES, options, record)


if __name__ == "__main__":
    main()
