"""The systems that Once-For-All's paper compares itself with, small and real, beside it on the same ground.

    python benchmarks/nas_baselines run [--method darts] [--folder runs/nas]   # two hours of one core; resumes
    python benchmarks/nas_baselines table > docs/benchmarks/nas_baselines.md

Space, data and training are those of benchmarks/recipes.py; the latency model is the shipped one of raspberry-pi-4.
Each method searches under the same latency budget and its network is then trained from scratch; Once-For-All's is cut
from the supernet. Written here and not taken from a library: those that carried such methods (NNI) are archived.
"""

import argparse
import functools
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import darts
import fbnet
import mnasnet
import numpy as np
import proxylessnas
import torch
from mixture import USED, Latencies, candidates, subnet_of
from recipes import (
    CALIBRATION_IMAGES,
    PAIR_CALIBRATION,
    PAIRS,
    PRESET,
    alone_recipe,
    finished_run,
    recipe_at_equal_cost,
    run_supernet,
    train_alone,
)
from setting import Setting
from table import METHODS, page

from ofa_edge import cost
from ofa_edge.data.dataset import Dataset, Images
from ofa_edge.data.fashion_mnist import load_fashion_mnist
from ofa_edge.files import write_json
from ofa_edge.latency.load import load_latency_model
from ofa_edge.latency.protocol import LatencyModel
from ofa_edge.metrics import top1 as accuracy
from ofa_edge.search.evolution import search_front
from ofa_edge.space import Genomes, Space, Subnet
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits, measure_top1
from ofa_edge.targets import load_target
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import load_recipe
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.training.trainer import Trainer
from ofa_edge.workflows.accuracy_predictor import measure_and_fit

RECORDED = Path(__file__).parent / "results"
TARGET, SHARE = "raspberry-pi-4", 0.5  # the budget is this share of the largest subnet's latency
SEARCH_IMAGES = 11_000  # a fifth of the training images, as the searches of the papers see a part of theirs
FINETUNE_SHARE = 0.25
STEPS = {"darts": 350, "fbnet": 450, "proxylessnas": 1400, "mnasnet": 80}  # of the weights; mnasnet: of each network
SEARCHES = {
    "darts": darts.search,
    "fbnet": fbnet.search,
    "proxylessnas": proxylessnas.search,
    "mnasnet": mnasnet.search,
}


class Ground:
    """What all methods share, loaded once."""

    def __init__(self, seed: int) -> None:
        base = load_recipe("ofa-edge", PRESET)
        self.seed = seed
        self.data: Dataset = load_fashion_mnist()
        self.train, self.held_out = self.data.split(base.data.held_out, base.data.split_seed)
        self.recipe: Recipe = recipe_at_equal_cost("ofa-edge", seed, len(self.train))
        self.space: Space = self.recipe.make_space(10)
        self.model: LatencyModel = load_latency_model(load_target(TARGET), self.space, "tflite", "fp32")
        self.budget_ms = SHARE * float(self.model.predict(self.space.largest()).ms)

    def setting(self, method: str) -> Setting:
        """Of one search."""
        images: Images = self.train.sample(SEARCH_IMAGES, self.seed)
        size = self.recipe.preprocessing(self.space.resolutions[-1])
        latencies = Latencies.of(self.model, self.space)
        return Setting(
            self.space, images, size, self.recipe.augment, latencies, self.budget_ms, STEPS[method], self.seed
        )

    def latency(self, genomes: Genomes) -> Any:
        """Milliseconds [N]."""
        return np.asarray(self.model.predict_many(genomes).ms, dtype=np.float64)

    def record(
        self, method: str, subnet: Subnet, search_s: float, train_s: float | None, top1: float
    ) -> dict[str, Any]:
        """What is kept of a method."""
        return {
            "method": method,
            "seed": self.seed,
            "budget_ms": self.budget_ms,
            "latency_ms": float(self.model.predict(subnet).ms),
            "macs": cost.macs(self.space, subnet),
            "subnet": subnet.config(),
            "search_cpu_seconds": round(search_s, 1),
            "train_cpu_seconds": train_s,
            "top1": top1,
        }


def run_method(ground: Ground, method: str, folder: Path) -> dict[str, Any]:
    """Search, then train what was found from scratch."""
    started = time.process_time()
    if method == "random":
        subnet = _random(ground)
    else:
        subnet = subnet_of(ground.space, SEARCHES[method](ground.setting(method)))
    searched = time.process_time() - started
    print(f"{method}: {subnet.id} after {searched:.0f} s", flush=True)
    recipe = alone_recipe(ground.recipe, ground.seed)
    place = folder / f"{method}-{ground.seed}-{subnet.id}"
    top1, _, seconds = train_alone(ground.space, subnet, recipe, ground.recipe, ground.train, ground.data.test, place)
    return ground.record(method, subnet, searched, seconds, top1)


