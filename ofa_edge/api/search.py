"""The search alone: the front of accuracy against latency on a target, and the subnets of a fleet. All is predicted."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.api.options import build_options
from ofa_edge.report.picture import Picture
from ofa_edge.search.evolution import SearchOptions
from ofa_edge.search.front import Candidate, Front
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.search.ranked_by import Choice, RankedBy
from ofa_edge.space import Subnet
from ofa_edge.supernet.zoo import DEFAULT, SupernetPackage
from ofa_edge.targets import Target
from ofa_edge.vocabulary import Precision
from ofa_edge.workflows.build.constraints import Constraints
from ofa_edge.workflows.build.fleet import Fleet, plan_fleet
from ofa_edge.workflows.build.fleet import search_fleet as searched_fleet
from ofa_edge.workflows.build.plan import SearchPlan, make_plan
from ofa_edge.workflows.build.search import chosen_candidates, predicted_search
from ofa_edge.workflows.build.search_picture import search_picture

EVALUATIONS = SearchOptions().evaluations
_BEST, _DISTANCE = 8, 8


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        front: everything that it evaluated: its `points`, the `best` of any budget, the `least` for an accuracy.
        budget_ms: milliseconds that were asked for, or the target's share of the largest subnet's.
        best: up to eight subnets within the budget, best first, no two alike; with a minimum accuracy, the fastest.
        ranked: what the search went by, and why.
        plan: what was searched, and for what.
    """

    front: Front
    budget_ms: float
    best: tuple[Candidate, ...]
    ranked: RankedBy
    plan: SearchPlan

    @functools.cached_property
    def picture(self) -> Picture:
        """The front and the best subnet within the budget. As the last line of a notebook's cell it is shown."""
        return search_picture(self.plan, self.front)

    def picture_with(self, accuracies: Mapping[Subnet, float]) -> Picture:
        """The picture, and beside the predictions what was measured since: accuracies of subnets, 0..1.

        Raises:
            ConfigError: the search went by MACs alone, or a subnet is of another space.
        """
        return search_picture(self.plan, self.front, accuracies)

    @property
    def bound(self) -> float:
        """No subnet within the budget is predicted to be more accurate than this; infinite where nothing is known."""
        return self.front.bound.at(self.budget_ms)


def search_front(
    target: str | Path | Target,
    *,
    supernet: str | Path | SupernetPackage = DEFAULT,
    untrained: bool = False,
    latency_ms: float | None = None,
    precision: Precision | None = None,
    runtime: str | None = None,
    constraints: Constraints | None = None,
    predictor: Choice | AccuracyPredictor = "auto",
    sustained: bool = False,
    outside_key: bool = False,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
    seconds: float | None = None,
) -> SearchResult:
    """Search a supernet for the most accurate subnets of every latency on a target. Nothing is measured or written.

    Args:
        target: its name, its file, or what `load_target` gave.
        supernet: its name, its folder, or what `open_supernet` gave.
        untrained: for a published supernet without weights; MACs are maximised.
        latency_ms: the budget; by default the target's share of the largest subnet's latency.
        precision: of the artifact; the target's by default.
        runtime: likewise.
        constraints: what else a subnet has to keep.
        predictor: what ranks subnets; `auto`: the accuracy predictor if it ranks them better than MACs do. One from
            `fit_predictor` is used whatever MACs do; `ranked` of the result says how they compare.
        sustained: by the target's speed when it is warm.
        outside_key: where no latency model holds, take the nearest.
        seed: of the search.
        evaluations: subnets to evaluate, at most.
        seconds: stop after so long, with the front so far.

    Raises:
        UsageError: in one of its forms; BudgetError where no subnet keeps what was asked for, SpaceMismatchError for a
            predictor of another space.
        KeyboardInterrupt: Ctrl-C.
    """
    fitted = predictor if isinstance(predictor, AccuracyPredictor) else None
    options = build_options(
        target,
        supernet,
        untrained=untrained,
        latency_ms=latency_ms,
        precision=precision,
        runtime=runtime,
        constraints=constraints or Constraints(),
        predictor="use" if fitted else predictor,
        sustained=sustained,
        outside_key=outside_key,
        seed=seed,
        device="none",
    )
    plan = make_plan(options, claim=False, images=False, predictor=fitted).search
    front = predicted_search(plan, SearchOptions(evaluations=evaluations, seconds=seconds))
    if front.interrupted == "interrupted":
        raise KeyboardInterrupt
    return SearchResult(front, plan.budget_ms, chosen_candidates(plan, front, _BEST, _DISTANCE), plan.ranked, plan)


def search_fleet(
    budgets: Mapping[str, float],
    *,
    supernet: str | Path | SupernetPackage = DEFAULT,
    untrained: bool = False,
    max_models: int | None = None,
    precision: Precision | None = None,
    runtime: str | None = None,
    constraints: Constraints | None = None,
    predictor: Choice = "auto",
    outside_key: bool = False,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
) -> Fleet:
    """Find the fewest subnets that serve several targets, each within its budget. Nothing is measured or written.

    Args:
        budgets: milliseconds of each target, by its name or file: 2 to 8 of them.
        supernet: its name, its folder, or what `open_supernet` gave.
        untrained: for a published supernet without weights; MACs are maximised.
        max_models: subnets, at most; by default as many as it takes to lose no more than the predictor's error.
        precision: of the artifacts; each target's by default.
        runtime: likewise.
        constraints: what else a subnet has to keep.
        predictor: as in `search_front`.
        outside_key: where no latency model holds, take the nearest.
        seed: of the search.
        evaluations: subnets to evaluate in each search, at most.

    Raises:
        UsageError: in one of its forms; BudgetError where a budget cannot be met.
        KeyboardInterrupt: Ctrl-C.
    """
    options = build_options(
        "",
        supernet,
        untrained=untrained,
        precision=precision,
        runtime=runtime,
        constraints=constraints or Constraints(),
        predictor=predictor,
        outside_key=outside_key,
        seed=seed,
        device="none",
    )
    text = ",".join(f"{name}={ms!r}" for name, ms in budgets.items())
    found = searched_fleet(plan_fleet(options, text, claim=False, images=False), max_models, evaluations)
    if found.interrupted:
        raise KeyboardInterrupt
    return found
