"""The artifacts of one fixed network, byte for byte as recorded: a change of structure changes none of them.

Where a change is meant to, `python tests/workflows/build/test_artifact_digests.py` records them again. Other versions
of the tools write other bytes, so nothing is compared under them; nor is code for this machine, which follows its CPU.
"""

import json
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ofa_edge.cache import StageCache
from ofa_edge.data.dataset import Images
from ofa_edge.errors import ToolMissingError
from ofa_edge.network import Network
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.weights import save_static
from ofa_edge.workflows.build import stages
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.plan import SupernetPlan, make_plan

RECORD = Path(__file__).with_name("artifact_digests.json")
LINKER = "aarch64-linux-gnu-g++"
PACKAGES = ("torch", "onnx", "onnxsim", "numpy")
OF_TFLITE = ("tensorflow-cpu", "tflite-support", "ai-edge-litert")
OF_TVM = ("apache-tvm", "apache-tvm-ffi")
BUILDS: dict[str, dict[str, Any]] = {
    **{f"raspberry-pi-4 tflite {each}": {"precision": each} for each in ("fp32", "fp16", "dynamic", "int8")},
    "raspberry-pi-4 tvm fp32": {"runtime": "tvm"},
    "pixel-7 tflite fp16, fp16 sums": {"precision": "fp16-acc16"},
    "pixel-7 tvm fp32": {"runtime": "tvm"},
    "jetson-nano tvm fp32": {},
    "jetson-nano tvm fp16": {"precision": "fp16"},
}


def network() -> StaticNet:
    """A MobileNetV3 of random weights. NumPy's integers are the same on any CPU, torch's initialisation may not be."""
    space = Space.of(
        "ofa_mobilenetv3",
        "fixed",
        width_mult=0.1,
        strides=(2, 1, 2, 1, 1, 1),
        resolutions=(24,),
        depths=(1,),
        num_classes=3,
    )
    net, rng = StaticNet(space, space.largest()), np.random.default_rng(0)
    for key, value in net.state_dict().items():
        if value.is_floating_point():
            steps = torch.from_numpy(rng.integers(-128, 128, tuple(value.shape)).astype(np.float32))
            fan_in = max(1, value[0].numel()) if value.dim() > 1 else 4
            value.copy_(steps / 64 / fan_in**0.5 if not key.endswith("running_var") else 1 + (steps + 128) / 256)
            if value.dim() == 1 and key.endswith("bn.weight"):
                value.add_(2)
    net.calibrated = True
    return net.eval()


def write_package(folder: Path) -> Path:
    """The network as `finetune` leaves one, with images of noise."""
    rng, net = np.random.default_rng(1), network()
    splits = {
        split: Images(rng.integers(0, 256, (60, 24, 24, 3), dtype=np.uint8), rng.integers(0, 3, 60))
        for split in zoo.SPLITS
    }
    folder.mkdir()
    zoo.save_images(folder / zoo.IMAGES, splits)
    facts = {"labels": ["one", "two", "three"], "mean": [128.0] * 3, "std": [64.0] * 3}
    header = {key: json.dumps(value) for key, value in facts.items()}
    save_static(folder / zoo.NETWORK, net, {**header, "dataset": "noise"})
    return folder


class Maker:
    """Builds artifacts of the fixed network, by the stages of a build."""

    def __init__(self, folder: Path) -> None:
        self.package = write_package(folder / "fixed")
        self.runner = stages.StageRunner(StageCache(folder / "cache"))

    def plan(self, name: str) -> SupernetPlan:
        supernet, target = str(self.package), name.split(maxsplit=1)[0]
        return make_plan(BuildOptions(target, supernet=supernet, device="none", **BUILDS[name]), claim=False)

    def network(self, plan: SupernetPlan) -> Network:
        package, subnet = plan.package, plan.package.space.largest()
        static = stages.extract(self.runner, package, subnet, plan.data.calibration)
        return stages.to_network(self.runner, package, static, subnet)

    def artifacts(self, name: str) -> dict[str, str]:
        """SHA-256 of every file that a build's conversions write, by its name."""
        plan = self.plan(name)
        network = self.network(plan)
        made = plan.export.runtime.convert(self.runner, stages.export_of(plan, network)).entry
        # A library beside the Jetson's holds host code for this machine, and is no artifact.
        files = {network.onnx.name: network.digest, **made.files}
        return {file: digest for file, digest in files.items() if file != "emulated.so"}


def versions(name: str) -> dict[str, str]:
    """Of what decides the bytes of a build."""
    tflite = "tflite" in name
    found = {package: metadata.version(package) for package in (*PACKAGES, *(OF_TFLITE if tflite else OF_TVM))}
    if not tflite:
        program = shutil.which(LINKER) or ""
        done = subprocess.run([program, "-dumpfullversion"], capture_output=True, text=True, check=True)
        found[LINKER] = done.stdout.strip()
    if "jetson" in name:
        found["nvidia-cuda-nvrtc-cu12"] = metadata.version("nvidia-cuda-nvrtc-cu12")
    if "int8" in name:  # TensorFlow finds the ranges by running the network, and rounds as this CPU's kernels do
        found["vectors"] = torch.backends.cpu.get_cpu_capability()
    return found


@pytest.fixture(scope="module")
def maker(tmp_path_factory) -> Maker:
    return Maker(tmp_path_factory.mktemp("digests"))


@pytest.mark.parametrize("name", BUILDS)
def test_the_bytes_are_those_recorded(maker, name):
    recorded = json.loads(RECORD.read_text())
    try:
        found = versions(name)
        if differing := [key for key, version in found.items() if recorded["versions"][key] != version]:
            pytest.skip(f"recorded under other versions of {', '.join(differing)}")
        artifacts = maker.artifacts(name)
    except (metadata.PackageNotFoundError, ToolMissingError, OSError) as error:
        pytest.skip(f"a tool is missing: {error}")
    assert artifacts == recorded["files"][name]


def test_every_build_is_recorded():
    assert list(json.loads(RECORD.read_text())["files"]) == list(BUILDS)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        own = Maker(Path(scratch))
        record = {
            "versions": {key: version for name in BUILDS for key, version in versions(name).items()},
            "files": {name: own.artifacts(name) for name in BUILDS},
        }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
