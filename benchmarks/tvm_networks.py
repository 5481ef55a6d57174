"""Networks of others compiled with TVM, beside ONNX Runtime: one thread of this machine, rounds in turn.

    pip install timm                                      # and the torchvision that fits the torch at hand
    python benchmarks/tvm_networks.py run [--name N]      # resumes: what is recorded is not measured again
    python benchmarks/tvm_networks.py functions --name N  # where the time of one goes
    python benchmarks/tvm_networks.py table > docs/benchmarks/tvm_networks.md

Networks of timm with random weights at 224 px, exported by torch's legacy exporter and simplified with onnxsim; besides
them a detector with YOLOv8's blocks and a small network of three-dimensional convolutions. Both runtimes take turns in
one process; a ratio is of CPU time of the calling thread within one round, which other programs disturb least.
"""

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnx
import onnxsim
import torch
from torch import nn
from tvm_cpu import onnx_runtime

from ofa_edge.errors import OfaEdgeError
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.schedules.timing import time_functions
from ofa_edge.files import write_json
from ofa_edge.verify.parity import compare

RECORDED = Path(__file__).parent / "tvm_networks_results.json"
ROUNDS, OPSET = 21, 17
CONVOLUTIONAL = (
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "ghostnet_100",
    "resnet18",
    "resnet50",
    "densenet121",
    "regnety_002",
    "repvit_m0_9",
    "fastvit_t8",
    "convnext_atto",
    "detector",
    "volumes",
)
ATTENTION = ("mobilevit_xxs", "edgenext_xx_small", "efficientformer_l1", "vit_tiny_patch16_224")
GOALS = {"convolutional": 1.05, "with attention": 1.5}
_PACKAGES = ("timm", "torch", "onnx", "onnxsim", "apache-tvm", "onnxruntime")


class _Conv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.SiLU())


class _Split(nn.Module):
    """YOLOv8's C2f: half of the channels go through a chain of blocks, and all that came of it is joined."""

    def __init__(self, inputs: int, outputs: int, blocks: int, *, residual: bool) -> None:
        super().__init__()
        self.half, self.residual = outputs // 2, residual
        self.enter = _Conv(inputs, outputs)
        self.leave = _Conv((2 + blocks) * self.half, outputs)
        pairs = ((_Conv(self.half, self.half, 3), _Conv(self.half, self.half, 3)) for _ in range(blocks))
        self.blocks = nn.ModuleList(nn.Sequential(*pair) for pair in pairs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.enter(x).split((self.half, self.half), 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]) if self.residual else block(parts[-1]))
        return self.leave(torch.cat(parts, 1))


class Detector(nn.Module):
    """YOLOv8n's backbone, its ways through the scales, and a head for each, joined to [1, outputs, places]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Conv(3, 16, 3, 2), _Conv(16, 32, 3, 2), _Split(32, 32, 1, residual=True))
        self.p3 = nn.Sequential(_Conv(32, 64, 3, 2), _Split(64, 64, 2, residual=True))
        self.p4 = nn.Sequential(_Conv(64, 128, 3, 2), _Split(128, 128, 2, residual=True))
        self.p5 = nn.Sequential(_Conv(128, 256, 3, 2), _Split(256, 256, 1, residual=True))
        self.squeeze, self.join = _Conv(256, 128), _Conv(512, 256)
        self.pool, self.up = nn.MaxPool2d(5, 1, 2), nn.Upsample(scale_factor=2)
        self.n4, self.n3 = _Split(384, 128, 1, residual=False), _Split(192, 64, 1, residual=False)
        self.down3, self.m4 = _Conv(64, 64, 3, 2), _Split(192, 128, 1, residual=False)
        self.down4, self.m5 = _Conv(128, 128, 3, 2), _Split(384, 256, 1, residual=False)
        self.heads = nn.ModuleList(
            nn.Sequential(_Conv(each, 64, 3), _Conv(64, 64, 3), nn.Conv2d(64, 84, 1)) for each in (64, 128, 256)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One image [1, 3, H, W], H and W multiples of 32."""
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        pools = [self.squeeze(self.p5(p4))]
        for _ in range(3):
            pools.append(self.pool(pools[-1]))
        p5 = self.join(torch.cat(pools, 1))
        p4 = self.n4(torch.cat((self.up(p5), p4), 1))
        p3 = self.n3(torch.cat((self.up(p4), p3), 1))
        p4 = self.m4(torch.cat((self.down3(p3), p4), 1))
        p5 = self.m5(torch.cat((self.down4(p4), p5), 1))
        maps = (head(each) for head, each in zip(self.heads, (p3, p4, p5), strict=True))
        return torch.cat([each.flatten(2) for each in maps], 2)


