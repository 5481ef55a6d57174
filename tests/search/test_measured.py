"""Search and measurement in turn, on made-up accuracies."""

import numpy as np
from landscapes import FASHION, accuracy, latency

from ofa_edge.search.measured import BATCH, STILL, MeasuredSearch, measured_search

TRUTH, TIMES = accuracy(FASHION), latency(FASHION)
POOL = np.unique(FASHION.sample(np.random.default_rng(0), 300), axis=0)
IMAGES = 3000


def bias(genomes):
    """What the predictor is wrong by: it does not like the first block's kernel to be large; and an offset."""
    return 0.006 * (genomes[:, 0] == 0) + 0.003


def predict(genomes):
    return TRUTH(genomes) + bias(genomes)


def run(count: int, seed: int = 0, predictor=predict, pool=POOL) -> tuple[MeasuredSearch, list[bytes]]:
    seen: list[bytes] = []
    rng = np.random.default_rng(100 + seed)

    def measure(genome):
        seen.append(genome.tobytes())
        return np.where(rng.random(IMAGES) < TRUTH(genome[None])[0], np.inf, -np.inf).astype(np.float32)

    def propose(score):
        return pool[np.argsort(-score(pool))[:120]]

    def heads(genomes, scores):
        return np.array([int(np.argmax(scores))])

    found = measured_search(predictor, 0.004, IMAGES, propose(predictor), propose, measure, heads, count, seed)
    return found, seen


def test_nothing_is_measured_twice_and_no_more_than_allowed() -> None:
    found, seen = run(18)
    assert len(seen) == len(set(seen)) <= 18
    assert [genome.tobytes() for genome in found.correction.answers.genomes] == seen
    assert len(found.rounds) == len(found.foreseen) == len(found.predicted) == len(seen)
    assert list(found.rounds) == sorted(found.rounds)
    assert found.foreseen[:BATCH].tolist() == found.predicted[:BATCH].tolist()  # nothing is known before


def test_the_choice_has_the_highest_posterior_mean() -> None:
    found, _ = run(12)
    expected, error = found.expected
    assert found.chosen == int(np.argmax(expected))
    assert (error > 0).all()


def test_corrected_choices_beat_the_predictors_favourite() -> None:
    gains = []
    for seed in range(6):
        found, _ = run(20, seed)
        chosen = found.correction.answers.genomes[[found.chosen]]
        favourite = POOL[[int(np.argmax(predict(POOL)))]]
        gains.append(TRUTH(chosen)[0] - TRUTH(favourite)[0])
    assert np.mean(gains) > -1e-4


def test_predictions_improve_after_the_first_round() -> None:
    errors = []
    for seed in range(4):
        found, _ = run(16, seed)
        later = np.array(found.rounds) > 1
        truth = found.correction.answers.top1[later]
        errors.append([abs((found.predicted[later] - truth).mean()), abs((found.foreseen[later] - truth).mean())])
    predicted, foreseen = np.mean(errors, axis=0)
    assert foreseen < predicted


def test_it_stops_where_the_front_stands_still() -> None:
    """A pool with one clear leader, and a predictor that is right: nothing to find."""
    found, seen = run(200, predictor=TRUTH)
    assert found.stopped == "settled"
    assert found.rounds[-1] >= STILL
    assert len(seen) < 200


def test_a_pool_that_is_measured_out_ends_it() -> None:
    found, seen = run(50, pool=POOL[:6])
    assert len(seen) == 6
    assert found.stopped == "settled"


def test_same_seed_same_choice() -> None:
    assert run(12, 3)[1] == run(12, 3)[1]
