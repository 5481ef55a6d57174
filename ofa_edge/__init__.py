"""ofa-edge: one Once-For-All supernet, one verified network for every edge device.

`import ofa_edge as oe` is the front door for programs (docs/python.md). Importing it is cheap on purpose: a name's
module, and with it torch, tensorflow or tvm, is imported when the name is first asked for.
"""

import importlib
import os

TYPE_CHECKING = False  # not typing's, which takes longer to import than all the rest; type checkers take both for true
if TYPE_CHECKING:  # what they and editors see; at run time the table below says the same
    from ofa_edge import cost as cost
    from ofa_edge.api.build import build as build
    from ofa_edge.api.build import inspect as inspect
    from ofa_edge.api.build import run as run
    from ofa_edge.api.build import verify_build as verify_build
    from ofa_edge.api.networks import calibrate as calibrate
    from ofa_edge.api.networks import evaluate as evaluate
    from ofa_edge.api.networks import extract as extract
    from ofa_edge.api.networks import from_net_config as from_net_config
    from ofa_edge.api.networks import sample as sample
    from ofa_edge.api.networks import to_net_config as to_net_config
    from ofa_edge.api.predict import Prediction as Prediction
    from ofa_edge.api.predict import predict as predict
    from ofa_edge.api.predictor import fit_predictor as fit_predictor
    from ofa_edge.api.search import SearchResult as SearchResult
    from ofa_edge.api.search import search_fleet as search_fleet
    from ofa_edge.api.search import search_front as search_front
    from ofa_edge.api.train import Trained as Trained
    from ofa_edge.api.train import finetune as finetune
    from ofa_edge.api.train import train as train
    from ofa_edge.builds import Build as Build
    from ofa_edge.data.dataset import Images as Images
    from ofa_edge.errors import BudgetError as BudgetError
    from ofa_edge.errors import ConfigError as ConfigError
    from ofa_edge.errors import ConversionError as ConversionError
    from ofa_edge.errors import DataError as DataError
    from ofa_edge.errors import DeviceBusyError as DeviceBusyError
    from ofa_edge.errors import DeviceError as DeviceError
    from ofa_edge.errors import DeviceLostError as DeviceLostError
    from ofa_edge.errors import DeviceRebootedError as DeviceRebootedError
    from ofa_edge.errors import DeviceRunError as DeviceRunError
    from ofa_edge.errors import DeviceTimeoutError as DeviceTimeoutError
    from ofa_edge.errors import GateError as GateError
    from ofa_edge.errors import ImplausibleError as ImplausibleError
    from ofa_edge.errors import ModelFileError as ModelFileError
    from ofa_edge.errors import OfaEdgeError as OfaEdgeError
    from ofa_edge.errors import OtherModelError as OtherModelError
    from ofa_edge.errors import OutputError as OutputError
    from ofa_edge.errors import SpaceMismatchError as SpaceMismatchError
    from ofa_edge.errors import ThrottledError as ThrottledError
    from ofa_edge.errors import ToolMissingError as ToolMissingError
    from ofa_edge.errors import TrainingError as TrainingError
    from ofa_edge.errors import UnknownNameError as UnknownNameError
    from ofa_edge.errors import UnsupportedError as UnsupportedError
    from ofa_edge.errors import UsageError as UsageError
    from ofa_edge.errors import WeightsError as WeightsError
    from ofa_edge.space import Space as Space
    from ofa_edge.space import Subnet as Subnet
    from ofa_edge.supernet.zoo import SupernetPackage as SupernetPackage
    from ofa_edge.supernet.zoo import open_supernet as open_supernet
    from ofa_edge.targets import Target as Target
    from ofa_edge.targets import load_target as load_target
    from ofa_edge.training.recipe import Recipe as Recipe
    from ofa_edge.training.recipe_files import load_recipe as load_recipe
    from ofa_edge.training.step import TrainingStep as TrainingStep
    from ofa_edge.workflows.build.constraints import Constraints as Constraints

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other. Beside other work that holds a core they burn their own time
# slices until the slow one gets its turn: see docs/training.md. OpenMP reads this once, when torch loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "ofa_edge.api.build": ("build", "inspect", "run", "verify_build"),
    "ofa_edge.api.networks": ("calibrate", "evaluate", "extract", "from_net_config", "sample", "to_net_config"),
    "ofa_edge.api.predict": ("Prediction", "predict"),
    "ofa_edge.api.predictor": ("fit_predictor",),
    "ofa_edge.api.search": ("SearchResult", "search_fleet", "search_front"),
    "ofa_edge.api.train": ("Trained", "finetune", "train"),
    "ofa_edge.builds": ("Build",),
    "ofa_edge.data.dataset": ("Images",),
    "ofa_edge.errors": (
        "BudgetError",
        "ConfigError",
        "ConversionError",
        "DataError",
        "DeviceBusyError",
        "DeviceError",
        "DeviceLostError",
        "DeviceRebootedError",
        "DeviceRunError",
        "DeviceTimeoutError",
        "GateError",
        "ImplausibleError",
        "ModelFileError",
        "OfaEdgeError",
        "OtherModelError",
        "OutputError",
        "SpaceMismatchError",
        "ThrottledError",
        "ToolMissingError",
        "TrainingError",
        "UnknownNameError",
        "UnsupportedError",
        "UsageError",
        "WeightsError",
    ),
    "ofa_edge.space": ("Space", "Subnet"),
    "ofa_edge.supernet.zoo": ("SupernetPackage", "open_supernet"),
    "ofa_edge.targets": ("Target", "load_target"),
    "ofa_edge.training.recipe": ("Recipe",),
    "ofa_edge.training.recipe_files": ("load_recipe",),
    "ofa_edge.training.step": ("TrainingStep",),
    "ofa_edge.workflows.build.constraints": ("Constraints",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BudgetError",
    "Build",
    "ConfigError",
    "Constraints",
    "ConversionError",
    "DataError",
    "DeviceBusyError",
    "DeviceError",
    "DeviceLostError",
    "DeviceRebootedError",
    "DeviceRunError",
    "DeviceTimeoutError",
    "GateError",
    "Images",
    "ImplausibleError",
    "ModelFileError",
    "OfaEdgeError",
    "OtherModelError",
    "OutputError",
    "Prediction",
    "Recipe",
    "SearchResult",
    "Space",
    "SpaceMismatchError",
    "Subnet",
    "SupernetPackage",
    "Target",
    "ThrottledError",
    "ToolMissingError",
    "Trained",
    "TrainingError",
    "TrainingStep",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
    "WeightsError",
    "__version__",
    "build",
    "calibrate",
    "cost",
    "evaluate",
    "extract",
    "finetune",
    "fit_predictor",
    "from_net_config",
    "inspect",
    "load_recipe",
    "load_target",
    "open_supernet",
    "predict",
    "run",
    "sample",
    "search_fleet",
    "search_front",
    "to_net_config",
    "train",
    "verify_build",
]


if not TYPE_CHECKING:  # a type checker that saw this function would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name == "cost":  # a module itself
            return importlib.import_module("ofa_edge.cost")
        if name not in _HOME:
            raise AttributeError(f"module 'ofa_edge' has no attribute '{name}'")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
