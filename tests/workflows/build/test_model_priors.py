"""Priors from files, as people write them."""

import numpy as np
import pytest
from heads import priors

from ofa_edge.data.raw_boxes import packed_priors
from ofa_edge.errors import DataError
from ofa_edge.workflows.build.model_priors import read_priors


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, (0.1, 0.2)),
        ({"variances": np.array([0.5, 0.25])}, (0.5, 0.25)),
        ({"variances": np.array([0.5, 0.5, 0.25, 0.25])}, (0.5, 0.25)),
        ({"variances": np.array([1, 1])}, (1.0, 1.0)),
    ],
)
def test_a_file_is_read(tmp_path, more, wanted):
    np.savez(tmp_path / "p.npz", priors=priors(), **more)
    found = read_priors(tmp_path / "p.npz")
    assert (found.packed, found.variances) == (packed_priors(priors()), wanted)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"anchors": priors()}, "its arrays are anchors"),
        ({"priors": priors()[:, :2]}, "float64 \\[240, 2\\]"),
        ({"priors": priors()[:0]}, "float64 \\[0, 4\\]"),
        ({"priors": priors() * [1, 1, 0, 1]}, "without extent"),
        ({"priors": priors() * np.nan}, "without extent"),
        ({"priors": priors() * 300}, "no shares"),
        ({"priors": priors(), "variances": np.array([0.1, 0.2, 0.3])}, "variances"),
        ({"priors": priors(), "variances": np.array([0.1, 0.3, 0.2, 0.2])}, "variances"),
        ({"priors": priors(), "variances": np.array([0.0, 0.2])}, "variances"),
    ],
)
def test_what_holds_no_priors_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_priors(tmp_path / "p.npz")
