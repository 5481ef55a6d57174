"""Steps of the input in which pictures lose least."""

import numpy as np
import pytest

from ofa_edge.export.tflite.fitting import fit
from ofa_edge.export.tflite.pair import pair_up, scale_of
from ofa_edge.export.tflite.rewrites.fit_input import fit_input
from ofa_edge.export.tflite.running import run_tflite

STEP, OFFSET = 1 / 57, 118


def of_pixels(images, largest):
    """Pictures whose pixels are whole numbers from 0 to `largest`, normalised."""
    least, most = images.min(), images.max()
    return ((np.rint((images - least) / (most - least) * largest) - OFFSET) * STEP).astype(np.float32)


def input_of(content, twin):
    graph = pair_up(content, twin).graph
    return scale_of(graph.tensors[graph.inputs[0]])


@pytest.mark.parametrize("largest", [255, 243])
def test_pixels_keep_their_own_step(before, twin, calibration, largest):
    """243: no picture has all brightnesses, and steps that end at the brightest would be finer than a pixel's."""
    values = of_pixels(calibration, largest)
    (fitted,) = fit_input(pair_up(before, twin), values)
    scale, zero = input_of(fitted, twin)
    assert scale == pytest.approx(STEP, rel=2e-4)
    assert -128 - zero <= np.rint(values.min() / scale)
    assert np.rint(values.max() / scale) <= 127 - zero
    assert fit_input(pair_up(before, twin), values) == [fitted]


def test_without_images_or_a_twin_nothing_changes(before, twin, calibration, plain_paths):
    assert fit(before, lambda: twin, None, [fit_input]) == before
    assert fit(before, plain_paths["fp32"].read_bytes, calibration, [fit_input]) == before


def test_the_file_still_answers(before, twin, calibration, images, tmp_path):
    path = tmp_path / "fitted.tflite"
    path.write_bytes(fit(before, lambda: twin, of_pixels(calibration, 255), [fit_input]))
    assert np.isfinite(run_tflite(path, images[:1])).all()
