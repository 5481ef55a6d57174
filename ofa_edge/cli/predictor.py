"""`ofa-edge predictor`."""

from pathlib import Path

import click

from ofa_edge.cli.answer import Answer, group
from ofa_edge.cli.console import next_step, table
from ofa_edge.cli.options import supernet_option


@group("predictor")
def predictor_group() -> None:
    """Accuracy predictors of supernets."""


@predictor_group.command("train")
@supernet_option(text="A trained supernet.")
@click.option(
    "--pairs",
    type=click.IntRange(min=24),  # search.predictor.MIN_PAIRS, which is not imported here: it costs time
    default=200,
    show_default=True,
    help="Subnets to measure.",
)
@click.option("--dataset", metavar="NAME", help="Default: the images inside the supernet's folder.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, for a supernet that carries no images.")
@click.option("--images", type=click.IntRange(min=1), help="Held-out images to measure on. Default: all.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the random subnets.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder. Default: the supernet's own.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. Default: all.")
def predictor_train(
    supernet: str,
    pairs: int,
    dataset: str | None,
    data: Path | None,
    images: int | None,
    seed: int,
    out: Path | None,
    threads: int | None,
) -> Answer:
    """Measure subnets of a supernet and fit its accuracy predictor.

    Each subnet is cut out, its batch norms re-calibrated, its top-1 measured on held-out images. Prints the error and
    the rank correlation on subnets that the fit did not see. Run the same command again to continue an interrupted run.
    """
    import torch

    from ofa_edge.cli.training_bars import TrainingBars
    from ofa_edge.supernet.zoo import open_supernet, shipped
    from ofa_edge.training.package_data import predictor_images
    from ofa_edge.workflows.accuracy_predictor import train_predictor

    package = open_supernet(supernet)
    if out is None and (supernet in shipped() or package.folder is None):
        raise click.UsageError("give --out DIR: the predictor that ships with ofa-edge is not overwritten")
    if threads:
        torch.set_num_threads(threads)
    calibration, held_out = predictor_images(package, dataset, data)
    folder = out or package.folder
    assert folder is not None
    with TrainingBars() as bars:
        figures = train_predictor(
            package,
            calibration,
            held_out.sample(images),
            pairs,
            folder,
            seed=seed,
            on_pair=lambda done, total: bars.stage("pairs", done, total),
        )
    file = folder / "predictor.safetensors"
    rows = [[name, f"{value:.4g}" if isinstance(value, float) else str(value)] for name, value in figures.items()]
    following = next_step("search", "--target", "raspberry-pi-4", "--supernet", folder) if out is None else ""
    return Answer({"predictor": str(file), **figures}, f"{table(rows)}\nwrote {file}\n{following}".rstrip())
