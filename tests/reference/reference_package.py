"""The reference package, with modules it imports and these tests do not need left empty."""

import importlib.machinery
import importlib.util
import sys
import types
import warnings

import pytest

UNUSED = ("gdown", "horovod", "horovod.torch", "torchvision", "torchvision.transforms", "torchvision.datasets")
UNUSED += ("torchvision.transforms.functional", "matplotlib", "matplotlib.pyplot", "tqdm", "yaml")


def _empty(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = []
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__getattr__ = lambda attribute: type(attribute, (), {})
    return module


def reference_package() -> types.SimpleNamespace:
    """Its networks and its predictors. Skips where it is not installed."""
    if importlib.util.find_spec("ofa") is None:
        pytest.skip("the reference package is not installed")
    added = [name for name in UNUSED if name.partition(".")[0] not in sys.modules and not _installed(name)]
    for name in added:
        sys.modules[name] = module = _empty(name)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ofa.imagenet_classification import networks as static
            from ofa.imagenet_classification.elastic_nn import networks as elastic
            from ofa.nas import accuracy_predictor as nas
            from ofa.tutorial import accuracy_predictor as tutorial
    finally:
        for name in added:
            del sys.modules[name]
    return types.SimpleNamespace(static=static, elastic=elastic, nas=nas, tutorial=tutorial)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
