"""How right answers are, whatever the task: one score of a test set, and what of it is lost, paired by image."""

from ofa_edge.verify.scoring.base import Scorer
from ofa_edge.verify.scoring.choice import scorer_for
from ofa_edge.verify.scoring.classification import TopOne

__all__ = ["Scorer", "TopOne", "scorer_for"]
