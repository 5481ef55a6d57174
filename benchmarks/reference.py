"""The reference package (PyPI `ofa`, installed with --no-deps) for benchmarks that stand beside it."""

import importlib.util
import sys
import types
from typing import ClassVar

RELEASE = "0.1.0.post202307202001"
_UNUSED = (
    "torchvision",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.datasets",
    "horovod",
    "horovod.torch",
    "gdown",
    "tqdm",
    "yaml",
)


class _Anything(types.ModuleType):
    """Stands for packages that the reference imports at its top and that its networks never use."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def reference_networks() -> types.ModuleType:
    """`ofa.imagenet_classification.elastic_nn.networks`. Raises SystemExit if the package is not installed."""
    if importlib.util.find_spec("ofa") is None:
        raise SystemExit(f"the reference is not installed; try: pip install --no-deps ofa=={RELEASE}")
    if "ofa" in sys.modules:
        return importlib.import_module("ofa.imagenet_classification.elastic_nn.networks")
    absent = [name for name in _UNUSED if importlib.util.find_spec(name.partition(".")[0]) is None]
    sys.modules.update({name: _Anything(name) for name in absent})
    return importlib.import_module("ofa.imagenet_classification.elastic_nn.networks")
