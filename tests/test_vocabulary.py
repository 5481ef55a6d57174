"""Precisions follow from their grammar; every reason code has a meaning, and every meaning is used."""

import ast
from collections.abc import Iterator

import pytest
from places import ROOT

from ofa_edge.vocabulary import PRECISIONS, REASONS, numbers, weightiest

JUDGES = ("verify", "workflows/nightly", "workflows/verify.py", "device")
FINDINGS = "ofa_edge/export/inspect"  # codes of findings are another list: those of `ofa-edge inspect`


@pytest.mark.parametrize(
    ("word", "weights", "activations", "ranges", "half_sums", "base"),
    [
        ("fp32", "fp32", "fp32", False, False, "fp32"),
        ("fp16", "fp16", "fp32", False, False, "fp16"),
        ("fp16-acc16", "fp16", "fp32", False, True, "fp16"),
        ("dynamic", "int8", "fp32", False, False, "dynamic"),
        ("int8", "int8", "int8", True, False, "int8"),
        ("w8a16", "int8", "int16", True, False, "w8a16"),
    ],
)
def test_what_a_precision_means_follows_from_its_word(word, weights, activations, ranges, half_sums, base) -> None:
    found = numbers(word)
    assert (found.weights, found.activations, found.ranges, found.half_sums) == (
        weights,
        activations,
        ranges,
        half_sums,
    )
    assert found.base == base
    assert found.exact == (word == "fp32")


def test_bytes_of_weights_and_maps() -> None:
    found = [(numbers(each).weight_bytes, numbers(each).map_bytes) for each in (*PRECISIONS, "w8a16")]
    assert found == [(4, 4), (2, 4), (2, 4), (1, 4), (1, 1), (1, 2)]


@pytest.mark.parametrize("word", ["", "fp8", "int8-acc16", "w8", "a8w8", "fp32 "])
def test_other_words_are_no_precisions(word) -> None:
    with pytest.raises(ValueError, match="no precision"):
        numbers(word)


def test_the_weightiest_outcome_decides() -> None:
    assert weightiest(["pass", "unverified", "inconclusive"]) == "inconclusive"
    assert weightiest(["fail", "inconclusive"]) == "fail"
    assert weightiest([]) == "unverified"


def given(tree: ast.AST) -> Iterator[str]:
    """Codes that a module gives: as `code=` or `reason=`, or as the second word of a verdict or decision."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        values = [item.value for item in node.keywords if item.arg in ("code", "reason")]
        values += node.args[1:2] if name in ("verdict", "Decision", "Verdict") else []
        yield from (each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))


def test_every_code_that_a_judge_gives_has_a_meaning() -> None:
    found = set()
    for place in JUDGES:
        path = ROOT / "ofa_edge" / place
        for file in [path] if path.is_file() else path.rglob("*.py"):
            found |= {code for code in given(ast.parse(file.read_text())) if code and " " not in code}
    assert len(found) > 20
    assert found - set(REASONS) == set()


def test_every_meaning_is_used() -> None:
    said = set()
    for file in (ROOT / "ofa_edge").rglob("*.py"):
        if file.name != "vocabulary.py" and FINDINGS not in file.as_posix():
            constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
            said |= {value for value in constants if isinstance(value, str)}
    made = {f"{side}-does-not-run" for side in ("golden", "candidate")} if "-does-not-run" in said else set()
    assert set(REASONS) - said - made == set()


def test_the_page_lists_them() -> None:
    rows = [f"| `{code}` | {meaning} |" for code, meaning in REASONS.items()]
    page = (ROOT / "docs" / "reasons.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
