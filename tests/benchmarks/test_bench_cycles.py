import json

import numpy as np
import pytest
from bench_cycles.fitting import coefficients
from places import ROOT

from ofa_edge.device.measuring.modelled_cycles import MISSED_LINE


def test_coefficients_that_made_the_times_are_found_again():
    terms = np.random.default_rng(2).uniform(1, 1e6, (30, 3))
    assert coefficients(terms, terms @ [2e-7, 0.0, 3e-5]) == pytest.approx([2e-7, 0.0, 3e-5], abs=1e-12)


def test_what_ships_is_what_was_fitted():
    results = json.loads((ROOT / "benchmarks" / "modelled_cycles_results.json").read_text())
    core, near, far, _ = results["fits"]["coefficients"]["modelled cycles"]
    assert (round(far / core), near) == (MISSED_LINE, 0)
