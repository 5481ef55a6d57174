"""`ofa-edge codesign`: one search over pairs of subnet and accelerator.

Each accelerator gets a latency model from a few networks that its compiler compiled; each search's subnets are asked
about on all accelerators; what no other pair beats in accuracy, latency and hardware is the front. The pairs that the
report speaks of are compiled in full, so its cycles are the compiler's and not the model's.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.cost import BlockTable, macs, operators
from ofa_edge.errors import BudgetError, ConfigError
from ofa_edge.export.vela.compile import compile_int8
from ofa_edge.export.vela.drawn import drawn
from ofa_edge.export.vela.options import VelaSystem
from ofa_edge.files import write_bytes
from ofa_edge.latency.analytic import AnalyticModel
from ofa_edge.latency.cycles import fit_cycles
from ofa_edge.latency.protocol import Key, Provenance
from ofa_edge.records.codesign import CodesignRecord, FinalistRecord, PairRecord
from ofa_edge.runtimes import runtime_named
from ofa_edge.runtimes.npu_account import layer_records
from ofa_edge.search.evolution import SearchOptions, search_front
from ofa_edge.search.front import round_up
from ofa_edge.search.load_predictor import Predictor, package_predictor
from ofa_edge.search.pareto import pareto_front
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.workflows.calibrate.compiled import cycles_of
from ofa_edge.workflows.calibrate.unit_models import Making, Piece, export_pieces
from ofa_edge.workflows.codesign.accelerators import Accelerator

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
        runtime_named(each.target.runtime.kind).require_tools(each.target)
        VelaSystem(each.npu, each.target.path.parent).check()
    space = package.space
    models, mape = {}, {}
    for place, each in enumerate(given):
        say(f"{each.name} ({place + 1} of {len(given)}): {options.networks + HELD_OUT} networks compiled")
        models[each.name], mape[each.name] = cycle_model(space, each, cache, options.seed, options.networks)
    cloud = _cloud(space, predictor, models, options)
    pairs = _Pairs(space, given, cloud, predictor.predict(cloud), models)
    place, row = pairs.best(options.latency_ms)
    fixed = [each.name for each in pairs.accelerators].index(reference)
    chosen, notes = _chosen(pairs, (place, row), fixed, options.latency_ms)
    return CodesignRecord(
        space=space.name,
        latency_ms=options.latency_ms,
        metric=predictor.metric,
        compiler=next(iter(models.values())).key.version,
        best=pairs.record(place, row),
        front=pairs.front(),
        finalists=tuple(_compiled(pairs, each) for each in chosen),
        mape=mape,
        evaluated=pairs.ms.size,
        notes=notes,
    )


def cycle_model(
    space: Space, accelerator: Accelerator, cache: StageCache, seed: int, networks: int = NETWORKS
) -> tuple[AnalyticModel, float]:
    """A latency model of a space on an accelerator, and its mean error over the networks held out."""
    runtime, target = runtime_named(accelerator.target.runtime.kind), accelerator.target
    account = runtime.cycle_account(target)
    assert account is not None
    subnets = [space.subnet(each) for each in space.sample(np.random.default_rng(seed), networks + HELD_OUT)]
    making = Making(runtime, "int8", target)
    paths = export_pieces(space, [Piece(each, "whole") for each in subnets], making, cache)
    ms = np.array([1e3 * cycles_of(account, path, cache) / account.clock_hz for path in paths])
    fit = fit_cycles([operators(space, each) for each in subnets], ms, HELD_OUT)
    key = Key(accelerator.name, runtime.name, account.name, "int8", 1)
    provenance = Provenance("estimated", f"{account.name}'s cycles of {networks} subnets", (account.name,), "codesign")
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


class _Pairs:
    """Every subnet on every accelerator."""

    def __init__(
        self,
        space: Space,
        accelerators: Sequence[Accelerator],
        genomes: Genomes,
        accuracy: Floats,
        models: dict[str, AnalyticModel],
    ) -> None:
        self.space, self.genomes, self.accuracy = space, genomes, accuracy
        self.accelerators = sorted(accelerators, key=lambda each: (each.macs_per_cycle, each.npu.sram_bytes))
        self.ms = np.array([np.asarray(models[each.name].predict_many(genomes).ms) for each in self.accelerators])

    def record(self, place: int, row: int) -> PairRecord:
        """A subnet on an accelerator, by their numbers."""
        subnet = self.space.subnet(self.genomes[row])
        return pair_record(self.accelerators[place], subnet, float(self.accuracy[row]), float(self.ms[place, row]))

    def front(self) -> tuple[PairRecord, ...]:
        """Pairs that no pair with as little hardware or less beats: the three-way front."""
        found, count = [], self.accuracy.size
        costs = np.array([each.macs_per_cycle for each in self.accelerators])
        for cost in np.unique(costs):
            within = np.flatnonzero(costs <= cost)
            kept = pareto_front(self.ms[within].ravel(), np.tile(self.accuracy, len(within)))
            places, rows = within[kept // count], kept % count
            found += [self.record(p, r) for p, r in zip(places, rows, strict=True) if costs[p] == cost]
        return tuple(found)

    def best(self, latency_ms: float, among: int | None = None) -> tuple[int, int]:
        """The most accurate within a latency, of equals that of the least hardware: numbers. Raises BudgetError."""
        places = list(range(len(self.accelerators))) if among is None else [among]
        ms = self.ms[places]
        score = np.where(ms <= latency_ms, self.accuracy[None], -np.inf)
        if not np.isfinite(score).any():
            place, row = np.unravel_index(int(ms.argmin()), ms.shape)
            fastest = self.record(places[int(place)], int(row))
            raise BudgetError(
                f"no pair takes {latency_ms:g} ms or less",
                f"the fastest, {fastest.subnet} on {fastest.accelerator}, is predicted to take {fastest.ms:.4g} ms",
                f"--latency-ms {round_up(float(ms.min())):g}, or larger accelerators",
            )
        place, row = np.unravel_index(int(score.argmax()), score.shape)  # the first, which has the least hardware
        return places[int(place)], int(row)

    def by_macs(self, row: int) -> int:
        """The most accurate subnet of as many MACs as another has: what is chosen knowing no accelerator."""
        table = BlockTable(self.space, lambda part: np.array([sum(each.macs for each in part)], np.float64))
        counts = table(self.genomes)[:, 0]
        return int(np.where(counts <= counts[row], self.accuracy, -np.inf).argmax())


def pair_record(
    accelerator: Accelerator, subnet: Subnet, accuracy: float | None = None, ms: float | None = None
) -> PairRecord:
    """A pair for the record."""
    return PairRecord(
        accelerator=accelerator.name,
        macs_per_cycle=accelerator.macs_per_cycle,
        sram_bytes=accelerator.npu.sram_bytes,
        subnet=subnet.id,
        config=subnet.config(),
        accuracy=accuracy,
        ms=ms,
    )


class _Chosen(NamedTuple):
    """A pair to be compiled: its accelerator by number, and what the models say, where they were asked."""

    place: int
    role: str
    subnet: Subnet
    accuracy: float | None = None
    ms: float | None = None


def _chosen(
    pairs: _Pairs, best: tuple[int, int], fixed: int, latency_ms: float
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


def _compiled(pairs: _Pairs, chosen: _Chosen) -> FinalistRecord:
    space, subnet, accelerator = pairs.space, chosen.subnet, pairs.accelerators[chosen.place]
    content = drawn(operators(space, subnet))
    if content is None:
        raise ConfigError(
            f"networks of '{space.name}' cannot be drawn for Vela",
            f"family {space.family} has operators besides those of inverted bottlenecks",
            "--supernet of an MBConv family",
        )
    system = VelaSystem(accelerator.npu, accelerator.target.path.parent)
    with tempfile.TemporaryDirectory(prefix="ofa-edge-codesign-") as folder:
        path = Path(folder) / "model.tflite"
        write_bytes(path, content)
        found = compile_int8(path, system)
    done = 2 * macs(space, subnet)
    return FinalistRecord(
        role=chosen.role,
        pair=pair_record(accelerator, subnet, chosen.accuracy, chosen.ms),
        macs=macs(space, subnet),
        cycles=found.cycles,
        ms=found.ms,
        utilisation=found.utilisation(accelerator.macs_per_cycle),
        intensity=done / max(1, found.offchip_bytes),
        gops=done / (found.ms * 1e6),
        roof_gops=2 * accelerator.macs_per_cycle * found.clock_hz / 1e9,
        offchip_gbps=found.offchip_gbps,
        sram_bytes=found.sram_bytes,
        layers=layer_records(found, accelerator.macs_per_cycle),
    )
