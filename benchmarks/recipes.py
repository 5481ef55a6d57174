"""Training recipes at equal cost: `ofa`, `ofa-edge`, no shrinking, and subnets trained alone.

    python benchmarks/recipes.py run --folder runs/recipes [--recipe ofa --seed 0] [--times 4]
    python benchmarks/recipes.py variants --folder runs/recipes
    python benchmarks/recipes.py deploy --folder runs/recipes
    python benchmarks/recipes.py table [--folder runs/recipes] > docs/results.md
    python benchmarks/recipes.py plot [--folder runs/recipes] > docs/results.svg

`run` trains what is missing (all recipes and seeds, or those named) and resumes what was interrupted; one thread a
process, so several may run side by side. `--times 4` gives each four times the cost; such runs want a folder of their
own. `variants` trains the switches of `ofa-edge` and `ofa` at a quarter of the cost, measured on held-out images.
`deploy` measures what N networks cost by a supernet, and each alone. `table` and `plot` print docs/results.md and its
curves, from the recorded results beside this file by default.

Cost is counted in multiply-accumulates of forward and backward passes, teachers included. The subnets trained alone get
the epochs that the largest net has in `ofa-edge` before shrinking, with its schedule, its rate falling to 0.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from recipes_report import picture, report

from ofa_edge import cost
from ofa_edge.cost import macs_table
from ofa_edge.data.dataset import Images
from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.files import write_json
from ofa_edge.metrics import top1
from ofa_edge.schema import changed
from ofa_edge.search.evolution import search_front
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space, Subnet
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits, measure_top1
from ofa_edge.supernet.network import initialise
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training import freed_memory
from ofa_edge.training.plan import PhasePlan, plan_run, scale_for
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import load_recipe
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.training.trainer import Trainer
from ofa_edge.workflows.accuracy_predictor import measure_and_fit

PRESET = str(Path(__file__).parent / "recipes.toml")
RECORDED = Path(__file__).parent / "recipes_results"
SUPERNETS = ("ofa", "ofa-edge", "no-shrinking")
SEEDS = (0, 1, 2)
CALIBRATION_IMAGES, RANDOM_SUBNETS = 2000, 40
PAIRS, PAIR_IMAGES, PAIR_CALIBRATION = 24, 5000, 500  # of the predictor: docs/benchmarks/pairs.md says why
DEPLOYMENTS = (0.3, 0.5, 0.7)  # budgets as shares of the largest net's MACs
TURN, TURNS = 6, 8  # steps of each kind that are timed at a time, and how often


class Variant(NamedTuple):
    """What a variant of a recipe has that the recipe has not: keys of the recipe, and of its phases."""

    recipe: str
    keys: Mapping[str, object] = MappingProxyType({})
    first: Mapping[str, object] = MappingProxyType({})  # the phase of the largest net
    later: Mapping[str, object] = MappingProxyType({})  # every phase of shrinking

    def load(self, seed: int) -> Recipe:
        """The recipe with its changes."""
        first, *later = (phase.model_dump(mode="json") for phase in load_recipe(self.recipe, PRESET).phases)
        phases = [{**first, **self.first}, *({**phase, **self.later} for phase in later)]
        return load_recipe(self.recipe, PRESET, {**self.keys, "phases": phases, "seed": seed})


LONG = {"epochs": 836}  # the share of the cost that the largest net has in `ofa-edge`; 180 are 21 %
VARIANTS = {
    "as shipped": Variant("ofa-edge"),
    "half the rate while shrinking": Variant("ofa-edge", later={"lr": 1.3}),
    "alpha-divergence, gradients clipped at 1": Variant("ofa-edge", {"clip_value": 1.0}, later={"divergence": "alpha"}),
    "no label smoothing, no dropout": Variant("ofa-edge", {"label_smoothing": 0.0, "dropout": 0.0}),
    "largest, smallest and one random": Variant("ofa-edge", later={"subnets": ["largest", "smallest", "random"]}),
    "as published": Variant("ofa"),
    "full net for 55 % of the cost": Variant("ofa", first=LONG),
    "rates of 1.3 while shrinking": Variant("ofa", later={"lr": 1.3}),
    "full net for 55 %, rates of 0.65": Variant("ofa", first=LONG, later={"lr": 0.65}),
    "full net for 55 %, rates of 1.3": Variant("ofa", first=LONG, later={"lr": 1.3}),
    "full net for 55 %, rates of 2.6": Variant("ofa", first=LONG, later={"lr": 2.6}),
}


def points(space: Space) -> dict[str, Subnet]:
    """The subnets that are compared, smallest first."""
    chosen = {
        "k3 e3 d2": (3, 3, 2),
        "k3 e4 d3": (3, 4, 3),
        "k5 e4 d4": (5, 4, 4),
        "k5 e6 d3": (5, 6, 3),
        "k7 e6 d4": (7, 6, 4),
    }
    return {name: space.uniform(*values) for name, values in chosen.items()}


def recipe_at_equal_cost(name: str, seed: int, images: int, times: float = 1) -> Recipe:
    """A recipe at the scale at which it costs what `ofa` does, at `times` the preset's scale."""
    anchor = load_recipe("ofa", PRESET)
    anchor = changed(anchor, scale=times * anchor.scale)
    macs = plan_run(anchor, anchor.make_space(10), images).macs
    recipe = load_recipe(name, PRESET, {"seed": seed})
    return changed(recipe, scale=round(scale_for(recipe, recipe.make_space(10), images, macs), 6))


