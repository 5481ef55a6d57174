"""What `ofa-edge train` says in words: images of each class, how long it will take, and what came out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge.cli.console import duration, table

if TYPE_CHECKING:
    from ofa_edge.training.data import ClassCounts
    from ofa_edge.training.recipe import Recipe
    from ofa_edge.training.timing import Estimate

LISTED = 12  # classes in a whole table
_WEAKEST = 3  # classes named at the end


def class_table(counts: "ClassCounts") -> list[str]:
    """Images of each class in every split; for many classes the smallest, the largest and all together."""
    parts = (counts.training, counts.held_out, counts.test)
    order = sorted(range(len(counts.names)), key=lambda index: counts.training[index])
    shown = {counts.names[index]: index for index in range(len(counts.names))}
    if len(counts.names) > LISTED:
        shown = {
            f"smallest: {counts.names[order[0]]}": order[0],
            f"largest: {counts.names[order[-1]]}": order[-1],
        }
    rows = [["images", "training", "held out", "test"]]
    rows += [[name, *(str(part[index]) for part in parts)] for name, index in shown.items()]
    rows.append([f"all {len(counts.names)} classes", *(str(sum(part)) for part in parts)])
    return table(rows, right=(1, 2, 3)).splitlines()


def estimate_text(recipe: "Recipe", found: "Estimate") -> str:
    """How long a run takes on this machine, and what of that."""
    phases = zip(recipe.phases, found.phases, strict=True)
    parts = [f"{phase.name} {duration(seconds)}" for phase, seconds in phases]
    return (
        f"  about {duration(found.seconds)} on this machine, estimated by {found.steps} timed steps: "
        f"{', '.join(parts)}; "
        f"measuring {recipe.measure.pairs} subnets for the predictor, and the test set, {duration(found.measuring)}"
    )


def summary(name: str, figures: dict[str, Any], folder: Path) -> str:
    """What a run reached, on how many images, and where it is."""
    from ofa_edge.metrics import METRIC_NAMES

    test, predictor = figures["test"], figures["predictor"]
    size = max(int(key.split()[1]) for key in test["top1"])
    rows = [["subnet", "top-1, %", "balanced, %"]]
    for end in ("largest", "smallest"):
        key = f"{end} {size}"
        rows.append([f"{end}, {size} px", *(f"{100 * test[metric][key]:.2f}" for metric in ("top1", "balanced"))])
    means = [f"{100 * test[f'random_{metric}_mean']:.2f}" for metric in ("top1", "balanced")]
    rows.append([f"{test['random_subnets']} random ones, mean", *means])
    weakest = sorted(test["recall"][f"largest {size}"].items(), key=lambda item: item[1])[:_WEAKEST]
    lines = [
        f"trained '{name}' in {duration(figures['seconds_of_this_call'])}; on {test['images']} test images:",
        table(rows, right=(1, 2)),
    ]
    if weakest[0][1] < 1:
        words = ", ".join(f"{label} {100 * share:.1f} %" for label, share in weakest)
        lines.append(f"  the largest one's weakest classes: {words}")
    if predictor is None:
        lines.append("predictor: none, the space has too few subnets; a search of it goes by MACs")
    else:
        what = METRIC_NAMES[figures["measure"]["metric"]]
        lines.append(
            f"predictor of {what}: Kendall's tau {predictor['kendall']:.2f}, RMSE {100 * predictor['rmse']:.2f} points "
            f"on subnets that it did not see; {predictor['pairs']} were measured on {figures['held_out_images']} "
            "held-out images"
        )
    return "\n".join([*lines, f"package: {folder}/ (figures.json has the rest)"])
