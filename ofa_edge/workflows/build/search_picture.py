"""The picture of a search that measured nothing, and of what was measured of it since."""

from collections.abc import Mapping

from ofa_edge.errors import ConfigError
from ofa_edge.records.network import SubnetRecord
from ofa_edge.records.search import CandidateRecord, SearchRecord
from ofa_edge.report.picture import Picture
from ofa_edge.schema import changed
from ofa_edge.search.front import Front
from ofa_edge.space import Subnet
from ofa_edge.workflows.build.plan import SearchPlan
from ofa_edge.workflows.build.search import chosen_candidates, latency_of, score_of
from ofa_edge.workflows.build.search_record import search_record


def search_picture(plan: SearchPlan, front: Front, measured: Mapping[Subnet, float] | None = None) -> Picture:
    """The front of a plan's search, and the subnet that it chose.

    Args:
        plan: what was searched.
        front: what was found.
        measured: accuracies of subnets, 0..1, to be drawn beside it.

    Raises:
        BudgetError: no subnet is within the budget.
        ConfigError: accuracies beside a front of MACs, or of subnets of another space.
    """
    best = next(iter(chosen_candidates(plan, front, 1)), None) or front.best(plan.budget_ms)
    record = _with(plan, search_record(plan, latency_of(plan), score_of(plan), front, None), measured or {})
    interval = plan.latency.predict(best.subnet)
    provenance = plan.latency.provenance.kind
    score = f"{100 * best.accuracy:.2f} % predicted top-1" if plan.predictor else f"{best.accuracy / 1e6:.0f} M MACs"
    return Picture(
        title=f"{plan.package.name} on {plan.target.name} ({plan.runtime.name} {plan.precision})",
        subtitle=f"{best.subnet.id}: {score}, {best.latency_ms:.3g} ms predicted ({provenance}) within "
        f"{plan.budget_ms:.3g} ms; {front.evaluations:,} subnets evaluated",
        search=record,
        space=front.space,
        chosen=SubnetRecord.of(front.space, best.subnet),
        low90=float(interval.low90),
        high90=float(interval.high90),
    )


def _with(plan: SearchPlan, record: SearchRecord, measured: Mapping[Subnet, float]) -> SearchRecord:
    """The record with these subnets among its candidates."""
    if measured and plan.predictor is None:
        raise ConfigError(
            "accuracies cannot be drawn beside this front",
            "nothing predicts accuracy here, and its height is MACs",
            "search with a predictor: predictor=oe.fit_predictor(...)",
        )
    space = plan.package.space
    genomes = space.genome([space.check(subnet) for subnet in measured])
    rows = zip(measured.items(), latency_of(plan)(genomes), score_of(plan)(genomes), strict=True)
    drawn = tuple(
        CandidateRecord(subnet=subnet.id, latency_ms=float(ms), score=max(float(score), 0.0), measured_top1=accuracy)
        for (subnet, accuracy), ms, score in rows
    )
    return changed(record, candidates=(*record.candidates, *drawn))