def finished_run(recipe: Recipe, space: Space, train: Images, folder: Path) -> Trainer:
    """The supernet that `run` trained in a folder of its own."""
    trainer = Trainer(recipe, space, train, folder)
    if not trainer.resume() or trainer.step < trainer.total_steps:
        raise SystemExit(
            f"no finished run of {recipe.name} at scale {recipe.scale:g} in {folder}: `run` trains it, once "
            f"{folder.with_suffix('.json')} is not there either"
        )
    return trainer


def run_supernet(folder: Path, name: str, seed: int, times: float) -> None:
    """Train one supernet and measure its subnets on the test set."""
    data = load_fashion_mnist()
    base = load_recipe(name, PRESET)
    train, _ = data.split(base.data.held_out, base.data.split_seed)
    recipe = recipe_at_equal_cost(name, seed, len(train), times)
    space = recipe.make_space(10)
    trainer = Trainer(recipe, space, train, folder / f"{name}-{seed}")
    trainer.resume()
    cpu = time.process_time()
    seen = []
    net = trainer.run(seen.append)
    seconds = time.process_time() - cpu
    calibration = train.sample(CALIBRATION_IMAGES)

    def measured(subnet: Subnet) -> float:
        return round(measure_top1(net, subnet, calibration, data.test, recipe.preprocessing(subnet.resolution)), 4)

    rng = np.random.default_rng(1)
    random = [space.subnet(row) for row in space.sample(rng, RANDOM_SUBNETS)]
    result = {
        "recipe": name,
        "seed": seed,
        "scale": recipe.scale,
        "digest": recipe.digest,
        "steps": trainer.total_steps,
        "macs": seen[-1].macs if seen else trainer.plan.macs,
        "cpu_seconds": round(seconds, 1) if len(seen) == trainer.total_steps else None,  # not of a resumed run
        "top1": {key: measured(subnet) for key, subnet in points(space).items()},
        "random": [[cost.macs(space, subnet), measured(subnet)] for subnet in random],
    }
    write_json(folder / f"{name}-{seed}.json", result)
    print(json.dumps(result["top1"]), flush=True)


def alone_recipe(ours: Recipe, seed: int) -> SingleRecipe:
    """How a subnet is trained from scratch: as the largest net is in `ofa-edge` before shrinking, the rate to 0."""
    phase = ours.phases[0]
    return SingleRecipe(
        epochs=phase.epochs * ours.scale,
        lr=phase.lr,
        lr_batch=ours.lr_batch or ours.batch,
        warmup_epochs=phase.warmup_epochs * ours.scale,
        batch=ours.batch,
        weight_decay=ours.weight_decay,
        label_smoothing=ours.label_smoothing,
        dropout=ours.dropout,
        augment=ours.augment,
        seed=seed,
    )


