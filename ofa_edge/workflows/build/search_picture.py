"""The picture of a search that measured nothing."""

from ofa_edge.records.manifest import SubnetRecord
from ofa_edge.report.picture import Picture
from ofa_edge.search.front import Front
from ofa_edge.workflows.build.plan import SearchPlan
from ofa_edge.workflows.build.search import chosen_candidates, latency_of, score_of
from ofa_edge.workflows.build.search_record import search_record


def search_picture(plan: SearchPlan, front: Front) -> Picture:
    """The front of a plan's search, and the subnet that it chose. Raises BudgetError."""
    best = next(iter(chosen_candidates(plan, front, 1)), None) or front.best(plan.budget_ms)
    record = search_record(plan, latency_of(plan), score_of(plan), front, None)
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
