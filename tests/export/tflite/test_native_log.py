import os

import pytest

from ofa_edge.export.tflite.native_log import without_lines


def test_only_the_given_lines_are_dropped(capfd):
    with without_lines(b"noise"):
        os.write(2, b"noise\nkept\nnoisy\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "kept\nnoisy\nafter\n"


def test_an_error_passes_through(capfd):
    def fail():
        with without_lines(b"noise"):
            os.write(2, b"noise\nstill here\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capfd.readouterr().err == "still here\n"
