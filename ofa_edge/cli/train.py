"""`ofa-edge train`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.console import print_json

if TYPE_CHECKING:
    from ofa_edge.training.recipe import Recipe
    from ofa_edge.training.trainer import Progress


@click.command("train")
@click.option("--recipe", metavar="NAME|FILE", help="A shipped recipe or a TOML file.")
@click.option("--list", "list_only", is_flag=True, help="List the shipped recipes.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, where the recipe's default is not wanted.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. Default: runs/RECIPE.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. Default: all.")
@click.option("--device", default="cpu", show_default=True, help="torch device: cpu, cuda.")
@click.option(
    "--pairs",
    type=click.IntRange(min=24),  # search.predictor.MIN_PAIRS, which is not imported here: it costs time
    default=200,
    show_default=True,
    help="Subnets to measure for the predictor.",
)
@click.option("--resume", is_flag=True, help="Go on with a run (a run folder is always continued).")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be done.")
def train_command(
    recipe: str | None,
    list_only: bool,
    data: Path | None,
    out: Path | None,
    threads: int | None,
    device: str,
    pairs: int,
    resume: bool,
    dry_run: bool,
) -> None:
    """Train a supernet, measure subnets of it, and fit its accuracy predictor."""
    del resume
    from ofa_edge.training.recipe import list_recipes, load_recipe

    if list_only:
        click.echo("\n".join(list_recipes()))
        return
    if recipe is None:
        raise click.UsageError("give --recipe NAME (see: ofa-edge train --list)")
    from ofa_edge.train import TrainOptions, load_data, train

    plan = load_recipe(recipe)
    dataset = load_data(plan, data)
    folder = out or Path("runs") / plan.name
    click.echo(_describe(plan, len(dataset.train), folder), err=True)
    if dry_run:
        return
    import torch

    if threads:
        torch.set_num_threads(threads)
    with _Bars() as bars:
        figures = train(
            plan,
            dataset,
            folder,
            options=TrainOptions(pairs=pairs),
            device=device,
            on_step=bars.step,
            on_stage=bars.stage,
        )
    print_json(figures)
    click.echo(f"next: ofa-edge build --target raspberry-pi-4 --supernet {folder}")


def _describe(recipe: "Recipe", images: int, folder: Path) -> str:
    steps = (min(images - recipe.data.held_out, recipe.data.limit or images)) // recipe.batch
    lines = [f"train '{recipe.name}' on {recipe.data.dataset}: {images} images, {recipe.data.held_out} held out"]
    for phase in recipe.phases:
        lines.append(
            f"  {phase.name}: {phase.epochs} epochs of {steps} steps, lr {phase.lr}, "
            f"subnets {' + '.join(phase.subnets)}, resolutions {sorted(set(phase.resolutions))}"
        )
    return "\n".join([*lines, f"  run folder {folder}; a run found there is continued"])


class _Bars:
    """Progress bars on stderr: the training with loss and accuracy, then the measurements."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        text = TextColumn("{task.fields[facts]}")
        self.bars = Progress(*columns, TimeRemainingColumn(), text, console=Console(stderr=True))
        self.tasks: dict[str, int] = {}
        self.accuracy = 0.0

    def __enter__(self) -> "_Bars":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def step(self, progress: "Progress") -> None:
        """After a training step."""
        self.accuracy = progress.accuracy if not self.accuracy else 0.98 * self.accuracy + 0.02 * progress.accuracy
        facts = f"{progress.phase}  loss {progress.loss:.3f}  training top-1 {self.accuracy:.1f}"
        self._update("train", progress.step, progress.total_steps, facts)

    def stage(self, name: str, done: int, total: int) -> None:
        """After a measured subnet."""
        self._update(name, done, total, "subnets measured")

    def _update(self, name: str, done: int, total: int, facts: str) -> None:
        from rich.progress import TaskID

        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=total, facts=facts)
        self.bars.update(TaskID(self.tasks[name]), completed=done, facts=facts)
