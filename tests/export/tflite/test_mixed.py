"""Files of an int8 file and its twin."""

import numpy as np
import pytest

from ofa_edge.export.inspect.litert import ask_litert
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.mixed import INPUT, mixed, probe
from ofa_edge.export.tflite.running import answers_of
from ofa_edge.verify.parity import compare


@pytest.fixture(scope="module")
def exact(tflite_paths, images):
    return run_tflite(tflite_paths["int8"].with_name("twin.tflite"), images)


def test_nothing_in_fp32_is_the_int8_file(pair, tflite_paths, images):
    assert (answers_of(mixed(pair, ()), images) == run_tflite(tflite_paths["int8"], images)).all()


def test_all_in_fp32_leaves_input_and_output(pair, exact, images):
    """What is left is the rounding of the input and of the logits."""
    ends = answers_of(probe(pair, (INPUT,)), images)
    found = answers_of(mixed(pair, range(len(pair.names))), images)
    step = pair.graph.tensors[pair.graph.outputs[0]].quantization.scale[0]
    assert np.abs(found - ends).max() <= 0.51 * step
    assert (answers_of(probe(pair, ()), images) == exact).all()


def test_all_rounded_answers_as_the_int8_file(pair, tflite_paths, exact, images):
    """Rounding in floats and integer arithmetic differ in single steps: far less than either differs from fp32."""
    int8 = run_tflite(tflite_paths["int8"], images)
    rounded = answers_of(probe(pair, (INPUT, *range(len(pair.names)))), images)
    assert compare(int8, rounded).snr_db > compare(exact, int8).snr_db + 9


@pytest.mark.parametrize("chosen", [range(3), range(20, 26), (40,)])
def test_a_mixed_file_is_delegated_whole(pair, tmp_path, chosen):
    path = tmp_path / "mixed.tflite"
    path.write_bytes(mixed(pair, chosen))
    found = ask_litert(path)
    assert (found.kept, found.partitions, found.refused) == ((), 1, "")


def test_the_same_choice_gives_the_same_bytes(pair):
    assert mixed(pair, {3, 1, 2}) == mixed(pair, (1, 2, 3))
