"""The reference package, where it is installed: `ofa==0.1.0.post202307202001` from PyPI, without its dependencies."""

import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest


@contextmanager
def _torchvision_at_hand() -> Iterator[None]:
    """Its utilities import torchvision for image transforms, which networks do not use: an empty one will do."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    try:
        importlib.import_module(names[0])
        names = ()
    except ImportError:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        sys.modules[names[1]].RandomResizedCrop = object
        sys.modules[names[0]].transforms = sys.modules[names[1]]
        sys.modules[names[1]].functional = sys.modules[names[2]]
    yield
    for name in names:
        del sys.modules[name]


@pytest.fixture(scope="session")
def ofa() -> SimpleNamespace:
    """Its networks, its calibration and its profiler."""
    pytest.importorskip("ofa", reason="the reference package is not installed")
    with _torchvision_at_hand(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        networks = importlib.import_module("ofa.imagenet_classification.elastic_nn.networks")
        utils = importlib.import_module("ofa.imagenet_classification.elastic_nn.utils")
        common = importlib.import_module("ofa.utils")
    return SimpleNamespace(
        networks=networks,
        set_running_statistics=utils.set_running_statistics,
        profile=common.profile,
        init_models=common.init_models,
    )