def _random(ground: Ground) -> Subnet:
    """A subnet drawn at random, within the budget and at 90 % of it or more."""
    rng = np.random.default_rng(ground.seed)
    while True:
        rows = ground.space.sample(rng, 1000)
        ms = ground.latency(rows)
        fitting = rows[(ms <= ground.budget_ms) & (ms >= USED * ground.budget_ms)]
        if len(fitting):
            return ground.space.subnet(fitting[0])


def run_once_for_all(ground: Ground, folder: Path) -> dict[str, Any]:
    """One supernet and one predictor for all deployments; a deployment is a search and one measurement."""
    if not (folder / f"ofa-edge-{ground.seed}.json").is_file():
        run_supernet(folder, "ofa-edge", ground.seed, 1.0)
    trainer = _supernet(ground, folder)
    calibration, size = ground.train.sample(CALIBRATION_IMAGES), ground.recipe.preprocessing(16)
    started = time.process_time()
    pairs_calibration = ground.train.sample(PAIR_CALIBRATION)
    predictor = measure_and_fit(
        trainer.net, PAIRS, pairs_calibration, ground.held_out, size, folder / f"ofa-edge-{ground.seed}" / "pairs.json"
    )
    once = time.process_time() - started
    started = time.process_time()
    front = search_front(ground.space, ground.latency, predictor.predict, focus=(ground.budget_ms,))
    found = front.best(ground.budget_ms).subnet
    top1 = round(measure_top1(trainer.net, found, calibration, ground.data.test, size), 4)
    record = ground.record("ofa-edge", found, time.process_time() - started, 0.0, top1)
    return record | {"predictor_cpu_seconds": round(once, 1)}


def run_finetuned(ground: Ground, folder: Path) -> dict[str, Any]:
    """The subnet that `run_once_for_all` found, trained on from the supernet's weights with its largest net as teacher.

    The paper does so for 25 epochs or 75 (table 2). Here: for a part of the steps that training from scratch has.
    """
    found = json.loads((folder / f"ofa-edge-{ground.seed}.result.json").read_bytes())
    net, subnet = _supernet(ground, folder).net, ground.space.from_config(found["subnet"])
    calibration, sizes = ground.train.sample(CALIBRATION_IMAGES), ground.recipe.preprocessing(16)
    alone = alone_recipe(ground.recipe, ground.seed)
    recipe = SingleRecipe(epochs=FINETUNE_SHARE * alone.epochs, augment=alone.augment, seed=ground.seed)
    one, teacher = (extract_calibrated(net, each, calibration, sizes) for each in (subnet, ground.space.largest(16)))
    started = time.process_time()
    trainer = SingleTrainer(
        one, recipe, ground.train, sizes, folder / f"finetuned-{ground.seed}-{subnet.id}", teacher=teacher
    )
    trainer.run()
    recalibrate_bn(one, batches(calibration, sizes))
    spent = round(time.process_time() - started, 1)
    top1 = round(accuracy(logits(one, ground.data.test, sizes), ground.data.test.labels), 4)
    once = {"predictor_cpu_seconds": found["predictor_cpu_seconds"]}
    return ground.record("finetuned", subnet, found["search_cpu_seconds"], spent, top1) | once


def _supernet(ground: Ground, folder: Path) -> Trainer:
    """The trained supernet in the folder."""
    return finished_run(ground.recipe, ground.space, ground.train, folder / f"ofa-edge-{ground.seed}")


OURS = {"ofa-edge": run_once_for_all, "finetuned": run_finetuned}


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--folder", type=Path, default=RECORDED, help="results; and while they are made, checkpoints")
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command == "table":
        print(page(options.folder), end="")
        return
    torch.set_num_threads(1)
    ground = Ground(options.seed)
    spread = [candidates(ground.space, spec) for spec in ground.space.blocks]
    print(
        f"budget {ground.budget_ms:.3f} ms, {len(spread)} blocks of {min(spread)} to {max(spread)} candidates",
        flush=True,
    )
    for method in options.method or METHODS:
        file = options.folder / f"{method}-{options.seed}.result.json"
        if not file.is_file():
            run = OURS.get(method) or functools.partial(run_method, method=method)
            write_json(file, run(ground, folder=options.folder))


if __name__ == "__main__":
    main()
