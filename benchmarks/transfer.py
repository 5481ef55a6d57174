"""A supernet moved to other classes, beside the same supernet from scratch and beside subnets tuned alone.

    python benchmarks/transfer.py data --cifar DIR --folder runs/transfer      # links: six classes, and four others
    python benchmarks/transfer.py source --folder runs/transfer                # the supernet of the six classes
    python benchmarks/transfer.py run --folder runs/transfer [--images 20 --seed 0 --way moved]
    python benchmarks/transfer.py table [--folder runs/transfer] > docs/benchmarks/transfer.md

DIR holds CIFAR-10 as pictures: train/CLASS/*.jpg and test/CLASS/*.jpg. `run` does what is missing, one thread a
process, and resumes what was interrupted; finished runs are recorded beside this file (transfer_results). Ways:

    moved      `train --from` the source supernet
    quick      likewise with `--recipe transfer-quick`
    one_head   likewise with `--recipe transfer_one_head.toml`, the recipe that `transfer` was first
    scratch    the same space from random weights, at the cost of `one_head` (`ofa-edge`, scaled)
    scratch10  likewise at ten times that cost
    alone      five probe subnets of the source, each by `finetune --new-head`
    far        `train --from` the embedded Fashion-MNIST supernet, in grey
    far_scratch  that supernet's space from random weights, in grey too, at the cost of `one_head`
    others     what was tried besides: transfer_tried.py

Accuracy is the balanced accuracy of five probe subnets on the test images of the four classes, 1,000 each.
"""

import argparse
import json
import os
import random
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transfer_tried import ALONE, LONG, RATES, SMALL, prepared
from transfer_tried import WAYS as TRIED

from ofa_edge.data.dataset import Dataset
from ofa_edge.files import write_json
from ofa_edge.metrics import balanced_accuracy
from ofa_edge.schema import changed
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.evaluate import subnet_logits
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.data import load_data, resolve
from ofa_edge.training.package_data import CALIBRATION_IMAGES
from ofa_edge.training.plan import plan_run, scale_for
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import load_recipe
from ofa_edge.training.step import recipe_step
from ofa_edge.training.trainer import Trainer
from ofa_edge.training.transfer import METHOD, begin, fit_new_head, settled, transfer_recipe
from ofa_edge.workflows.train import train

PRESET = str(Path(__file__).parent / "transfer.toml")
ONE_HEAD = str(Path(__file__).parent / "transfer_one_head.toml")
RECORDED = Path(__file__).parent / "transfer_results"
OLD = ("airplane", "automobile", "cat", "deer", "frog", "ship")
NEW = ("bird", "dog", "horse", "truck")
IMAGES, SEEDS = (20, 50, 200, 1000), (0, 1, 2)
OWN_WAYS = ("moved", "quick", "one_head", "scratch", "scratch10", "alone", "far", "far_scratch")
WAYS = (*OWN_WAYS, *TRIED)
SCRATCH = {"scratch": 1, "scratch10": 10, "far_scratch": 1}  # by how much they cost more than `one_head`
METHODS = dict.fromkeys(("moved", "far", "alone", *RATES), METHOD) | {"quick": "transfer-quick"}  # others: ONE_HEAD


def probes(space: Space) -> dict[str, Subnet]:
    """The subnets that are compared, smallest first."""
    chosen = {"k3 e3 d2": (3, 3, 2), "k3 e4 d3": (3, 4, 3), "k5 e4 d4": (5, 4, 4), "k5 e6 d3": (5, 6, 3)}
    return {name: space.uniform(*values) for name, values in chosen.items()} | {"k7 e6 d4": space.uniform(7, 6, 4)}


def link_data(cifar: Path, folder: Path) -> None:
    """Hard links to the pictures of each setting."""

    def link(place: Path, classes: tuple[str, ...], part: str, count: int, seed: int) -> None:
        for name in classes:
            files = sorted((cifar / part / name).iterdir())
            random.Random(f"{seed} {name}").shuffle(files)
            target = place / ("train" if part == "train" else "test") / name
            target.mkdir(parents=True, exist_ok=True)
            for file in files[:count]:
                if not (target / file.name).exists():
                    os.link(file, target / file.name)

    link(folder / "data" / "old", OLD, "train", 5000, 0)
    link(folder / "data" / "old", OLD, "test", 1000, 0)
    for images in IMAGES:
        for seed in SEEDS:
            place = folder / "data" / f"new-{images}-{seed}"
            link(place, NEW, "train", images, seed)
            link(place, NEW, "test", 1000, 0)