def train_alone(
    space: Space, subnet: Subnet, recipe: SingleRecipe, ours: Recipe, train: Images, test: Images, folder: Path
) -> tuple[float, float, float | None]:
    """Train a subnet from scratch: test top-1, MACs spent, CPU seconds (None for a resumed run)."""
    torch.manual_seed(recipe.seed)
    net = StaticNet(space, subnet)
    initialise(net)
    sizes = ours.preprocessing(subnet.resolution)
    trainer = SingleTrainer(net, recipe, train, sizes, folder)
    trainer.resume()
    cpu, seen = time.process_time(), []
    trainer.run(seen.append)
    seconds = round(time.process_time() - cpu, 1) if len(seen) == trainer.steps else None
    recalibrate_bn(net, batches(train.sample(CALIBRATION_IMAGES), sizes))
    return round(top1(logits(net, test, sizes), test.labels), 4), trainer.expected_macs, seconds


def run_alone(folder: Path, name: str, seed: int, times: float) -> None:
    """Train each of the compared subnets from scratch and measure it on the test set."""
    data = load_fashion_mnist()
    base = load_recipe("ofa-edge", PRESET)
    train, _ = data.split(base.data.held_out, base.data.split_seed)
    ours = recipe_at_equal_cost("ofa-edge", seed, len(train), times)
    space, recipe = ours.make_space(10), alone_recipe(ours, seed)
    top1s, macs, seconds = {}, {}, {}
    for key, subnet in points(space).items():
        place = folder / f"{name}-{seed}-{subnet.id}"
        top1s[key], macs[key], seconds[key] = train_alone(space, subnet, recipe, ours, train, data.test, place)
    result = {"recipe": name, "seed": seed, "settings": recipe.model_dump(mode="json"), "top1": top1s}
    write_json(folder / f"{name}-{seed}.json", result | {"macs": macs, "cpu_seconds": seconds})
    print(json.dumps(top1s), flush=True)


def run_variant(folder: Path, name: str, seed: int = 0) -> None:
    """Train a recipe at a quarter of the cost with one switch changed, and what belongs to it."""
    data, variant = load_fashion_mnist(), VARIANTS[name]
    recipe = variant.load(seed)
    space = recipe.make_space(10)
    train, held_out = data.split(recipe.data.held_out, recipe.data.split_seed)
    macs = plan_run(load_recipe("ofa", PRESET), space, len(train)).macs / 4
    recipe = changed(recipe, scale=round(scale_for(recipe, space, len(train), macs), 6))
    trainer = Trainer(recipe, space, train, _variant_file(folder, name).with_suffix(""))
    trainer.resume()
    net = trainer.run()
    calibration = train.sample(CALIBRATION_IMAGES)
    sizes = recipe.preprocessing(space.resolutions[-1])
    top1s = {
        key: round(measure_top1(net, subnet, calibration, held_out, sizes), 4) for key, subnet in points(space).items()
    }
    result = {"variant": name, "recipe": variant.recipe, "digest": recipe.digest, "top1": top1s}
    write_json(_variant_file(folder, name), result)
    print(name, json.dumps(top1s), flush=True)


def _variant_file(folder: Path, name: str) -> Path:
    return folder / f"variant-{re.sub('[^a-z0-9]+', '-', name).strip('-')}.json"


class Timed:
    """CPU seconds of a step of one kind, a few steps at a time; the first of each turn warms up."""

    def __init__(self, take: Callable[[int, Callable[[], None]], None]) -> None:
        self._take, self._turns, self._seconds = take, 0, []

    def turn(self) -> None:
        """Take the next steps."""
        marks: list[float] = []
        self._take(self._turns * TURN, lambda: marks.append(time.process_time()))
        self._turns += 1
        self._seconds += np.diff(marks)[1:].tolist()

    @property
    def median(self) -> float:
        """Of all steps that counted."""
        return statistics.median(self._seconds)


def timed_phase(trainer: Trainer, part: PhasePlan) -> Timed:
    """Steps of a phase, out of turn; the trainer is used up for it."""
    for earlier in trainer.plan.phases[: trainer.plan.phases.index(part)]:
        trainer.time_step(earlier.start)

    def take(first: int, mark: Callable[[], None]) -> None:
        for step in range(part.start + first, part.start + first + TURN):
            trainer.time_step(step)
            mark()

    return Timed(take)


