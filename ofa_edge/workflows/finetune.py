"""Fine-tuning: a subnet of a supernet, trained on by itself, becomes a package of one network that `build` takes."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from ofa_edge import __version__, cost
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.review import FEW
from ofa_edge.errors import ConfigError, GateError, UnsupportedError
from ofa_edge.files import sha256_file, write_bytes, write_json
from ofa_edge.metrics import PairedDrop, argmax, balanced_accuracy, paired_drop
from ofa_edge.records.licences import LICENCES, handed_on
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.space import Subnet
from ofa_edge.supernet import zoo
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.evaluate import batches, extract_calibrated, logits
from ofa_edge.supernet.static import StaticNet
from ofa_edge.supernet.weights import save_static
from ofa_edge.supernet.zoo import SupernetPackage
from ofa_edge.training.claim import IDENTITY, RunIdentity, claim_run
from ofa_edge.training.distributed import World
from ofa_edge.training.package_data import CALIBRATION_IMAGES, TrainingData
from ofa_edge.training.recipe import TeacherRecipe
from ofa_edge.training.run import Progress
from ofa_edge.training.single import SingleRecipe, SingleTrainer
from ofa_edge.training.stopping import facts_of as stopping_facts
from ofa_edge.training.stopping import train_watched
from ofa_edge.training.teacher import Teacher, facts_of, require_same
from ofa_edge.vocabulary import PRECISIONS
from ofa_edge.workflows.int8_form import calibrated_form

if TYPE_CHECKING:
    from ofa_edge.workflows.build.base import ModelOptions

FACTS = zoo.FINETUNED
QAT = "int8"
QAT_DEFAULTS: Mapping[str, float] = MappingProxyType({"epochs": 5.0, "lr": 0.01})  # where nothing else is said


def finetune_recipe(data: TrainingData, **given: Any) -> SingleRecipe:
    """How a subnet is trained on: as its supernet was, but for what is given and not None.

    Raises:
        ConfigError: a value out of its range, or early stopping by too few images.
        UnsupportedError: quantisation-aware training for another precision than int8.
    """
    given = {key: value for key, value in given.items() if value is not None}
    if "qat" in given and given["qat"] != QAT:
        raise UnsupportedError(
            f"no quantisation-aware training for '{given['qat']}'",
            f"{QAT} is the precision whose ranges are settled before it runs: {_why_not(given['qat'])}",
            f"--qat {QAT}, or leave it out",
        )
    classes = len(data.class_counts)
    if "patience" in given and ("qat" in given or len(data.held_out) < FEW * classes):
        why = f"{len(data.held_out)} held-out images of {classes} classes, and {FEW} a class are wanted to choose by"
        raise ConfigError(
            "cannot stop early", "--qat follows ranges to its end" if "qat" in given else why, "leave --patience out"
        )
    values = {"batch": data.batch, **(QAT_DEFAULTS if "qat" in given else {}), **given}
    try:
        return SingleRecipe(augment=data.augment, balance=data.balance, **values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"bad --{first['loc'][0]}", first["msg"], "ofa-edge finetune --help") from error


def tuning_teacher(
    options: "ModelOptions | None", data: TrainingData, classes: Sequence[str], weight: float | None
) -> Teacher | None:
    """The teacher of a subnet's training, if one is given; `weight` of its answers, 1 by default."""
    if options is None:
        return None
    from ofa_edge.workflows.teacher import read_teacher

    if weight == 0:
        raise ConfigError("--teacher with --distill 0", "its answers would not count", "leave one of them out")
    recipe = TeacherRecipe() if weight is None else TeacherRecipe(weight=weight)
    return read_teacher(options, data.train, data.test, classes, recipe)


def _why_not(precision: str) -> str:
    if precision not in PRECISIONS:
        return f"precisions are {', '.join(PRECISIONS)}"
    return f"{precision} loses next to nothing, or finds its ranges while it runs"