def make_source(folder: Path) -> None:
    """Train the supernet of the six classes."""
    recipe = load_recipe("ofa-edge", PRESET)
    train(recipe, load_data(recipe, folder / "data" / "old"), folder / "source")


def transfer_plan(folder: Path, data: Path, seed: int, way: str) -> tuple[Recipe, Dataset, Any]:
    """The recipe of a move, its data, and the package that it begins with; of `far`, Fashion-MNIST's, which is grey."""
    far = way.startswith("far")
    package = open_supernet("fashion-mnist" if far else str(folder / "source"))
    changes = {"seed": seed, **RATES.get(way, {}), **({"data": {"channels": 1}} if far else {})}
    recipe = transfer_recipe(package, METHODS.get(way, ONE_HEAD), changes)
    dataset = load_data(recipe, data)
    return resolve(settled(recipe, package, dataset), dataset).recipe, dataset, package


def run_one(folder: Path, way: str, images: int, seed: int) -> None:
    """One way of getting networks for the four classes; its accuracies and cost."""
    data, place = folder / "data" / f"new-{images}-{seed}", folder / f"{way}-{images}-{seed}"
    recipe, dataset, package = transfer_plan(folder, data, seed, way)
    started = time.process_time()
    if way == "alone":
        found, macs = alone(folder, place, recipe, dataset, package)
    else:
        found, macs = whole(folder, way, place, recipe, dataset, package)
    result = {"way": way, "images": images, "seed": seed, "balanced": found, "macs": macs}
    write_json(
        folder / f"{way}-{images}-{seed}.json", result | {"cpu_seconds": round(time.process_time() - started, 1)}
    )
    print(way, images, seed, json.dumps(found), f"{macs / 1e12:.3f} T MACs", flush=True)


def whole(
    folder: Path, way: str, place: Path, recipe: Recipe, data: Dataset, package: Any
) -> tuple[dict[str, float], float]:
    """A supernet: moved, or from scratch at the cost of a move or ten times that."""
    space = recipe.make_space(len(data.class_names))
    kept, _ = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    start, how = None, (recipe, recipe_step, None)
    recipe, step, teacher = prepared(way, recipe, data, folder) if way in TRIED else how
    if way in SCRATCH:
        macs = plan_run(recipe, space, len(kept)).macs * SCRATCH[way]
        recipe = from_scratch(recipe, space, len(kept), macs)
    else:
        begun = begin(recipe, package, space, data.class_names)
        fit_new_head(begun, recipe, kept, kept.sample(CALIBRATION_IMAGES), LONG[way][0] if way in LONG else None)
        start = begun.net
    trainer = Trainer(recipe, space, kept, place, start=start, step_function=step, teacher=teacher)
    trainer.resume()
    net = trainer.run()
    calibration = kept.sample(CALIBRATION_IMAGES)
    found = {}
    for name, subnet in probes(space).items():
        if way in ALONE and name != SMALL:
            continue
        answers = subnet_logits(net, subnet, calibration, data.test, recipe.preprocessing(subnet.resolution))
        found[name] = round(balanced_accuracy(answers, data.test.labels), 4)
    return found, trainer.plan.macs


def from_scratch(recipe: Recipe, space: Space, images: int, macs: float) -> Recipe:
    """`ofa-edge` on the same data and batch, at that cost."""
    method = load_recipe(
        "ofa-edge", None, {**recipe.model_dump(mode="json", include={"space", "data", "augment", "batch"})}
    )
    method = changed(method, seed=recipe.seed, measure=recipe.measure)
    return changed(method, scale=scale_for(method, space, images, macs))


