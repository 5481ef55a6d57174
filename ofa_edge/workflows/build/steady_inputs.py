"""Random images that a given network answers to, and answers steadily.

One with random weights, or with weights for other pictures, may blow a picture up until its answer is rounding noise,
as loud as all others together: whatever is made of it would then differ as much from it as it does from itself.
"""

import numpy as np

from ofa_edge.export.onnx.given import Given
from ofa_edge.metrics import power
from ofa_edge.network import Interface
from ofa_edge.verify.parity import compare
from ofa_edge.vocabulary import PictureKind
from ofa_edge.workflows.build.random_inputs import KINDS, varied_images

_STEADY_DB = 100.0  # twenty more than a conversion is held to
_EACH = 2  # images of a kind
_SEED = 2  # not of those that a build uses
_DARK = 1e-6  # root mean square of answers that say nothing: ONNX Runtime's exponentials are off by as much


def steady_kinds(given: Given, interface: Interface) -> tuple[PictureKind, ...]:
    """Kinds of random images whose answers stay when the same sums are made in another order.

    All, or without those that change most: as few as it takes, or those that leave the steadiest.

    Raises:
        ModelFileError, UnsupportedError: as `Given.answers`.
    """
    preprocessing, count = interface.inputs[0].preprocessing, len(KINDS)
    if preprocessing is None:
        return KINDS
    images = interface.apply(varied_images(_EACH * count, preprocessing.shape, preprocessing.channels, _SEED))
    answers, others = given.answers(images), given.in_another_order(images)
    if others is None or others.shape != answers.shape or not np.isfinite(answers).all():
        return KINDS

    def steadiness(kinds: list[int]) -> float:
        rows = [row for row in range(len(answers)) if row % count in kinds]
        dark = power(answers[rows]) < _DARK**2 * answers[rows].size
        return -np.inf if dark else compare(answers[rows], others[rows]).snr_db

    noise = [power(answers[kind::count] - others[kind::count]) for kind in range(count)]
    loudest_last = sorted(range(count), key=noise.__getitem__)
    sets = [sorted(loudest_last[:size]) for size in range(count, 0, -1)]
    kept = next((kinds for kinds in sets if steadiness(kinds) >= _STEADY_DB), max(sets, key=steadiness))
    return tuple(KINDS[kind] for kind in kept)
