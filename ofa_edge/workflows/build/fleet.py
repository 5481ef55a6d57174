"""A fleet: several targets, each with its budget, served by as few subnets as accuracy allows."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.cache import StageCache
from ofa_edge.errors import BudgetError, ConfigError, UnsupportedError
from ofa_edge.names import require_plain
from ofa_edge.output import reserved
from ofa_edge.records.manifest import Manifest
from ofa_edge.records.search import FleetRecord, SearchRecord
from ofa_edge.runtimes import FASTEST
from ofa_edge.schema import changed
from ofa_edge.search.archive import Floats
from ofa_edge.search.cover import MOST_TARGETS, Cover, best_rows, choose, covers, groups
from ofa_edge.search.evolution import SearchOptions
from ofa_edge.search.limits import allowed
from ofa_edge.shown import pasteable
from ofa_edge.space import Genomes, Subnet
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.build import build
from ofa_edge.workflows.build.plan import SupernetPlan, make_plan
from ofa_edge.workflows.build.search import latency_of, score_of, search_plans, search_together
from ofa_edge.workflows.build.stages import OnStage, StageRunner

EVALUATIONS = 60_000  # of all searches together
_FORM = "pixel-4=20ms,raspberry-pi-4=40ms"


@dataclass(frozen=True)
class Fleet:
    """How a fleet can be served, by what is predicted.

    Attributes:
        plans: one for each target.
        genomes: the subnets evaluated: [N, genome_length].
        latency: their milliseconds on each target: [N, targets].
        scores: their predicted top-1, or MACs: [N].
        options: the best cover for each number of subnets, the fewest first.
        chosen: one of them.
        tolerance: the score that sharing may cost a target before a further subnet is spent on it.
        interrupted: whether the searches ended before their time.
    """

    plans: tuple[SupernetPlan, ...]
    genomes: Genomes
    latency: Floats
    scores: Floats
    options: tuple[Cover, ...]
    chosen: Cover
    tolerance: float
    interrupted: bool = False

    def subnet(self, row: int) -> Subnet:
        """One of the subnets evaluated."""
        return self.plans[0].package.space.subnet(self.genomes[row])


def parse_fleet(text: str, *, budgets: bool = True) -> tuple[tuple[str, float | None], ...]:
    """Targets and their budgets in milliseconds, from `NAME=20ms,NAME=40ms`; the unit may be left out.

    Args:
        text: what a user gave.
        budgets: whether each target has to have one; else it may be left out too.

    Raises:
        ConfigError: another form, a budget that is none, a target twice, or too few or too many targets; names it.
    """
    found: dict[str, float | None] = {}
    for item in (part.strip() for part in text.split(",")):
        name, equals, budget = (part.strip() for part in item.rpartition("="))
        if not equals and item and not budgets:
            name, budget = item, ""
        elif not equals or not name or not budget:
            raise ConfigError(f"bad fleet: '{item}' is not NAME=MILLISECONDS", f"--fleet {text}", f"--fleet {_FORM}")
        if name in found:
            raise ConfigError(f"bad fleet: {name} is named twice", f"--fleet {text}", "one budget for each target")
        found[name] = _milliseconds(name, budget) if budget else None
    if not 2 <= len(found) <= MOST_TARGETS:
        raise ConfigError(
            f"a fleet has 2 to {MOST_TARGETS} targets",
            f"--fleet names {len(found)}",
            "--target NAME --latency-ms X for one; several fleets for more",
        )
    return tuple(found.items())


def _milliseconds(name: str, budget: str) -> float:
    try:
        milliseconds = float(budget.removesuffix("ms").strip())
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < math.inf:
        raise ConfigError(
            f"bad fleet: '{budget}' is no budget for {name}", "milliseconds above 0 are wanted", f"{name}=20ms"
        )
    return milliseconds


def options_of_each(
    options: BuildOptions, fleet: str, targets: Sequence[tuple[str, float | None]]
) -> tuple[BuildOptions, ...]:
    """Those of each target's build: its name, its budget, and a folder of its name.

    Raises:
        UsageError: options that mean one target, or two targets of one name.
    """
    _require_fleet_options(options)
    top = options.out or Path("out")
    own = tuple(
        dataclasses.replace(options, target=name, latency_ms=budget, out=top / _folder_of(name))
        for name, budget in targets
    )
    if len({each.out for each in own}) < len(own):
        raise ConfigError("two targets of the fleet have one name", f"--fleet {fleet}", "rename one of the files")
    return own


def plan_fleet(
    options: BuildOptions, fleet: str, *, claim: bool = True, images: bool = True
) -> tuple[SupernetPlan, ...]:
    """A plan for each target of a fleet, its output in a folder of the target's name.

    Args:
        options: of every build; its target and budget are not used.
        fleet: as `parse_fleet` takes it.
        claim: as in `make_plan`.
        images: as in `make_plan`.

    Raises:
        UsageError: in one of its forms, naming the target.
    """
    own = options_of_each(options, fleet, parse_fleet(fleet))
    plans = tuple(make_plan(each, claim=claim, images=images) for each in own)
    if plans[0].package.subnet is not None:
        raise ConfigError(
            f"'{plans[0].package.name}' is one network, not a supernet",
            "a fleet is searched for",
            "ofa-edge build --target NAME, for each target",
        )
    return plans


def _folder_of(target: str) -> str:
    """Of a target by name or by file: the folder that its build goes to."""
    return require_plain("target", Path(target).stem, f"--fleet {target}", "--fleet pixel-4=2ms,raspberry-pi-4=3ms")


def _require_fleet_options(options: BuildOptions) -> None:
    """Raise UnsupportedError for options that mean one target."""
    if options.refine:
        raise UnsupportedError(
            "--refine with --fleet",
            "one device is measured, and a fleet has several targets",
            "ofa-edge build --target NAME --refine K for each, then --fleet OUT/NAME-refined.toml=MS,...",
        )
    if options.runtime == FASTEST:
        raise UnsupportedError(
            f"--runtime {FASTEST} with --fleet",
            "runtimes are compared on one device, and a fleet has several targets",
            f"{pasteable('ofa-edge', 'build', '--target', 'NAME', '--runtime', FASTEST)} for each, or --runtime NAME",
        )
    if options.constraints.min_accuracy is not None:
        raise UnsupportedError(
            "--min-accuracy with --fleet",
            "a fleet has budgets, and accuracy is what is maximised within them",
            "leave it out, or --target NAME --min-accuracy X",
        )


def search_fleet(
    plans: Sequence[SupernetPlan],
    max_models: int | None = None,
    evaluations: int | None = None,
    on_search: Callable[[int, int], None] | None = None,
) -> Fleet:
    """Search for every set of targets that might share a subnet, and choose which do.

    The cover is exact over all subnets that any of the searches evaluated. Without `max_models` the fewest subnets are
    taken with which sharing costs no target more than the predictor's error (one percent of the MACs without one).

    Ctrl-C ends the searches; what they found is returned, where it serves every target, and says so.

    Args:
        plans: one for each target.
        max_models: how many subnets there may be.
        evaluations: predictor calls of each search, at most; `EVALUATIONS` of all together in any case.
        on_search: told after each search how many are done, of how many.

    Raises:
        KeyboardInterrupt: Ctrl-C before every target was served.
        BudgetError: no subnet is fast enough for one of the targets, which is named, or for all of them as few models.
    """
    first = plans[0]
    pool, interrupted = _search_groups(plans, evaluations or SearchOptions().evaluations, on_search)
    latency = np.stack([latency_of(plan.search)(pool) for plan in plans], axis=1)
    scores = np.asarray(score_of(first.search)(pool), dtype=np.float64)
    budgets = np.array([plan.search.budget_ms for plan in plans])
    kept = np.stack([_keeps(plan, pool) for plan in plans], axis=1)
    best = best_rows(np.where(kept, latency / budgets, np.inf), scores)
    if interrupted and not all(frozenset([index]) in best for index in range(len(plans))):
        raise KeyboardInterrupt
    options = covers(best, scores, len(plans))
    if interrupted and max_models is not None and len(options[0].rows) > max_models:
        raise KeyboardInterrupt
    if max_models is not None and len(options[0].rows) > max_models:
        raise BudgetError(
            f"{max_models} subnet(s) cannot serve this fleet",
            f"no subnet is within all budgets; {len(options[0].rows)} are needed",
            f"--max-models {len(options[0].rows)}, or a longer budget",
        )
    tolerance = first.search.predictor.rmse if first.search.predictor else 0.01 * float(scores.max())
    chosen = choose(options, tolerance, max_models)
    return Fleet(tuple(plans), pool, latency, scores, tuple(options), chosen, tolerance, interrupted)


def _search_groups(
    plans: Sequence[SupernetPlan], evaluations: int, on_search: Callable[[int, int], None] | None
) -> tuple[Genomes, bool]:
    """What searches for every set of targets found worth keeping; whether Ctrl-C ended them."""
    sets = list(groups(len(plans)))
    evaluations = max(1, min(evaluations, EVALUATIONS // len(sets)))
    pool: Genomes | None = None
    interrupted = False
    for done, members in enumerate(sets, 1):
        pool, interrupted = _search_group([plans[index] for index in sorted(members)], pool, evaluations)
        if interrupted:
            break
        if on_search is not None:
            on_search(done, len(sets))
    assert pool is not None
    return pool, interrupted


def _keeps(plan: SupernetPlan, genomes: Genomes) -> NDArray[np.bool_]:
    """Whether genomes keep the limits of one plan, its kernels among them."""
    kept = allowed(plan.search.limits)(genomes)
    if plan.search.part is not None:
        space, able = plan.package.space, plan.search.part.kernels
        banned = [index for index, kernel in enumerate(space.kernels) if kernel not in able]
        blocks = len(space.blocks)
        kept &= ~(np.isin(genomes[:, :blocks], banned) & space.active(genomes)).any(axis=1)
    return kept


def _search_group(plans: Sequence[SupernetPlan], pool: Genomes | None, evaluations: int) -> tuple[Genomes, bool]:
    """The pool with the subnets that a search for these targets together found; whether Ctrl-C ended it."""
    try:
        front = search_plans(
            [plan.search for plan in plans], start=pool, options=SearchOptions(evaluations=evaluations)
        )
    except BudgetError as error:
        if len(plans) > 1:  # these targets cannot share
            assert pool is not None
            return pool, False
        name = plans[0].target.name
        raise BudgetError(f"{name}: {error.what}", error.why, f"--fleet ...,{name}=X with a longer X") from error
    best = front.space.genome([item.subnet for item in front.candidates(plans[0].search.budget_ms, 64)])
    points = front.space.genome([item.subnet for item in front.points])
    joined = np.unique(np.concatenate([best, points, *([] if pool is None else [pool])]), axis=0)
    return joined, bool(front.interrupted)


def build_fleet(fleet: Fleet, cache: StageCache, command: Sequence[str], on_stage: OnStage) -> list[Manifest]:
    """Build every target, in their order. What two builds share, from the search to the artifact, is made once.

    The subnet of each group is chosen anew, with measurements (see `search.search_together`): the predictor alone
    says only which targets share.

    Raises:
        OfaEdgeError: builds that were finished before it stay.
    """
    cover, manifests = fleet.chosen, {}
    for members in cover.groups:
        plans = [fleet.plans[index] for index in members]
        names = tuple(plan.target.name for plan in plans)
        for place, (index, plan) in enumerate(zip(members, plans, strict=True)):
            record = FleetRecord(
                targets=len(fleet.plans),
                models=len(cover.rows),
                serves=names,
                cost=float(max(cover.costs[index], 0.0)),
            )

            def find(
                runner: StageRunner,
                _: SupernetPlan,
                plans: list[SupernetPlan] = plans,
                place: int = place,
                facts: FleetRecord = record,
            ) -> tuple[Subnet, SearchRecord | None]:
                subnet, records = search_together(runner, [plan.search for plan in plans])
                return subnet, changed(records[place], fleet=facts)

            with reserved(plan.out):
                manifests[index] = build(plan, cache, command, on_stage, find)
    return [manifests[index] for index in range(len(fleet.plans))]