def alone(folder: Path, place: Path, recipe: Recipe, data: Dataset, package: Any) -> tuple[dict[str, float], float]:
    """Each probe subnet by itself, from the source's weights with a new head."""
    from ofa_edge.training.package_data import TrainingData
    from ofa_edge.workflows.new_head import new_head_recipe, tune_new_head

    kept, held_out = data.split(recipe.data.held_out_images, recipe.data.split_seed)
    found, total = {}, 0.0
    for name, subnet in probes(package.space).items():
        source = TrainingData(kept, held_out, data.test, recipe.augment, recipe.batch)
        single = new_head_recipe(source, seed=recipe.seed)
        figures = tune_new_head(package, subnet, source, data.class_names, single, place / subnet.id)
        found[name], total = figures["balanced_after"], total + figures["expected_macs"]
    return found, total


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("data", "source", "run", "table"))
    parser.add_argument("--folder", type=Path, default=RECORDED)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--images", type=int, action="append")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--way", action="append", choices=WAYS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "data":
        link_data(options.cifar, options.folder)
    elif options.command == "source":
        make_source(options.folder)
    elif options.command == "table":
        print(table(options.folder), end="")
    else:
        for seed in options.seed or SEEDS:
            for images in options.images or IMAGES:
                for way in options.way or OWN_WAYS:
                    if not (options.folder / f"{way}-{images}-{seed}.json").is_file():
                        run_one(options.folder, way, images, seed)


HEAD = """# A supernet moved to other classes

Printed by `python benchmarks/transfer.py table` from the runs recorded in benchmarks/transfer_results; the commands
that make them are at the head of that file. A supernet of OFA-MobileNetV3 at width 0.25 (24 px, strides 1,2,2,2,1,1)
trained on six classes of CIFAR-10 in colour, moved to the other four. Balanced accuracy of five probe subnets on
1,000 test images of each class, each calibrated on training images, their mean; in brackets the smallest and the
largest probe. Cost in multiply-accumulates, forward and backward, of the whole run (`alone`: of five subnets). One
thread. Rows that are missing were not run: this is no ImageNet, and no claim about it.

The source was trained twice by one recipe, and not to the same bytes. With the second one begin all of `moved`,
`quick`, `one_head`, `alone` and the `ridge` ways, and seed 0 of `small`; all others tried begin with the first.
`one_head` is `transfer` as it was first, and what was tried besides is tried on it. `alone` is what
the command does: with 20 images cross-validation chooses the head's ridge and the length (here 80 to 400 steps of
400), and what is held out elsewhere is trained on in the end; the folds are not in its cost. From 40 images on its rate
is four times as high.

| images a class | way | balanced accuracy, % | of each seed | T MACs |
|---|---|---|---|---|
"""
TRIED_HEAD = f"""
## Tried besides

The ways of benchmarks/transfer_tried.py, which says what each is. Those with five probes are supernets; the others
train the smallest probe ({SMALL}) alone, from the same weights and by the same phases as `one_head`: their one
figure is to be held against `small`, and against the first one in brackets of `one_head` and `alone`. The teacher's
cost is not in the MACs.

| images a class | way | balanced accuracy, % | of each seed | T MACs |
|---|---|---|---|---|
"""
Runs = dict[tuple[int, str], list[dict[str, Any]]]  # by images of a class and way


def _gap(runs: Runs, images: int, one: str, other: str) -> tuple[float, float, float, int]:
    """Points that one way is above another: mean, least and most over probes, and by how many seeds both have."""
    both = [
        {run["seed"]: np.array([*run["balanced"].values()]) for run in runs.get((images, way), ())}
        for way in (one, other)
    ]
    seeds = sorted(both[0].keys() & both[1].keys())
    gaps = 100 * np.mean([both[0][seed] - both[1][seed] for seed in seeds], axis=0)
    return float(gaps.mean()), float(gaps.min()), float(gaps.max()), len(seeds)


def _told(runs: Runs, one: str, other: str, probes: bool = False) -> str:
    """The same for every number of images that both were run with, in words."""
    said = []
    for images in IMAGES:
        if (images, one) in runs and (images, other) in runs:
            mean, least, most, seeds = _gap(runs, images, one, other)
            each = f", by probe {least:+.1f} .. {most:+.1f}" if probes else ""
            said.append(f"{mean:+.1f} at {images}{each} ({seeds} seed{'s' if seeds > 1 else ''})")
    return "; ".join(said)


