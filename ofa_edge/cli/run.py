"""`ofa-edge run`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ofa_edge.cli.answer import Answer, command
from ofa_edge.cli.classes import label
from ofa_edge.cli.completion import DEVICE
from ofa_edge.cli.console import table
from ofa_edge.device.connections.plain_text import one_line

if TYPE_CHECKING:
    from ofa_edge.workflows.run_photos import Answers


@command("run")
@click.argument("folder", type=click.Path(path_type=Path), metavar="BUILD")
@click.argument("photos", type=click.Path(path_type=Path), nargs=-1, metavar="[PHOTO]...")
@click.option(
    "--device",
    type=DEVICE,
    default="local",
    show_default=True,
    metavar="NAME",
    help="local, emulated, or one of: devices list.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes, or boxes, of each photo."
)
@click.option(
    "--camera",
    type=click.IntRange(min=0),
    is_flag=False,
    flag_value=0,
    metavar="[NUMBER]",
    help="Take the photo with a camera of this machine (OpenCV has to be installed).",
)
def run_command(folder: Path, photos: tuple[Path, ...], device: str, top: int, camera: int | None) -> Answer:
    """Run a built network on photos: classes with probabilities, boxes, or shares of the picture, and milliseconds."""
    from ofa_edge.workflows.camera import take_photo
    from ofa_edge.workflows.run_photos import run_photos

    if bool(photos) == (camera is not None):
        raise click.UsageError("give photos, or --camera")
    with tempfile.TemporaryDirectory(prefix="ofa-edge-") as taken:
        if camera is not None:
            photos = (Path(taken) / "camera.png",)
            take_photo(camera, photos[0])
        found = run_photos(folder, photos, device, top)
    return Answer(found.to_json(), _text(found))


def _text(found: "Answers") -> str:
    rows = []
    for answer in found.answers:
        name = one_line(answer.photo.name)
        for each in answer.labels:
            where = "" if each.box is None else " ".join(f"{value:.0f}" for value in each.box)
            rows.append([name, label(each.name), f"{100 * each.share:.1f} %", where])
            name = ""
        if not answer.labels:
            rows.append([name, "nothing", "", ""])
    time = "" if found.p50_ms is None else f"{found.p50_ms:.3g} ms an inference on {found.device} (one short session)"
    if found.emulated:
        time = f"device {found.device}: an emulator gives no times"
    return "\n".join([table(rows, right=(2,)), f"  {time or f'device {found.device}: no steady time'}"])