def timed_alone(trainer: SingleTrainer) -> Timed:
    """Steps of a network alone."""

    def take(first: int, mark: Callable[[], None]) -> None:
        trainer.run(lambda _: mark(), stop_at=first + TURN)

    return Timed(take)


def found_at(space: Space, predictor: AccuracyPredictor, share: float) -> Subnet:
    """What a search finds at a share of the largest net's MACs."""
    table, budget = macs_table(space), share * float(cost.macs(space, space.largest()))
    front = search_front(space, lambda rows: table(rows)[:, 0], predictor.predict, focus=(budget,))
    return front.best(budget).subnet


def run_deploy(folder: Path, seed: int, times: float) -> None:
    """CPU seconds of a supernet's way and of the networks alone, measured in turn on one machine.

    Training is the number of its steps times the seconds of one; then pairs and predictor, once; then a search and the
    calibration of what it found, for each network.
    """
    data = load_fashion_mnist()
    base = load_recipe("ofa-edge", PRESET)
    train, held_out = data.split(base.data.held_out, base.data.split_seed)
    recipe = recipe_at_equal_cost("ofa-edge", seed, len(train), times)
    space = recipe.make_space(10)
    trainer = finished_run(recipe, space, train, folder / f"ofa-edge-{seed}")
    sizes = recipe.preprocessing(space.resolutions[-1])
    with tempfile.TemporaryDirectory() as scratch, freed_memory.kept():
        settings = alone_recipe(recipe_at_equal_cost("ofa-edge", seed, len(train)), seed)
        singles = [
            SingleTrainer(StaticNet(space, subnet), settings, train, sizes, Path(scratch) / key)
            for key, subnet in points(space).items()
        ]
        phases = trainer.plan.phases
        kinds = [timed_phase(Trainer(recipe, space, train, Path(scratch) / part.phase.name), part) for part in phases]
        kinds += [timed_alone(single) for single in singles]
        for _ in range(TURNS):
            for kind in kinds:
                kind.turn()
        supernet = sum(part.steps * kind.median for part, kind in zip(phases, kinds, strict=False))
        alone = [single.steps * kind.median for single, kind in zip(singles, kinds[len(phases) :], strict=True)]
        calibration = train.sample(PAIR_CALIBRATION)
        started = time.process_time()
        file = Path(scratch) / "pairs.json"
        predictor = measure_and_fit(trainer.net, PAIRS, calibration, held_out.take(np.arange(PAIR_IMAGES)), sizes, file)
        once = time.process_time() - started
    calibration, each, found = train.sample(CALIBRATION_IMAGES), [], []
    for fraction in DEPLOYMENTS:
        started = time.process_time()
        subnet = found_at(space, predictor, fraction)
        extract_calibrated(trainer.net, subnet, calibration, sizes)
        each.append(round(time.process_time() - started, 2))
        found.append(round(measure_top1(trainer.net, subnet, calibration, data.test, sizes), 4))
    result = {
        "times": times,
        "supernet_cpu_seconds": round(supernet, 1),
        "alone_cpu_seconds": [round(seconds, 1) for seconds in alone],
        "pairs": PAIRS,
        "images": PAIR_IMAGES,
        "once_cpu_seconds": round(once, 1),
        "each_cpu_seconds": each,
        "found_top1": found,
    }
    write_json(folder / "deploy.json", result)
    print(json.dumps(result), flush=True)


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "variants", "deploy", "table", "plot"))
    parser.add_argument("--folder", type=Path, default=RECORDED)
    parser.add_argument("--recipe", action="append", choices=(*SUPERNETS, "alone"))
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--times", type=float, default=1, help="of the cost in recipes.toml (`run`)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command in ("table", "plot"):
        print((report if options.command == "table" else picture)(options.folder), end="")
    elif options.command == "deploy":
        run_deploy(options.folder, (options.seed or SEEDS)[0], options.times)
    elif options.command == "variants":
        for name in VARIANTS:
            if not _variant_file(options.folder, name).is_file():
                run_variant(options.folder, name)
    else:
        for seed in options.seed or SEEDS:
            for name in options.recipe or (*SUPERNETS, "alone"):
                if not (options.folder / f"{name}-{seed}.json").is_file():
                    (run_alone if name == "alone" else run_supernet)(options.folder, name, seed, options.times)


if __name__ == "__main__":
    main()
