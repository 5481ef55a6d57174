"""What an installation may leave out: which extra brings a module, and what to say where one is missing."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType

from ofa_edge.errors import ToolMissingError


@dataclass(frozen=True)
class Extra:
    """Modules that an extra brings, and what they are for."""

    modules: tuple[str, ...]
    use: str


EXTRAS: Mapping[str, Extra] = MappingProxyType(
    {
        "train": Extra(("torch", "scipy"), "supernets, builds from them, calibration"),
        "export": Extra(("onnxsim",), "builds of given networks; train, tflite and tvm bring it too"),
        "tflite": Extra(("tensorflow",), "making TFLite artifacts"),
        "tvm": Extra(("tvm",), "making TVM artifacts"),
        "cuda": Extra(("nvidia.cuda_nvrtc", "nvidia.cuda_runtime", "nvidia.cuda_cccl"), "kernels for Jetsons"),
        "ethos-u": Extra(("ethosu.vela",), "making artifacts for Arm Ethos-U accelerators"),
        "zigzag": Extra(("zigzag.stages", "six"), "cycles of arrays that are only described"),
        "plot": Extra(("resvg_py",), "pictures as PNG"),
    }
)


def install_line(extra: str) -> str:
    """The command that adds an extra."""
    return f"pip install 'ofa-edge[{extra}]'"


def installed(module: str) -> bool:
    """Whether a module can be found, its parents too."""
    return _spec(module) is not None


def package_folders(package: str) -> list[Path]:
    """Folders of a Python package; none where it is not installed."""
    spec = _spec(package)
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a parent
        return None


def require(extra: str, use: str, instead: str | None = None) -> None:
    """Raise ToolMissingError, before any work, where modules of an extra are not installed.

    Args:
        extra: one of EXTRAS.
        use: what needs it: "training".
        instead: what would do without it.
    """
    for module in EXTRAS[extra].modules:
        if not installed(module):
            raise _missing(module, f"{use} needs it", extra, instead)


def explained(error: ModuleNotFoundError) -> ToolMissingError | None:
    """The error to show for an import that failed, where an extra brings the module; None for any other module."""
    name = error.name or ""
    for extra, each in EXTRAS.items():
        for module in each.modules:
            if f"{name}.".startswith(f"{module}."):
                return _missing(module, "this command needs it", extra)
    return None


def _missing(module: str, why: str, extra: str, instead: str | None = None) -> ToolMissingError:
    hint = install_line(extra)
    return ToolMissingError(f"{module} is not installed", why, f"{hint}, or {instead}" if instead else hint)
