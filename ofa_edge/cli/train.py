"""`ofa-edge train`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.completion import PRESET, RECIPE, SUPERNET
from ofa_edge.cli.console import ACCEPT_CODE, next_step, table
from ofa_edge.cli.options import on_option, renamed
from ofa_edge.cli.teacher_options import take_teacher, teacher_options


@command("train")
@click.option("--recipe", type=RECIPE, metavar="NAME|FILE", help="A shipped recipe or a TOML file.")
@click.option("--preset", type=PRESET, metavar="NAME|FILE", help="Space and data for a recipe that names none.")
@click.option(
    "--from",
    "start",
    type=SUPERNET,
    metavar="NAME|DIR",
    help="Begin with this supernet's weights and a new head, for your classes.",
)
@click.option("--keep-classes", is_flag=True, help="With --from: classes of the same name keep their rows of the head.")
@click.option("--resolutions", metavar="N,N,...", help="With --from: input sizes. Default: the supernet's.")
@click.option(
    "--folds",
    type=click.IntRange(min=0),
    help="With --from and under 20 images in a class: cross-validate in so many parts. Default: the recipe's, 0.",
)
@teacher_options
@click.option("--list", "list_only", is_flag=True, help="List the shipped recipes and presets.")
@click.option("--keys", "keys_only", is_flag=True, help="Print every key of a recipe file: docs/recipe.md.")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), help="Shorten or lengthen all phases alike.")
@click.option("--seed", type=int, help="Seed of all draws. Default: the recipe's.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, instead of the recipe's default.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. Default: runs/RECIPE.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. Default: all.")
@on_option
@renamed("--device", "--on")
@click.option(
    "--pairs",
    type=click.IntRange(min=24),  # search.predictor.MIN_PAIRS, which is not imported here: it costs time
    help="Subnets to measure for the predictor. Default: the recipe's.",
)
@click.option("--resume", is_flag=True, help="Continue a run (a run folder is always continued).")
@ACCEPT_CODE
@click.option(
    "--dry-run", is_flag=True, help="Check everything; print what would be done, and how long it would take here."
)
def train_command(
    recipe: str | None,
    preset: str | None,
    start: str | None,
    keep_classes: bool,
    resolutions: str | None,
    folds: int | None,
    list_only: bool,
    keys_only: bool,
    scale: float | None,
    seed: int | None,
    data: Path | None,
    out: Path | None,
    threads: int | None,
    on: str,
    pairs: int | None,
    resume: bool,
    accept_code: bool,
    dry_run: bool,
    **teacher: Any,
) -> Answer | None:
    """Train a supernet, measure subnets of it, and fit its accuracy predictor.

    \b
    ofa-edge train --recipe ofa-edge --preset smoke              minutes on a CPU
    ofa-edge train --recipe ofa-edge --preset own-images --data DIR    your own images, 20 or more per class
    ofa-edge train --from fashion-mnist --data DIR               a trained supernet, moved to your classes
    ofa-edge train --recipe my.toml --data DIR                   a recipe of your own (--keys: what it may hold)
    torchrun --nproc-per-node 2 -m ofa_edge train ...            several processes
    """  # noqa: D301 (click's own mark for lines that stay as they are)
    del resume
    from ofa_edge.training.recipe_files import load_recipe

    if list_only:
        return _listed()
    if keys_only:
        from ofa_edge.training.recipe_keys import recipe_page

        return Answer({"page": recipe_page()}, recipe_page().rstrip("\n"))
    if recipe is None and start is None:
        raise click.UsageError("give --recipe NAME (see: ofa-edge train --list), or --from SUPERNET")
    given = (("scale", scale), ("seed", seed), ("folds", folds))
    overrides: dict[str, Any] = {key: value for key, value in given if value is not None}
    if pairs is not None:
        overrides["measure"] = {"pairs": pairs}
    package = None
    if start is not None:
        package, plan = _moved(start, recipe, preset, overrides, keep_classes, resolutions)
    elif keep_classes or resolutions is not None:
        raise click.UsageError("--keep-classes and --resolutions are of --from SUPERNET")
    else:
        plan = load_recipe(str(recipe), preset, overrides)
    asked = take_teacher(teacher)
    folder = out or Path("runs") / plan.name
    return _train(plan, package, asked, data, folder, threads, on, accept_code, dry_run)


def _moved(
    start: str, recipe: str | None, preset: str | None, overrides: dict[str, Any], keep: bool, sizes: str | None
) -> tuple[Any, Any]:
    """The supernet to begin with, and the recipe for it."""
    from ofa_edge.supernet.zoo import open_supernet
    from ofa_edge.training.transfer import METHOD, transfer_recipe

    if preset is not None:
        raise click.UsageError("--preset brings a space, and --from has the supernet's: leave one of them out")
    try:
        resolutions = None if sizes is None else sorted({int(each) for each in sizes.split(",")})
    except ValueError as error:
        raise click.UsageError(f"--resolutions {sizes}: give sizes in pixels, as 128,160,192") from error
    package = open_supernet(start)
    plan = transfer_recipe(package, recipe or METHOD, overrides, keep_classes=keep, resolutions=resolutions)
    return package, plan


def _train(
    plan: Any,
    package: Any,
    asked: Any,
    data: Path | None,
    folder: Path,
    threads: int | None,
    on: str,
    accept_code: bool,
    dry_run: bool,
) -> Answer | None:
    import torch

    from ofa_edge.cli.training_bars import TrainingBars
    from ofa_edge.cli.training_text import class_table, estimate_text, summary
    from ofa_edge.training.data import load_data, resolve
    from ofa_edge.training.distributed import World, check_device
    from ofa_edge.training.plan import describe, plan_run
    from ofa_edge.training.transfer import begin, settled
    from ofa_edge.workflows.teacher import taught
    from ofa_edge.workflows.train import claim_run_folder, estimate_run, train

    check_device(on)
    with TrainingBars(quiet=not World.will_be_first()) as bars:
        dataset = load_data(plan, data, bars.reading)
    if threads:
        torch.set_num_threads(threads)
    world = World.join(on)
    try:
        plan = plan if package is None else settled(plan, package, dataset)
        plan, teacher = taught(plan, asked, dataset)
        resolved = resolve(plan, dataset, world.size)
        plan = resolved.recipe
        begun = None
        if package is not None:
            begun = begin(plan, package, plan.make_space(len(dataset.class_names)), dataset.class_names)
        images = len(dataset.train) - plan.data.held_out_images
        run = plan_run(plan, plan.make_space(len(dataset.class_names)), images, world.size)
        if world.first:
            said = (dataset.notes, begun.changes if begun else (), teacher.notes if teacher else (), resolved.notes)
            notes = [note for part in said for note in part]
            lines = [*notes, *class_table(resolved.counts), *describe(plan, run, images)]
            click.echo("\n".join(lines), err=True)
            click.echo(f"  run folder {folder}; a run found there is continued", err=True)
        if dry_run:
            claim_run_folder(folder, plan, dataset, dry=True, accept_code=accept_code)
            facts = {"dry_run": True, "recipe": plan.model_dump(mode="json"), "folder": str(folder)}
            if world.size == 1:
                estimate = estimate_run(plan, dataset, on, teacher)
                click.echo(estimate_text(plan, estimate), err=True)
                facts["estimated"] = {**asdict(estimate), "seconds": estimate.seconds}
            elif world.first:
                click.echo("  not timed: several processes share the work", err=True)
            return Answer(facts) if world.first else None
        with TrainingBars(quiet=not world.first) as bars:
            figures = train(
                plan,
                dataset,
                folder,
                device=on,
                world=world,
                accept_code=accept_code,
                start=package,
                begun=begun,
                teacher=teacher,
                on_step=bars.step,
                on_stage=bars.stage,
            )
    finally:
        world.leave()
    if not world.first:
        return None
    following = next_step("build", "--target", "raspberry-pi-4", "--supernet", folder)
    return Answer(figures, f"{summary(plan.name, figures, folder)}\n\n{following}")


def _listed() -> Answer:
    from ofa_edge.training.recipe_files import describe_presets, describe_recipes

    recipes, presets = describe_recipes(), describe_presets()
    parts = ["recipes", table(recipes), "presets, for recipes marked *", table(presets)]
    return Answer({"recipes": dict(recipes), "presets": dict(presets)}, "\n".join(parts))
