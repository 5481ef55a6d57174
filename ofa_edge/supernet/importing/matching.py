"""Hold the tensors of a file against the layout of a network: what fits, what is missing, what is left over."""

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ofa_edge.errors import WeightsError
from ofa_edge.supernet.importing.dialects import PARALLEL, spellings, without_parallel

COUNTER = ".num_batches_tracked"  # not in files of torch before 0.4.1, and of no use in evaluation
MATRIX = "_matrix"  # not in files of networks without elastic kernels: the transforms then are identities
HINT = "use the published file whole and unchanged, and name its network with --space where it is not found by itself"
Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class Match:
    """Tensors under a layout's names, and what did not fit.

    Attributes:
        tensors: by the layout's key.
        dialect: how many keys were spelled in which other way.
        missing: keys of the layout that the file lacks.
        unexpected: keys of the file that the layout lacks.
        shapes: "key: shape in the file, shape wanted" where they differ.
        notes: what was filled in, in words.
    """

    tensors: Mapping[str, Tensor]
    dialect: Mapping[str, int]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    shapes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        """Number of keys that do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.shapes)

    @functools.cached_property
    def why(self) -> str:
        """The faults in words, with the first few keys of each kind; empty without any."""
        kinds = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.shapes))
        return "; ".join(
            f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for what, keys in kinds
            if keys
        )


def shapes_of(net: nn.Module) -> dict[str, torch.Size]:
    """The layout of a network: key -> shape."""
    return {key: value.shape for key, value in net.state_dict().items()}


def compare(tensors: Mapping[str, Tensor], layout: Shapes) -> Match:
    """Hold tensors that have the layout's own keys against it: no other spelling, nothing may be missing."""
    return Match(
        {key: value for key, value in tensors.items() if key in layout},
        {},
        tuple(sorted(set(layout) - set(tensors))),
        tuple(sorted(set(tensors) - set(layout))),
        tuple(
            f"{key}: {tuple(tensors[key].shape)}, wanted {tuple(layout[key])}"
            for key in sorted(set(layout) & set(tensors))
            if tensors[key].shape != layout[key]
        ),
    )


def match(tensors: Mapping[str, Tensor], layout: Shapes) -> Match:
    """Give each tensor of a foreign file the name that the layout has for it, and compare.

    Batch counters may be missing, and kernel transforms where all of them are.

    Raises:
        WeightsError: two keys of the file mean the same tensor, or one key could mean two.
    """
    native = without_parallel(tensors)
    names = _names(native.values(), layout)
    dialect: Counter[str] = Counter(mark for _, marks in names.values() for mark in marks)
    if any(native[key] != key for key in native):
        dialect[PARALLEL.rstrip(".") + " prefix"] = len(native)
    found = compare({names.get(native[key], (key,))[0]: value for key, value in tensors.items()}, layout)
    notes = []
    missing = found.missing
    absent = [key for key in missing if key.endswith(MATRIX)]
    if absent and len(absent) == sum(key.endswith(MATRIX) for key in layout):
        notes.append(f"no kernel transforms in the file: all {len(absent)} stay identities")
        missing = tuple(key for key in missing if not key.endswith(MATRIX))
    uncounted = [key for key in missing if key.endswith(COUNTER)]
    if uncounted:
        notes.append(f"no batch counters for {len(uncounted)} batch norms: they start at 0")
        missing = tuple(key for key in missing if not key.endswith(COUNTER))
    return dataclasses.replace(found, dialect=dict(sorted(dialect.items())), missing=missing, notes=tuple(notes))


def _names(keys: Iterable[str], layout: Shapes) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Key of the file -> (key of the layout, how the spelling differs)."""
    meanings: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for wanted in layout:
        for spelled, marks in spellings(wanted).items():
            meanings[spelled].append((wanted, marks))
    names: dict[str, tuple[str, tuple[str, ...]]] = {}
    taken: dict[str, str] = {}
    for key in keys:
        meant = [(key, ())] if key in layout else meanings.get(key, [])
        if len(meant) > 1:
            among = ", ".join(wanted for wanted, _ in meant)
            raise WeightsError("ambiguous checkpoint", f"key {key} could mean {among}", HINT)
        if not meant:
            continue
        wanted = meant[0][0]
        if wanted in taken:
            raise WeightsError("ambiguous checkpoint", f"keys {taken[wanted]} and {key} both mean {wanted}", HINT)
        taken[wanted], names[key] = key, meant[0]
    return names


def require(found: Match, what: str, where: str) -> None:
    """Raise WeightsError where anything does not fit: nothing is kept silently."""
    if found.faults:
        raise WeightsError(f"weights do not fit {what}", f"{where}: {found.why}", HINT)


def fill(net: nn.Module, found: Match, where: str) -> None:
    """Put matched tensors into a network. Raises WeightsError for values that are not finite or not numbers at all."""
    wanted = net.state_dict()
    strange = [
        key for key, value in found.tensors.items() if value.is_floating_point() != wanted[key].is_floating_point()
    ]
    if strange:
        raise WeightsError("weights of another type", f"{where}: {', '.join(strange[:3])}", HINT)
    refuse_infinite(found.tensors, where)
    net.load_state_dict({**wanted, **found.tensors})


def refuse_infinite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError where a value is not finite."""
    bad = sorted(key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all())
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise WeightsError(
            "weights are not finite",
            f"{where}: {', '.join(bad[:3])}{more}",
            "use weights from before the training diverged",
        )
