"""The summary at a run's end: weak classes are named, and only weak ones."""

from pathlib import Path

from ofa_edge.cli.training_text import summary


def figures(cat: float) -> dict:
    ends = {"largest 24": (1 + cat) / 2, "smallest 24": 0.5}
    recall = {"cat": cat, "dog": 1.0}
    means = {f"random_{metric}_mean": 0.5 for metric in ("top1", "balanced")}
    test = {
        "top1": ends,
        "balanced": ends,
        "images": 40,
        "random_subnets": 3,
        "recall": {"largest 24": recall},
        **means,
    }
    return {"test": test, "predictor": None, "seconds_of_this_call": 5.0}


def test_weak_classes_are_named_and_none_where_all_images_are_right():
    assert "weakest classes: cat 75.0 %, dog 100.0 %" in summary("mine", figures(0.75), Path("run"))
    words = summary("mine", figures(1.0), Path("run"))
    assert "weakest" not in words
    assert "on 40 test images" in words
