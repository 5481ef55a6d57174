"""Made-up sessions of a golden and a candidate, measured in pairs."""

import numpy as np

from ofa_edge.verify.regression import Sessions

HERE = "fingerprint"


def sessions(ratio=0.0, scatter=0.005, pairs=8, seed=0, golden_ms=2.0):
    rng = np.random.default_rng(seed)
    golden = golden_ms * np.exp(rng.normal(0, scatter, pairs))
    candidate = golden_ms * np.exp(ratio + rng.normal(0, scatter, pairs))
    return Sessions(tuple(golden.tolist()), tuple(candidate.tolist()))
