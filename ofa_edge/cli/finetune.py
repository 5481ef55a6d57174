"""`ofa-edge finetune`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.completion import SUPERNET
from ofa_edge.cli.console import ACCEPT_CODE, next_step
from ofa_edge.cli.options import on_option, renamed
from ofa_edge.cli.teacher_options import take_teacher, teacher_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ofa_edge.space import Subnet
    from ofa_edge.supernet.zoo import SupernetPackage
    from ofa_edge.training.package_data import TrainingData
    from ofa_edge.workflows.build.base import ModelOptions


@command("finetune")
@click.option(
    "--supernet",
    type=SUPERNET,
    default="fashion-mnist",
    show_default=True,
    metavar="NAME|DIR",
    help="The supernet to cut it from.",
)
@click.option(
    "--subnet",
    "chosen",
    required=True,
    metavar="SUBNET",
    help="largest, smallest, JSON or a file of it (a net.config too), or a build's folder.",
)
@click.option("--resolution", type=click.IntRange(min=1), help="Input size. Default: the subnet's.")
@click.option("--dataset", metavar="NAME", help="Default: the supernet's own, or an image folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder.")
@click.option(
    "--new-head", is_flag=True, help="--data has other classes than the supernet: train another head for them."
)
@click.option("--keep-classes", is_flag=True, help="With --new-head: classes of the same name keep their rows of it.")
@teacher_options
@click.option("--qat", metavar="int8", help="Train what the int8 artifact computes; it takes the ranges over.")
@click.option(
    "--epochs", type=click.FloatRange(min=0, min_open=True), help="Default: 25, as in the paper; 5 with --qat."
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Learning rate, for a batch of 2048. Default: 0.24; 0.01 with --qat.",
)
@click.option("--batch", type=click.IntRange(min=1), help="Images per step. Default: the supernet's recipe's.")
@click.option(
    "--distill",
    type=click.FloatRange(0, 1),
    help="Weight of the teacher's, or the largest net's, predictions. Default: 1.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=0),
    help="With --new-head: choose how long by cross-validation. Default: 4 where a class has under 20 images, else 0.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0, 1),
    help="Stop early: write the best network on held-out images, after this share of the steps without a better one.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Default: runs/finetune-SUBNET.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. Default: all.")
@on_option
@renamed("--device", "--on")
@click.option("--allow-drop", is_flag=True, help="Accept the network even if it became worse.")
@ACCEPT_CODE
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done.")
def finetune_command(
    supernet: str,
    chosen: str,
    resolution: int | None,
    dataset: str | None,
    data: Path | None,
    new_head: bool,
    keep_classes: bool,
    out: Path | None,
    threads: int | None,
    on: str,
    allow_drop: bool,
    accept_code: bool,
    dry_run: bool,
    **given: Any,
) -> Answer | None:
    """Train one subnet on its own and write a package that `build --supernet` takes.

    Run the same command again to continue an interrupted run. A network that became worse beyond chance is an error,
    and is not written.
    """
    import torch

    from ofa_edge.cli.training_bars import TrainingBars
    from ofa_edge.supernet.given_subnet import read_subnet
    from ofa_edge.supernet.zoo import open_supernet
    from ofa_edge.training.distributed import World, check_device

    check_device(on)
    asked = take_teacher(given)
    package = open_supernet(supernet)
    subnet = read_subnet(chosen, package.space, resolution)
    if new_head or keep_classes:
        given = {name: value for name, value in given.items() if value is not None}
        strange = {"--dataset": dataset, "--qat": given.pop("qat", None)}
        strange |= {"--distill": given.get("distill") or None} if asked is None else {}
        _refuse_beside_new_head(new_head, data, strange)
        assert data is not None
        job = _new_head(package, subnet, data, keep_classes, asked, given)
    else:
        job = _tuning(package, subnet, dataset, data, allow_drop, asked, given)
    folder = out or Path("runs") / f"{job.name}-{subnet.id}"
    if threads:
        torch.set_num_threads(threads)
    world = World.join(on)
    try:
        if world.first:
            notes = "".join(f"{note}\n" for note in (*job.data.notes, *job.notes))
            click.echo(f"{notes}{job.words(world.size)}, in {folder}\n  {_classes(job.data)}", err=True)
        if dry_run:
            facts = {"job": job.name, "subnet": subnet.config(), "what": job.words(world.size), "folder": str(folder)}
            images = {"notes": list(job.data.notes), "class_counts": list(job.data.class_counts)}
            return Answer({"dry_run": True, **images, **facts})
        with TrainingBars(quiet=not world.first) as bars:
            figures = job.work(folder=folder, device=on, world=world, accept_code=accept_code, on_step=bars.step)
    finally:
        world.leave()
    if not world.first:
        return None
    following = next_step("build", "--target", "raspberry-pi-4", "--supernet", folder)
    lines = [job.summary(figures), f"wrote {folder}/ (network.safetensors, finetune.json)\n", following]
    return Answer(figures, "\n".join(lines))


@dataclass(frozen=True)
class _Job:
    """What is trained, and how it is told.

    Attributes:
        name: of the run's folder.
        data: what it is trained on.
        work: trains it, given its folder and where it runs.
        words: what will be done, for so many processes.
        summary: of its figures.
        notes: of its teacher, a sentence each.
    """

    name: str
    data: "TrainingData"
    work: Callable[..., dict[str, Any]]
    words: Callable[[int], str]
    summary: Callable[[dict[str, Any]], str]
    notes: tuple[str, ...] = ()


def _tuning(
    package: "SupernetPackage",
    subnet: "Subnet",
    dataset: str | None,
    data: Path | None,
    allow_drop: bool,
    asked: "ModelOptions | None",
    given: dict[str, Any],
) -> _Job:
    """A subnet trained further for its own classes."""
    from ofa_edge.training.package_data import training_data
    from ofa_edge.workflows.finetune import finetune, finetune_recipe, tuning_teacher

    source = training_data(package, dataset, data)
    teacher = tuning_teacher(asked, source, package.labels, given["distill"])
    recipe = finetune_recipe(source, teacher=teacher and teacher.recipe, **given)

    def words(processes: int) -> str:
        return (
            f"fine-tune subnet {subnet.id} ({subnet.resolution} px) of '{package.name}'"
            f"{f' in {recipe.qat}' if recipe.qat else ''} for {recipe.epochs:g} epochs "
            f"of {len(source.train)} images, lr {recipe.lr * recipe.batch * processes / recipe.lr_batch:.4g}, "
            f"distillation {recipe.distill:g}{' from the teacher' if teacher else ''}"
        )

    work = partial(finetune, package, subnet, source, recipe, teacher=teacher, allow_drop=allow_drop)
    return _Job("finetune", source, work, words, _summary, teacher.notes if teacher else ())


def _new_head(
    package: "SupernetPackage",
    subnet: "Subnet",
    data: Path,
    keep_classes: bool,
    asked: "ModelOptions | None",
    given: dict[str, Any],
) -> _Job:
    """A subnet with another head, for other classes."""
    from ofa_edge.workflows.finetune import tuning_teacher
    from ofa_edge.workflows.new_head import new_head_data, new_head_recipe, tune_new_head

    images, source = new_head_data(package, data)
    teacher = tuning_teacher(asked, source, images.class_names, given.get("distill"))
    recipe = new_head_recipe(source, teacher=teacher and teacher.recipe, **given)
    words = (
        f"subnet {subnet.id} ({subnet.resolution} px) of '{package.name}' with another head, "
        f"{recipe.epochs:.3g} epochs of {len(source.train)} images"
        f"{f' at most, chosen by {recipe.folds} folds' if recipe.folds else ''}"
    )
    work = partial(
        tune_new_head,
        package,
        subnet,
        source,
        images.class_names,
        recipe,
        dataset=images.name,
        keep_classes=keep_classes,
        teacher=teacher,
    )
    return _Job("new-head", source, work, lambda _: words, _headed, teacher.notes if teacher else ())


def _headed(figures: dict[str, Any]) -> str:
    shares = f"top-1 {100 * figures['top1_after']:.2f} %, balanced {100 * figures['balanced_after']:.2f} %"
    lines = [*figures["changes"], f"{shares} of {figures['test_images']} test images"]
    if (found := figures.get("out_of_fold")) is not None:
        low, high = (100 * each for each in found["top1_interval95"])
        lines.append(
            f"out of fold: top-1 {100 * found['top1']:.1f} % ({low:.1f} .. {high:.1f} at 95 %), balanced "
            f"{100 * found['balanced']:.1f} % of {found['images']} training images, each answered by a network trained "
            f"without it; {100 * found['share_of_steps']:.0f} % of the steps did best"
        )
    return "\n".join(lines)


def _refuse_beside_new_head(new_head: bool, data: Path | None, others: "Mapping[str, Any]") -> None:
    if not new_head:
        raise click.UsageError("--keep-classes is of --new-head")
    if data is None:
        raise click.UsageError("--new-head wants --data DIR: a folder of images of your classes")
    strange = [name for name, value in others.items() if value is not None]
    if strange:
        raise click.UsageError(f"--new-head with {strange[0]}: no network knows the new classes yet; leave it out")


def _classes(data: "TrainingData") -> str:
    """How many images each class has to be trained on, in words."""
    counts = data.class_counts
    return f"{len(counts)} classes of {min(counts):,} .. {max(counts):,} training images"


def _summary(figures: dict[str, Any]) -> str:
    from ofa_edge.metrics import PairedDrop
    from ofa_edge.workflows.finetune import drop_words

    drop = PairedDrop(**figures["drop"])
    verdict = "worse, and taken all the same" if drop.low95 > 0 else "better" if drop.high95 < 0 else "within chance"
    fp32 = figures.get("top1_fp32")
    exact = [] if fp32 is None else ["  in fp32 {:.2f} % before, {:.2f} % after".format(*(100 * each for each in fp32))]
    return "\n".join(
        [
            f"{'' if fp32 is None else 'int8 '}top-1 {100 * figures['top1_before']:.2f} % before, "
            f"{100 * figures['top1_after']:.2f} % after: {verdict}",
            f"  {drop_words(drop)}",
            *exact,
        ]
    )
