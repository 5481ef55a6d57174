"""What takes a user seconds takes tests a moment: searches, and what a build measures on this machine."""

from dataclasses import replace

import pytest


def shorten_search(patch: pytest.MonkeyPatch) -> None:
    """The tiny space is searched well enough with few evaluations."""
    from ofa_edge.workflows.build import search

    patch.setattr(search, "OPTIONS", replace(search.OPTIONS, evaluations=600))


def shorten_sessions(patch: pytest.MonkeyPatch) -> None:
    """No test is about how well a build measured."""
    from ofa_edge.device.protocol import LatencyPlan

    short = LatencyPlan(sessions=3, min_seconds=0.0, warmup_seconds=0.0, warmup_limit_seconds=0.3)
    patch.setattr(LatencyPlan, "quick", lambda: short)
