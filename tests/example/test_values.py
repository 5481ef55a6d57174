"""Texts of anybody's in C++: every byte arrives, and none ends the string, the line or the comment."""

import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.example.golden import GoldenFacts
from ofa_edge.example.values import c_string, header
from ofa_edge.network import Interface

NASTY = (
    '"; system("id"); //',
    "*/ int main() {",
    "??/",
    "a\\",
    "\n#include <x>",
    "\x1b[31m",
    "größe 着物",
    "",
    "%s",
    "\\u0041",
)


@given(st.text())
@example("\\" + '"' * 3)
@settings(max_examples=200, deadline=None)
def test_a_literal_is_one_line_of_plain_letters(text):
    made = c_string(text)
    assert made.isascii()
    assert made.isprintable()
    assert not any(letter in made[1:-1] for letter in '"?')
    body, found = made[1:-1], bytearray()
    while body:  # as a compiler reads it
        if body[0] == "\\":
            found.append(int(body[1:4], 8))
            body = body[4:]
        else:
            found += body[0].encode()
            body = body[1:]
    assert bytes(found) == text.encode()


def test_a_compiler_reads_the_labels_and_the_numbers_back(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    how = Preprocessing(9, 3, (1 / 3, 0.0, 123.675), (1e-7, 255.0, 57.375), fit="letterbox")
    said = Interface.of_classifier(how, NASTY).record("a b.onnx")
    (tmp_path / "ofa_interface.h").write_text(header(said, GoldenFacts(8, 1, 80.0, {"golden/1.ppm": "0" * 64})))
    program = """#include <cstdio>
#include "ofa_interface.h"
int main() {
  for (int i = 0; i < kClasses; ++i) { std::fputs(kLabels[i], stdout); std::fputc(0, stdout); }
  std::printf("%d %d %d %d ", kHeight, kWidth, kFit, kInputShape[3]);
  std::printf("%.9g %.9g %s %g", kMean[0], kStd[0], kFile, kGoldenSnr);
}
"""
    (tmp_path / "main.cc").write_text(program)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, "main.cc", "-o", "main"], cwd=tmp_path, check=True)
    *labels, numbers = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.split(b"\0")
    assert tuple(label.decode() for label in labels) == NASTY
    assert numbers.decode() == "9 9 2 9 0.333333343 1.00000001e-07 a b.onnx 80"
