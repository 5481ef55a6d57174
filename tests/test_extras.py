import contextlib
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from builds import shared_build
from own_networks import save_classifier
from png import blank_png
from tiny_package import shared_package

from ofa_edge.errors import ToolMissingError
from ofa_edge.extras import EXTRAS, explained, installed, require

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

# Runs the command line as if the named modules were not installed, or with "only" no others than these: what is left
# out is not found, and not imported.
WITHOUT = """
import importlib.abc, sys
only, *named = sys.argv[1].split(",")
named = set(named)
class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        inside = any(f"{name}.".startswith(f"{each}.") for each in named)
        own = name.partition(".")[0] in sys.stdlib_module_names or name.startswith("_sysconfigdata")
        if inside != bool(only) and not own:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
from ofa_edge.cli import main
main(sys.argv[2:])
"""


@functools.cache  # reads the records of all installed packages
def light_modules() -> list[str]:
    """Top-level modules of the light installation: of this package, and of what it asks for without an extra."""
    waiting, names = [re.split(r"[^\w.-]", line)[0] for line in PROJECT["dependencies"]], set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in names:
            names.add(name)
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # of another system
                needed = importlib.metadata.distribution(name).requires or ()
                waiting += [re.split(r"[^\w.-]", line)[0] for line in needed if "extra ==" not in line]
    owners = importlib.metadata.packages_distributions()
    light = [
        module for module, of in owners.items() if any(re.sub(r"[-_.]+", "-", each).lower() in names for each in of)
    ]
    return ["ofa_edge", *light]


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return shared_package(tmp_path_factory)


@pytest.fixture
def built(package, tmp_path_factory, tmp_path):
    return Path(shutil.copytree(shared_build(package, tmp_path_factory) / "out", tmp_path / "build"))


@pytest.fixture
def light(tmp_path):
    """Runs a command without some modules, by default with those of the light installation alone."""

    def run(*arguments: object, without: list[str] | None = None) -> tuple[int, str, str]:
        named = ["only", *light_modules()] if without is None else ["", *without]
        command = [sys.executable, "-c", WITHOUT, ",".join(named), *map(str, arguments)]
        places = {"OFA_EDGE_CACHE": str(tmp_path / "cache"), "OFA_EDGE_DEVICES": str(tmp_path / "none.toml")}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **places}
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_every_extra_brings_what_is_said():
    brought = PROJECT["optional-dependencies"]
    packages = importlib.metadata.packages_distributions()
    for name, extra in EXTRAS.items():
        named = {re.match(r"[\w-]+", line)[0].lower() for line in brought[name]}
        for module in extra.modules:
            if not installed(module):
                continue  # nothing says which package would bring it
            owners = {owner.lower().replace("_", "-") for owner in packages[module.partition(".")[0]]}
            assert named & owners, (name, module)
    whole = re.search(r"\[(.*)\]", brought["all"][0])[1].split(",")
    assert set(whole) | {"export"} == set(EXTRAS)  # train, tflite and tvm bring `export`


def test_what_a_light_installation_does(light, built, tmp_path):
    blank_png(tmp_path / "photo.png", 16, 16)
    model = built / "model.onnx"
    for arguments in (
        ("search", "--target", "raspberry-pi-4", "--evaluations", 500),
        ("explain", "largest", "--target", "raspberry-pi-4"),
        ("predict", model, "--target", "raspberry-pi-4", "--outside-key"),
        ("inspect", model),
        ("inspect", built / "model.tflite"),
        ("bundle", built, "--app", "app", "--allow-unverified"),
        ("report", built),
        ("run", built, "photo.png"),
        ("verify", built, "--device", "local"),
        ("profile", built, "--device", "local"),
        ("zoo", "list"),
        ("targets", "validate", "raspberry-pi-4"),
    ):
        code, out, error = light(*arguments)
        assert "Traceback" not in error, (arguments, error)
        assert "not installed" not in error, (arguments, error)
        assert out, arguments
        assert code in (0, 1), (arguments, error)  # 1: judged, and not good enough


@pytest.mark.parametrize(
    ("arguments", "lacking", "extra"),
    [
        (("build", "--target", "raspberry-pi-4"), "torch", "train"),
        (("build", "--target", "raspberry-pi-4"), "tensorflow", "tflite"),
        (("build", "--target", "raspberry-pi-4", "--runtime", "tvm"), "tvm", "tvm"),
        (("build", "--target", "jetson-nano"), "nvidia", "cuda"),
        (
            ("build", "--target", "raspberry-pi-4", "--runtime", "onnxruntime", "--model", "net.onnx"),
            "onnxsim",
            "export",
        ),
        (("train", "--recipe", "ofa-edge", "--preset", "smoke", "--out", "new"), "torch", "train"),
        (("search", "--target", "raspberry-pi-4", "--plot", "front.png"), "resvg_py", "plot"),
        (("calibrate", "--target", "host", "--device", "local", "--out", "new"), "torch", "train"),
        (("codesign", "--latency-ms", "1", "--accelerators", "zigzag"), "zigzag", "zigzag"),
    ],
)
def test_a_command_names_the_extra_before_any_work(light, tmp_path, arguments, lacking, extra):
    save_classifier(tmp_path / "net.onnx")
    code, out, error = light(*arguments, without=[lacking])
    assert code == ToolMissingError.exit_code, error
    assert f"pip install 'ofa-edge[{extra}]'" in error
    assert "not installed" in error
    assert not out
    assert not (tmp_path / "cache").exists() or not any((tmp_path / "cache").rglob("*.json"))


def test_only_modules_of_extras_are_explained():
    assert explained(ModuleNotFoundError("no", name="somewhere")) is None
    assert "ofa-edge[train]" in explained(ModuleNotFoundError("no", name="torch.nn")).hint
    assert explained(ModuleNotFoundError("no", name="torchvision")) is None
    require("train", "this test")
