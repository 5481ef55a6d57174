"""`ofa-edge codesign`: one search over pairs of subnet and accelerator.

Each accelerator gets a latency model from a few networks that its compiler compiled; each search's subnets are asked
about on all accelerators; what no other pair beats in accuracy, latency and hardware is the front. The pairs that the
report speaks of are compiled in full, so its cycles are the compiler's and not the model's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.cost import operators
from ofa_edge.cost.well_known import mnasnet, mobilenet_v2, mobilenet_v3
from ofa_edge.errors import BudgetError, ConfigError
from ofa_edge.latency.analytic import AnalyticModel
from ofa_edge.latency.cycles import fit_cycles
from ofa_edge.latency.protocol import Key, Provenance
from ofa_edge.records.codesign import CodesignRecord, FinalistRecord, NetworkRecord
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.load_predictor import Predictor, package_predictor
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces
from ofa_edge.workflows.codesign.accelerators import Accelerator
from ofa_edge.workflows.codesign.compiled import compiled
from ofa_edge.workflows.codesign.pairs import Pairs, pair_record

Say = Callable[[str], None]
Floats = NDArray[np.float64]
NETWORKS, HELD_OUT = 16, 4  # that are compiled for each accelerator before the search
_EVALUATIONS = 24_000  # of the accuracy predictor, over all accelerators


@dataclass(frozen=True)
class CodesignOptions:
    """What the user asked for."""

    supernet: str
    latency_ms: float
    reference: str | None = None
    evaluations: int = _EVALUATIONS
    networks: int = NETWORKS
    seed: int = 0


def codesign(options: CodesignOptions, given: Sequence[Accelerator], cache: StageCache, say: Say) -> CodesignRecord:
    """Search pairs.

    Args:
        options: what was asked for.
        given: the accelerators.
        cache: keeps networks and cycles.
        say: told what happens.

    Raises:
        BudgetError: no pair is within the latency; names the fastest.
        ConfigError: the supernet has no accuracy predictor, or the reference is not among the accelerators.
    """
    package = open_supernet(options.supernet)
    predictor = package_predictor(package)
    if predictor is None:
        raise ConfigError(
            f"nothing predicts the accuracy of '{package.name}'",
            "co-design ranks tens of thousands of subnets",
            "train a supernet: its run fits a predictor",
        )
    names = [each.name for each in given]
    reference = options.reference or names[0]
    if reference not in names:
        raise ConfigError(f"no accelerator '{reference}'", f"there are: {', '.join(names)}", "--reference NAME")
    for each in given:
        each.runtime.require_tools(each.target)
        each.runtime.check_target(each.target)
    space = package.space
    models, mape = {}, {}
    for place, each in enumerate(given):
        say(f"{each.name} ({place + 1} of {len(given)}): {options.networks + HELD_OUT} networks compiled")
        models[each.name], mape[each.name] = cycle_model(space, each, cache, options.seed, options.networks)
    cloud = _cloud(space, predictor, models, options)
    pairs = Pairs(space, given, cloud, predictor.predict(cloud), models)
    place, row = pairs.best(options.latency_ms)
    fixed = [each.name for each in pairs.accelerators].index(reference)
    chosen, notes = _chosen(pairs, (place, row), fixed, options.latency_ms)
    return CodesignRecord(
        space=space.name,
        latency_ms=options.latency_ms,
        metric=predictor.metric,
        compiler=", ".join(dict.fromkeys(model.key.version for model in models.values())),
        kind="modelled" if any(model.provenance.kind == "modelled" for model in models.values()) else "estimated",
        best=pairs.record(place, row),
        front=pairs.front(),
        finalists=_finalists(pairs, chosen, cache),
        published=_published(space, pairs.accelerators[place], cache),
        mape=mape,
        evaluated=pairs.ms.size,
        notes=notes,
    )


def cycle_model(
    space: Space, accelerator: Accelerator, cache: StageCache, seed: int, networks: int = NETWORKS
) -> tuple[AnalyticModel, float]:
    """A latency model of a space on an accelerator, and its mean error over the networks held out."""
    runtime, target = accelerator.runtime, accelerator.target
    account = runtime.cycle_account(target)
    assert account is not None
    subnets = [space.subnet(each) for each in space.sample(np.random.default_rng(seed), networks + HELD_OUT)]
    making = Making(runtime, "int8", target)
    paths = export_pieces(space, [Piece(each, "whole") for each in subnets], making, cache)
    ms = np.array([1e3 * each.cycles / account.clock_hz for each in account.told(paths, cache)])
    peak = accelerator.size.macs_per_cycle * account.clock_hz / 1e9
    fit = fit_cycles([operators(space, each) for each in subnets], ms, HELD_OUT, peak)
    key = Key(accelerator.name, runtime.name, account.name, "int8", 1)
    provenance = Provenance(account.kind, f"{account.name}'s cycles of {networks} subnets", (account.name,), "codesign")
    return AnalyticModel(space, fit.coefficients, key, provenance), fit.mape


def _cloud(space: Space, predictor: Predictor, models: dict[str, AnalyticModel], options: CodesignOptions) -> Genomes:
    """Subnets worth asking about: what each accelerator's own search evaluated, each once."""
    found = []
    each = replace(SearchOptions(), evaluations=max(200, options.evaluations // len(models)))
    for model in models.values():

        def latency(genomes: Genomes, model: AnalyticModel = model) -> Floats:
            return np.asarray(model.predict_many(genomes).ms)

        found.append(search_front(space, latency, predictor.predict, seed=options.seed, options=each).genomes)
    return np.asarray(np.unique(np.concatenate(found), axis=0))


class _Chosen(NamedTuple):
    """A pair to be compiled: its accelerator by number, and what the models say, where they were asked."""

    place: int
    role: str
    subnet: Subnet
    accuracy: float | None = None
    ms: float | None = None


def _chosen(
    pairs: Pairs, best: tuple[int, int], fixed: int, latency_ms: float
) -> tuple[list[_Chosen], tuple[str, ...]]:
    """The best pair, what it is held against, and the ends of the space on its accelerator; what had to be left out."""
    own, row = best
    space, reference, plain = pairs.space, pairs.accelerators[fixed].name, pairs.by_macs(row)
    notes: tuple[str, ...] = ()

    def as_found(role: str, place: int, row: int) -> _Chosen:
        subnet = space.subnet(pairs.genomes[row])
        return _Chosen(place, role, subnet, float(pairs.accuracy[row]), float(pairs.ms[place, row]))

    found = [as_found("best pair", own, row)]
    try:
        found.append(as_found(f"(a) best network on {reference}", *pairs.best(latency_ms, fixed)))
    except BudgetError as error:
        notes = (f"(a) left out, the best network on {reference}: {error.why}",)
    found += [
        as_found("(b) network chosen by MACs, on the best accelerator", own, plain),
        as_found(f"(c) network chosen by MACs, on {reference}", fixed, plain),
        _Chosen(own, "largest subnet", space.largest()),
        _Chosen(own, "smallest subnet", space.smallest()),
    ]
    return found, notes


def _finalists(pairs: Pairs, chosen: Sequence[_Chosen], cache: StageCache) -> tuple[FinalistRecord, ...]:
    found = []
    for each in chosen:
        accelerator = pairs.accelerators[each.place]
        (record,) = compiled(accelerator, [(each.role, operators(pairs.space, each.subnet))], cache)
        pair = pair_record(accelerator, each.subnet, each.accuracy, each.ms)
        found.append(FinalistRecord(pair=pair, **dict(record)))
    return tuple(found)


def _published(space: Space, accelerator: Accelerator, cache: StageCache) -> tuple[NetworkRecord, ...]:
    """Well-known networks with the space's input and classes, beside which the paper's figures stand."""
    shape = {"size": space.resolutions[-1], "channels": space.in_channels, "classes": space.num_classes}
    networks = [
        ("MobileNetV2", mobilenet_v2(**shape)),
        ("MnasNet", mnasnet(**shape)),
        ("MobileNetV3", mobilenet_v3("large", 1.0, **shape)),
    ]
    return tuple(compiled(accelerator, networks, cache))
