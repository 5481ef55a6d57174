"""The reference package (PyPI `ofa`, installed with --no-deps), for tests, benchmarks and facts.

It imports packages that its networks never use; where they are not installed, empty ones stand in.
"""

import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import types
import warnings

RELEASE = "0.1.0.post202307202001"
UNUSED = ("gdown", "horovod", "horovod.torch", "torchvision", "torchvision.transforms", "torchvision.datasets")
UNUSED += ("torchvision.transforms.functional", "matplotlib", "matplotlib.pyplot", "tqdm", "yaml")


def _empty(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = []
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__getattr__ = lambda attribute: type(attribute, (), {})
    return module


@functools.cache
def reference_package() -> types.SimpleNamespace:
    """Its networks, calibration, profiler and predictors. Raises ImportError where it is not installed."""
    if importlib.util.find_spec("ofa") is None:
        raise ImportError(f"the reference package is not installed; try: pip install --no-deps ofa=={RELEASE}")
    added = [name for name in UNUSED if name.partition(".")[0] not in sys.modules and not _installed(name)]
    for name in added:
        sys.modules[name] = module = _empty(name)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old package: of escapes in strings, of torch's old names
            static = importlib.import_module("ofa.imagenet_classification.networks")
            elastic = importlib.import_module("ofa.imagenet_classification.elastic_nn.networks")
            calibration = importlib.import_module("ofa.imagenet_classification.elastic_nn.utils")
            common = importlib.import_module("ofa.utils")
            nas = importlib.import_module("ofa.nas.accuracy_predictor")
            tutorial = importlib.import_module("ofa.tutorial.accuracy_predictor")
    finally:
        for name in added:
            del sys.modules[name]
    return types.SimpleNamespace(
        static=static,
        networks=elastic,
        set_running_statistics=calibration.set_running_statistics,
        profile=common.profile,
        init_models=common.init_models,
        nas=nas,
        tutorial=tutorial,
    )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