def _volumes() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2), (64, 128, 2)):
        conv = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        layers += [conv, nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(128, 101))


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network with random weights, and the shape of its input."""
    torch.manual_seed(0)
    if name == "detector":
        return Detector().eval(), (1, 3, 224, 224)
    if name == "volumes":
        return _volumes().eval(), (1, 3, 8, 56, 56)
    import timm

    return timm.create_model(name, pretrained=False).eval(), (1, 3, 224, 224)


def export(name: str, path: Path) -> tuple[int, ...]:
    """Write the simplified ONNX file of a network; the shape of its input."""
    net, shape = network(name)
    with torch.no_grad():  # BatchNorm as after training: else random nets fade to nothing over their depth
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = None
        net.train()(torch.randn(2, *shape[1:]))
        net.eval()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(
            net, (torch.zeros(shape),), str(path), dynamo=False, opset_version=OPSET, input_names=["input"]
        )
    simple, _ = onnxsim.simplify(onnx.load(path))
    onnx.save(simple, path)
    return shape


def prepared(name: str, folder: Path) -> tuple[Path, tuple[int, ...]]:
    """The ONNX file of a network, written where it is not there."""
    path = folder / f"{name}.onnx"
    shape = network(name)[1] if path.is_file() else export(name, path)
    return path, shape


def measured(name: str, folder: Path) -> dict[str, Any]:
    """What became of one network."""
    path, shape = prepared(name, folder)
    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    start = time.process_time()
    try:
        library = tvm.compile_cpu(path, path.with_suffix(".so"), tvm.host_target())
    except OfaEdgeError as error:
        return {"reason": f"{error.what}: {error.why}"}
    seconds = time.process_time() - start
    run = tvm.load_module(library.file.path)
    calls = [onnx_runtime(path, image), lambda: run(image)]
    wanted, found = (call().reshape(1, -1) for call in calls)
    times = np.array([[_timed(call) for call in calls] for _ in range(ROUNDS)])
    ratios = times[:, 1] / times[:, 0]
    return {
        "onnxruntime_ms": round(float(np.median(times[:, 0])), 3),
        "tvm_ms": round(float(np.median(times[:, 1])), 3),
        "ratio": [round(float(each), 3) for each in np.quantile(ratios, (0.25, 0.5, 0.75))],
        "snr_db": round(compare(wanted, found).snr_db, 1),
        "build_cpu_s": round(seconds, 1),
        "layout": library.schedules.layout,
        "fallbacks": [[each.name, each.why[:80]] for each in library.schedules.fallbacks],
        "load": round(os.getloadavg()[0], 1),
    }


def _timed(call: Any) -> float:
    call()
    start = time.thread_time()
    call()
    return 1e3 * (time.thread_time() - start)


def run(names: list[str], folder: Path, *, again: bool) -> None:
    """Measure what was not measured under these versions; written after each."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    known = json.loads(RECORDED.read_bytes()) if RECORDED.is_file() else {}
    found = known.get("found", {}) if known.get("versions") == versions else {}
    for name in names:
        if again or name not in found:
            found[name] = measured(name, folder)
            print(name, {key: value for key, value in found[name].items() if key != "fallbacks"}, flush=True)
            write_json(RECORDED, {"versions": versions, "found": dict(sorted(found.items()))})


def functions(name: str, folder: Path, top: int) -> None:
    """The slowest functions of one network, and how many multiply-adds they reach."""
    path, _ = prepared(name, folder)
    library = tvm.compile_cpu(path, path.with_suffix(".so"), tvm.host_target())
    times = time_functions(library.file.path, path)
    known = {each.name: each for each in library.schedules.functions}
    print(f"{1e3 * sum(times.values()):.2f} ms in all; layout {library.schedules.layout}")
    for function, seconds in sorted(times.items(), key=lambda item: -item[1])[:top]:
        each = known[function]
        rate = each.calls * each.work / seconds / 1e9
        print(f"{1e3 * seconds:8.3f} ms {each.calls:3} x {each.rule:11} {rate:6.1f} G/s {function} {each.why[:60]}")


def page() -> str:
    """All of docs/benchmarks/tvm_networks.md."""
    recorded = json.loads(RECORDED.read_bytes())
    lines = [
        "# Results: networks of others with TVM, beside ONNX Runtime\n",
        "Printed by `python benchmarks/tvm_networks.py table`; made by `python benchmarks/tvm_networks.py run`.\n",
        "Random weights, 224 px, fp32, one thread, CPU time, rounds in turn on a machine with other work (load: of the"
        " last minute as the rounds ended). The ratio is TVM's time over ONNX Runtime's in one round: the median, and"
        " the quartiles of all rounds. dB: signal over noise of all outputs beside ONNX Runtime's.\n",
        f"Versions: {', '.join(f'{name} {version}' for name, version in recorded['versions'].items())}.\n",
    ]
    for (title, goal), names in zip(GOALS.items(), (CONVOLUTIONAL, ATTENTION), strict=True):
        lines += [
            f"## {title.capitalize()}\n",
            "| network | ONNX Runtime, ms | TVM, ms | ratio | dB | functions on TVM's default | build, CPU s | load |",
            "|---" * 8 + "|",
        ]
        found = {name: recorded["found"][name] for name in names if name in recorded["found"]}
        lines += [_row(name, each) for name, each in found.items()]
        ratios = [each["ratio"][1] for each in found.values() if "ratio" in each]
        lines.append(f"\nAt most {goal:g} of ONNX Runtime's time: {sum(r <= goal for r in ratios)} of {len(names)}.\n")
    return "\n".join(lines)


def _row(name: str, each: dict[str, Any]) -> str:
    if "reason" in each:
        return f"| {name} | not compiled: {each['reason']} | | | | | | |"
    low, middle, high = each["ratio"]
    return (
        f"| {name} | {each['onnxruntime_ms']:.3g} | {each['tvm_ms']:.3g} | {middle:.2f} ({low:.2f} to {high:.2f})"
        f" | {each['snr_db']:.0f} | {len(each['fallbacks'])} | {each['build_cpu_s']:.0f} | {each['load']:g} |"
    )


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "functions", "table"))
    parser.add_argument("--name", action="append", help="these alone")
    parser.add_argument("--again", action="store_true", help="also what is recorded")
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tvm-networks")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    names = options.name or [*CONVOLUTIONAL, *ATTENTION]
    if options.command == "run":
        run(names, options.folder, again=options.again)
    elif options.command == "functions":
        for name in names:
            functions(name, options.folder, options.top)
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
