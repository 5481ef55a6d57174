import numpy as np

from ofa_edge.latency.analytic import TERMS, Coefficients, Lowering
from ofa_edge.latency.design import choose_units
from ofa_edge.latency.posterior import Units, Widths
from ofa_edge.latency.protocol import Z50, Z90
from ofa_edge.latency.units import UnitTable
from ofa_edge.space import Space

SPACE = Space("fashion", 0.25, 1, 10, (1, 2, 2, 2, 1, 1), (20, 24, 28))
MS = np.array((0.05, 0.04, 0.2, 0.25, 0.3, 0.5, 0.1, 0.3, 0.2, 0.2, 0.006, 0.07))
PRIOR = Coefficients(MS, 0.1 * np.eye(len(TERMS)) + 0.2, 0.2, Z50, Z90, Lowering(4, 4))
TABLE = UnitTable(SPACE)
UNITS = Units(TABLE.units, PRIOR)
COUNTS = TABLE.counts(SPACE.sample(np.random.default_rng(0), 80))
SECONDS = np.ones(UNITS.size)


def left_variance(counts, chosen):
    """Mean relative variance of networks [N, U] that is left when these units are known: what the design lowers."""
    widths = Widths()
    mean, covariance = UNITS.alone(widths)
    seen = np.zeros((len(chosen), UNITS.size))
    seen[np.arange(len(chosen)), chosen] = 1
    seen[:, -1] = 1
    noise = np.diag((widths.unit_noise * mean[chosen]) ** 2)
    known = covariance @ seen.T
    left = covariance - known @ np.linalg.solve(seen @ known + noise, known.T)
    weights = counts / (counts @ mean)[:, None]
    return float(np.einsum("nu,uv,nv->n", weights, left, weights, optimize=True).mean())


def test_the_design_leaves_less_variance_than_random_choices_do() -> None:
    chosen = np.array(choose_units(UNITS, COUNTS, SECONDS, 20.0))
    assert len(chosen) == len(set(chosen.tolist())) == 20
    fresh = TABLE.counts(SPACE.sample(np.random.default_rng(9), 80))  # not those that it was made for
    designed = left_variance(fresh, chosen)
    rng = np.random.default_rng(1)
    drawn = [rng.choice(UNITS.size - 1, 20, replace=False) for _ in range(20)]
    random = [left_variance(fresh, each) for each in drawn]
    assert designed < 0.9 * min(random)


def test_each_unit_adds_less_than_the_one_before_and_all_fit_the_budget() -> None:
    chosen = np.array(choose_units(UNITS, COUNTS, SECONDS, 12.5))
    assert len(chosen) == 12
    left = [left_variance(COUNTS, chosen[:count]) for count in (1, 2, 4, 8, 12)]
    assert left == sorted(left, reverse=True)


def test_cheap_units_come_first_and_what_cannot_be_measured_never() -> None:
    first = choose_units(UNITS, COUNTS, SECONDS, 5.0)[0]
    dear = SECONDS.copy()
    dear[first] = 100.0
    assert first not in choose_units(UNITS, COUNTS, dear, 50.0)
    dear[:] = np.inf
    assert choose_units(UNITS, COUNTS, dear, 50.0) == ()