def _found(runs: Runs) -> str:
    """What follows, with the figures of the runs."""
    paragraphs = (
        f"""Points of balanced accuracy that `moved` is above others, over the seeds that both have. Above
        `scratch`, which costs as much or more: {_told(runs, "moved", "scratch")}. Above `scratch10`:
        {_told(runs, "moved", "scratch10")}; the goal of 10 is missed. More steps on 80 pictures give little,
        but they do give something.""",
        f"""Rates. A move's rates are the lower the nearer a layer is to the input, which keeps what few images cannot
        teach. From 150 training images of the smallest class on they are twice as high, and the same in all layers.
        `moved` is above `low_rates`, which has the first at any number of images, by
        {_told(runs, "moved", "low_rates")}; and above `high_rates`, which has the others, by
        {_told(runs, "moved", "high_rates")}. `low_rates` is above `scratch` by
        {_told(runs, "low_rates", "scratch")}: what protects few images is what many pay for.""",
        f"""Above `one_head`, the recipe as it was first: {_told(runs, "moved", "one_head")}. What is other: the
        head begins in closed form, all subnets of a step learn the labels, there are half as many steps with
        few images, and each subnet's last layer is solved for itself when it is calibrated. The last is worth
        most of it, and has a reason: at 20 images a closed-form head of each probe's own gave 61.2 % without
        any step of training, one shared by all 59.6 % (one seed). What is shared costs more than how it is
        trained.""",
        f"""Above `alone`: {_told(runs, "moved", "alone", probes=True)}. The goal was that no probe is more than a
        point below its own fine-tuning. At 20 images `alone` is trained on all of them, where a move keeps one
        in ten apart for `build`.""",
        f"""`quick` has 80 steps in place of 200 or more: above `moved` by {_told(runs, "quick", "moved")}.""",
        f"""`far` is a supernet of clothes in grey, moved to animals and a lorry, which it sees in grey. Beside it
        stands its own space from random weights, in grey too (`far_scratch`): the move is above it by
        {_told(runs, "far", "far_scratch")}. That both are below `scratch` is what colour and the space are
        worth.""",
        """`netaug` is not better than `small` at any seed, at three times its cost, and `aware` not better than
        `one_head` at its one: neither is an option of the product. (`netaug` needs none: it is `subnets =
        ["smallest", "random"]` in a phase of a recipe.) A teacher made the moved supernet better at its one
        seed; the smallest probe at one of two seeds at temperature 1 and at all three at 4, which is the
        default of `[teacher]`. Asked of stored images it taught as well as asked of each view: `views =
        "stored"` spares the time, and these views, mirrored and moved by two pixels, say nothing about harder
        ones. Three seeds are few. TOFA (arXiv 2303.15485) learns from many unlabelled images beside few
        labelled ones. This package takes no unlabelled images, so that was not tried; what it has besides,
        in-place distillation from the largest subnet, is in every move.""",
    )
    return "".join(
        "\n" + textwrap.fill(" ".join(each.split()), 120, break_on_hyphens=False) + "\n" for each in paragraphs
    )


def table(folder: Path) -> str:
    """docs/benchmarks/transfer.md."""
    runs: Runs = {}
    for path in sorted(folder.glob("*-*-*.json")):
        run = json.loads(path.read_bytes())
        runs.setdefault((run["images"], run["way"]), []).append(run)
    if not runs:
        raise SystemExit(f"no results in {folder}: `run` first")
    rows = {key: _row(*key, found) for key, found in runs.items()}
    own, tried = (
        "".join(rows[key] for key in sorted(rows, key=_place) if (key[1] in TRIED) == of) for of in (False, True)
    )
    return HEAD + own + (TRIED_HEAD + tried + _found(runs) if tried else "")


def _place(key: tuple[int, str]) -> tuple[int, int]:
    return key[0], WAYS.index(key[1])


def _row(images: int, way: str, found: list[dict[str, Any]]) -> str:
    each = 100 * np.array([list(run["balanced"].values()) for run in found])
    mean = each.mean(axis=0)
    cost = np.mean([run["macs"] for run in found]) / 1e12
    words = f"{mean.mean():.1f}" + (f" ({mean[0]:.1f}, {mean[-1]:.1f})" if len(mean) > 1 else "")
    seeds = "; ".join(f"{value:.1f}" for value in each.mean(axis=1))
    return f"| {images} | `{way}` | {words} | {seeds} | {cost:.3f} |\n"


if __name__ == "__main__":
    main()
