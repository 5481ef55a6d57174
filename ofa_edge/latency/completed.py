"""Latency files that are older than a term of the analytic model."""

from typing import Any

import numpy as np

from ofa_edge.latency.analytic import TERMS

_NEAREST, _UNSURE = "depthwise", 0.7  # whose rate stands for that of grouped convolutions, within a factor of 2


def complete(content: Any) -> None:
    """Complete, in place, every model of a latency file that was read and not yet checked."""
    models = content.get("models") if isinstance(content, dict) else None
    for model in models if isinstance(models, list) else ():
        _complete(model)
        _complete(model.get("prior") if isinstance(model, dict) else None)


def _complete(facts: Any) -> None:
    """Complete coefficients older than the term `grouped`: by the depthwise rate, and not sure of it."""
    given = facts.get("coefficients") if isinstance(facts, dict) else None
    if not isinstance(given, dict) or set(TERMS) - set(given) != {"grouped"}:
        return
    before = [term for term in TERMS if term != "grouped"]
    try:
        matrix = np.array(facts.get("log_covariance"), dtype=np.float64).reshape(len(before), len(before))
    except (TypeError, ValueError):
        return  # the schema says what is wrong with it
    order = [before.index(_NEAREST if term == "grouped" else term) for term in TERMS]
    matrix = matrix[np.ix_(order, order)]
    place = TERMS.index("grouped")
    matrix[place, place] += _UNSURE**2
    facts["coefficients"] = given | {"grouped": given[_NEAREST] or given.get("conv", 0.0)}
    facts["log_covariance"] = matrix.tolist()