def finetune(
    package: SupernetPackage,
    subnet: Subnet,
    data: TrainingData,
    recipe: SingleRecipe,
    folder: Path,
    *,
    device: str = "cpu",
    world: World | None = None,
    teacher: Teacher | None = None,
    allow_drop: bool = False,
    accept_code: bool = False,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Train a subnet by itself in `folder`, which then is a package of one network for `--supernet`.

    It starts from the supernet's weights, calibrated, and learns the labels and the answers of `teacher`; without one,
    with `recipe.distill`, the predictions of the supernet's largest net. The same run (`RunIdentity`) found in the
    folder is continued.

    With `recipe.qat` its int8 form is trained and judged, before and after, in the ranges that the artifact takes over.

    A network that answers fewer test images rightly than before, beyond what chance explains (`paired_drop`), is not
    written: the folder keeps the checkpoint and the figures, and a network of an earlier call stays as it was.

    Args:
        package: the supernet.
        subnet: of its space.
        data: the supernet's data.
        recipe: how it is trained.
        folder: the run's.
        device: torch device of the training; measurements run on the CPU.
        world: the processes of the run, this one alone by default.
        teacher: that the recipe names, if it does.
        allow_drop: write the network whatever became of its accuracy.
        accept_code: go on with a run that other code began.
        on_step: told of each step.

    Returns:
        Top-1 on the test images before and after, and what was done; empty in all processes but the first.

    Raises:
        GateError: it became worse, and `allow_drop` was not given.
        OutputError: the folder holds another run.
    """
    world = world or World()
    require_same(recipe.teacher, teacher)
    require_alone(recipe, world)
    if recipe.folds:
        raise ConfigError("--folds without --new-head", "they choose how long a new head is trained", "leave it out")
    supernet = package.load()
    facts = run_facts(package, subnet, recipe)
    identity: dict[str, Any] = {}
    if world.first:
        own = RunIdentity.of(facts, package.labels, data.train, data.held_out, data.test)
        identity = claim_run(folder, FACTS, facts, own, accept_code=accept_code)
    sizes = package.preprocessing(subnet.resolution)
    calibration = data.train.sample(CALIBRATION_IMAGES)

    def right(net: nn.Module) -> NDArray[np.bool_]:
        return np.asarray(argmax(logits(net, data.test, sizes)) == data.test.labels)

    net = extract_calibrated(supernet, subnet, calibration, sizes)
    form = calibrated_form(net, batches(calibration, sizes)) if recipe.qat else None
    model = form or net
    exact = [right(net)] if world.first and form else []
    before = right(model) if world.first else None
    teaching: StaticNet | Teacher | None = teacher
    if teacher is None and recipe.distill:
        teaching = extract_calibrated(supernet, supernet.space.largest(subnet.resolution), calibration, sizes)
    trainer = SingleTrainer(model, recipe, data.train, sizes, folder, teacher=teaching, device=device, world=world)
    trainer.resume()
    run_single(trainer, recipe, calibration, data.held_out, sizes, on_step)
    model.to("cpu")
    if before is None:
        return {}
    if form is None:
        recalibrate_bn(net, batches(calibration, sizes))
    after = right(model)
    drop = paired_drop(before, after)
    figures: dict[str, Any] = {
        "version": __version__,
        **facts,
        IDENTITY: identity,
        **facts_of(teacher),
        **stopping_facts(folder, recipe.patience),
        "macs": cost.macs(package.space, subnet),
        "test_images": len(data.test),
        "top1_before": round(float(before.mean()), 4),
        "top1_after": round(float(after.mean()), 4),
        "drop": {key: round(value, 6) for key, value in asdict(drop).items()},
    }
    if form is not None:
        figures["top1_fp32"] = [round(float(each.mean()), 4) for each in (*exact, right(net))]
    if drop.low95 > 0 and not allow_drop:
        if not (folder / zoo.NETWORK).is_file():  # else the figures beside it are its own
            write_json(folder / FACTS, figures)
        raise _worse(figures, drop, recipe, folder)
    write_network(folder, package, net, figures, None if form is None else form.ranges)
    return figures


def run_single(
    trainer: SingleTrainer,
    recipe: SingleRecipe,
    calibration: Images,
    held_out: Images,
    sizes: Preprocessing,
    on_step: Callable[[Progress], None],
) -> None:
    """Train a network to the end of its run, or to its best on held-out images."""
    if recipe.patience is None:
        trainer.run(on_step)
        return

    def score(model: nn.Module) -> float:
        net = recalibrate_bn(copy.deepcopy(trainer.net).to("cpu"), batches(calibration, sizes))
        return balanced_accuracy(logits(net, held_out, sizes), held_out.labels)

    train_watched(trainer, 0, recipe.patience, score, on_step)


def require_alone(recipe: SingleRecipe, world: World) -> None:
    """Raise ConfigError for several processes where images that are not trained on are to choose: one measures."""
    if world.size > 1 and (recipe.patience is not None or recipe.folds):
        name = "folds" if recipe.folds else "patience"
        raise ConfigError(f"--{name} in {world.size} processes", "one process measures", "without torchrun")


def run_facts(package: SupernetPackage, subnet: Subnet, recipe: SingleRecipe) -> dict[str, Any]:
    """What decides a run on one subnet besides its images, as JSON values."""
    return {
        "subnet": subnet.config(),
        "supernet": package.space.hash,
        "supernet_weights_sha256": sha256_file(package.weights) if package.weights else None,
        "recipe": recipe.deciding,
    }


def drop_words(drop: PairedDrop) -> str:
    """How much a network gained or lost, with the interval and the images that changed sides."""
    gain, low, high = (0.0 - 100 * value for value in (drop.drop, drop.high95, drop.low95))  # no -0.00
    return (
        f"{gain:+.2f} points ({low:+.2f} .. {high:+.2f} at 95 %; of {drop.images:,} test images {drop.won} won, "
        f"{drop.lost} lost)"
    )


def _worse(figures: dict[str, Any], drop: PairedDrop, recipe: SingleRecipe, folder: Path) -> GateError:
    stands = (folder / zoo.NETWORK).is_file()
    return GateError(
        "fine-tuning made the subnet worse",
        f"top-1 {100 * figures['top1_before']:.2f} -> {100 * figures['top1_after']:.2f} %, {drop_words(drop)}; "
        + (f"{folder / zoo.NETWORK} of an earlier call stays as it was" if stands else "no network was written")
        + ": the supernet's own subnet stays the better one, and build takes it",
        f"--lr {recipe.lr / 4:g} or fewer --epochs, with another --out; --allow-drop takes this network all the same, "
        "without training again",
    )


def write_network(
    folder: Path, package: SupernetPackage, net: StaticNet, figures: dict[str, Any], ranges: RangesRecord | None
) -> None:
    """Write a tuned network, with the package's labels and images, its own figures, and its ranges if it has some."""
    header = {
        "labels": json.dumps(package.labels),
        "mean": json.dumps(package.mean),
        "std": json.dumps(package.std),
        "dataset": package.dataset or "",
        "reading": json.dumps(package.reading.to_json()),
    }
    if ranges is not None:
        header[zoo.RANGES] = ranges.model_dump_json()
    images = package.file(zoo.IMAGES)
    if images is not None and "images_sha256" not in figures:
        figures = {**figures, "images_sha256": write_bytes(folder / zoo.IMAGES, images.read_bytes())}
    write_bytes(folder / zoo.LABELS, ("\n".join(package.labels) + "\n").encode())
    write_json(folder / LICENCES, handed_on(package.licences, Path(package.name).name).model_dump(mode="json"))
    save_static(folder / zoo.NETWORK, net, header)
    write_json(folder / FACTS, {**figures, "weights_sha256": sha256_file(folder / zoo.NETWORK)})
