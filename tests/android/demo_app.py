"""The steps from the default supernet to a signed APK, and back: what the tests of the app share."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.bundle.record import Bundle, read_bundle
from ofa_edge.cache import StageCache
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.tflite.metadata import read_metadata
from ofa_edge.records.manifest import Manifest, read_manifest
from ofa_edge.workflows.build import build as pipeline
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.plan import make_plan

ROOT = Path(__file__).resolve().parents[2]
CORE = "android_demo/app/src/main/java/org/ofaedge/demo/core"
PRECISIONS = ("fp16", "fp32", "int8")
RESOLUTIONS = {"fp16": 20, "fp32": 28, "int8": 24}  # the test images have 28 pixels: two are resized
TARGET = "pixel-4"
IMAGES = 2_000  # enough that accuracy is proved at every precision
_IGNORED = shutil.ignore_patterns(".toolchain", "build", "assets", ".gradle")


@dataclass(frozen=True)
class Demo:
    """Folders of one built app.

    Attributes:
        folder: everything of these tests.
        toolchain: the toolchain's folder.
    """

    folder: Path
    toolchain: Path

    @property
    def app(self) -> Path:
        """The copy of android_demo."""
        return self.folder / "android_demo"

    @property
    def assets(self) -> Path:
        """What was bundled."""
        return self.app / "app/src/main/assets"

    @property
    def apk(self) -> Path:
        """The signed APK."""
        return self.app / "build/ofa-edge-demo-debug.apk"

    @property
    def facts(self) -> dict[str, Any]:
        """What `bundle --apk --json` said."""
        value: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return value

    @property
    def bundle(self) -> Bundle:
        """`bundle.json` of the app."""
        return read_bundle(self.assets)

    def build(self, precision: str) -> Path:
        """The folder of a build."""
        return self.folder / "out" / f"{TARGET}-{precision}"

    def manifest(self, precision: str) -> Manifest:
        """A build's manifest."""
        return read_manifest(self.build(precision))

    def environment(self, **changes: str) -> dict[str, str]:
        """For tools of the app: they find the toolchain and this checkout."""
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        given = {"PYTHONPATH": os.pathsep.join(paths), "OFA_EDGE_ANDROID_TOOLCHAIN": str(self.toolchain)}
        return {**os.environ, **given, **changes}

    def make(self) -> None:
        """Build the models, bundle them, build the APK, by the commands that a user has."""
        shutil.copytree(ROOT / "android_demo", self.app, ignore=_IGNORED, dirs_exist_ok=True)
        for precision in PRECISIONS:
            build_model(self.folder / "cache", self.build(precision), precision)
        outs = [self.build(precision) for precision in PRECISIONS]
        done = self.ofa_edge("bundle", *outs, "--app", self.app, "--apk", "--json")
        assert done.returncode == 0, done.stderr
        (self.folder / "facts.json").write_text(done.stdout)

    def ofa_edge(self, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line."""
        argv = [sys.executable, "-m", "ofa_edge", *map(str, arguments)]
        return subprocess.run(
            argv, env=self.environment(**environment), capture_output=True, text=True, check=False, cwd=self.folder
        )


def build_model(cache: Path, out: Path, precision: str) -> None:
    """A build of the default supernet for the Pixel 4, on no device: no search, and 2,000 test images."""
    options = BuildOptions(target=TARGET, precision=precision, device="none", out=out)
    plan = make_plan(options)
    space = plan.package.space
    rng = np.random.default_rng(PRECISIONS.index(precision))
    subnet = space.subnet(space.sample(rng, 1, RESOLUTIONS[precision])[0])
    data = dataclasses.replace(plan.data, test=plan.data.test.sample(IMAGES))
    plan = dataclasses.replace(plan, data=data)
    command = ["ofa-edge", "build"]
    pipeline.build(plan, StageCache(cache), command, lambda *stage: None, find=lambda runner, plan: (subnet, None))


def sample_pixels(assets: Path, name: str) -> NDArray[np.uint8]:
    """The bundled images of a sample set, [N, H, W, C]."""
    entry = next(item for item in read_bundle(assets).samples if item.name == name)
    raw = np.frombuffer((assets / entry.file).read_bytes(), np.uint8)
    return raw.reshape(entry.count, entry.height, entry.width, entry.channels)


def model_inputs(model: Path, pixels: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """What Python feeds a model, [N, C, H, W], with nothing but what the model says of itself."""
    metadata = read_metadata(model)
    return Preprocessing(size, pixels.shape[3], metadata.mean, metadata.std).apply(pixels)


def compile_host_shim(toolchain: Path, folder: Path) -> Path:
    """The app's shim against the runtime's twin for this machine."""
    java_home = Path(shutil.which("javac") or "").resolve().parents[1]
    out = folder / "libtflite_jni.so"
    headers = [f"-I{java_home / 'include'}", f"-I{java_home / 'include/linux'}"]
    link = [f"-L{toolchain / 'linux'}", "-l:liblitert-lm.so", f"-Wl,-rpath,{toolchain / 'linux'}"]
    sources = sorted(map(str, (ROOT / "android_demo/app/src/main/cpp").glob("*.c")))
    subprocess.run(
        ["clang", "-O2", "-fPIC", "-shared", "-Wall", "-Werror", *headers, *sources, *link, "-o", str(out)], check=True
    )
    return out
