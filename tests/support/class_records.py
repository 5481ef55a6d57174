"""Records of classes for tests: any number of them, of any names and counts."""

from typing import Any

from ofa_edge.records.classes import ClassesRecord, ClassRecord, ConfusedPair


def one(name: str, test: int, right: int, **changes: Any) -> ClassRecord:
    counts = {"calibration": max(1, test // 4), "validation": 5, "right_before": right, "lost": 0, "won": 0}
    return ClassRecord(name=name, test=test, right=right, **{**counts, **changes})


def record(*items: ClassRecord) -> ClassesRecord:
    """All wrong images of a class are taken for the next one."""
    size = len(items)
    wrong = [item.test - item.right - item.no_answer for item in items]
    if size > 100:
        pairs = [
            ConfusedPair(true=row, answered=(row + 1) % size, images=count) for row, count in enumerate(wrong) if count
        ]
        return ClassesRecord(start="slice", artifact="device", classes=items, pairs=tuple(pairs[:50]))
    matrix = [[0] * size for _ in items]
    for row, item in enumerate(items):
        matrix[row][(row + 1) % size] += wrong[row]
        matrix[row][row] += item.right
    return ClassesRecord(start="slice", artifact="device", classes=items, matrix=tuple(map(tuple, matrix)))
