"""Covers of a fleet against brute force."""

from itertools import product

import numpy as np
import pytest

from ofa_edge.search.cover import best_rows, choose, covers, groups, partitions


def made_up(seed: int, subnets: int = 40, targets: int = 4):
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.2, 1.0, subnets)
    ratios = size[:, None] * rng.uniform(0.8, 1.3, (subnets, targets)) * rng.uniform(1.0, 2.5, targets)
    return ratios, 0.9 + 0.05 * size + rng.normal(0, 0.003, subnets)


def test_partitions_are_all_and_each_once() -> None:
    assert [len(list(partitions(list(range(count))))) for count in range(6)] == [1, 1, 2, 5, 15, 52]  # Bell numbers
    assert len({str(sorted(map(sorted, parts))) for parts in partitions([0, 1, 2, 3])}) == 15
    assert len(list(groups(4))) == 15


@pytest.mark.parametrize("seed", range(6))
def test_covers_are_the_best_of_all_assignments(seed: int) -> None:
    """Any choice of one subnet a target, with so many distinct ones."""
    ratios, scores = made_up(seed, subnets=9, targets=3)
    best: dict[int, float] = {}
    for rows in product(range(len(scores)), repeat=3):
        if all(ratios[row, target] <= 1 for target, row in enumerate(rows)):
            total = float(scores[list(rows)].sum())
            for models in range(len(set(rows)), 4):
                best[models] = max(best.get(models, 0.0), total)
    found = covers(best_rows(ratios, scores), scores, 3) if best else []
    for cover in found:
        assert cover.scores.sum() == pytest.approx(best[len(cover.groups)], abs=0.02)
        assert cover.scores.sum() <= best[len(cover.groups)] + 1e-12
        assert (cover.costs >= 0).all()
        for members, row in zip(cover.groups, cover.rows, strict=True):
            assert (ratios[row, list(members)] <= 1).all()


def test_more_subnets_never_serve_worse() -> None:
    ratios, scores = made_up(3)
    found = covers(best_rows(ratios, scores), scores, 4)
    totals = [cover.scores.sum() for cover in found]
    assert totals == sorted(totals)
    assert found[-1].costs.max() == 0


def test_the_choice_keeps_to_the_tolerance_and_to_the_models_allowed() -> None:
    ratios, scores = made_up(3)
    found = covers(best_rows(ratios, scores), scores, 4)
    assert choose(found, 1.0, None) is found[0]
    assert choose(found, 0.0, None).costs.max() == 0
    limited = choose(found, 0.0, 2)
    assert len(limited.rows) <= 2
    assert limited.scores.sum() == max(cover.scores.sum() for cover in found if len(cover.rows) <= 2)


def test_targets_that_nothing_serves_together_are_not_merged() -> None:
    ratios, scores = np.array([[0.5, 2.0], [2.0, 0.5]]), np.array([0.9, 0.8])
    best = best_rows(ratios, scores)
    assert frozenset([0, 1]) not in best
    [only] = covers(best, scores, 2)
    assert only.groups == ((0,), (1,))
