"""Runs small enough to be repeated: a recipe of progressive shrinking's six phases, and processes to kill.

Processes are forked from a server that has torch loaded, so that starting one costs nothing.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_package import LABELS, images

from ofa_edge.data.dataset import Images
from ofa_edge.training.distributed import World
from ofa_edge.training.recipe import Recipe
from ofa_edge.training.recipe_files import parse_recipe
from ofa_edge.training.trainer import Trainer

SHRINKING = """
name = "shrinking"
seed = 5
batch = 8
weight_decay = 1e-3
label_smoothing = 0.1
dropout = 0.2
drop_path = 0.1
regularise = "all"
clip_norm = 5.0
[space]
width_mult = 0.1
strides = [2, 2, 2, 1, 1, 1]
resolutions = [12, 16]
depths = [1, 2, 3]
[data]
dataset = "image-folder"
held_out = 30
mean = [72.9]
std = [90.0]
[augment]
shift = 1
erase = 0.3
[measure]
pairs = 24
rank_subnets = 2
images = 20
[[phases]]
name = "full"
epochs = 1
lr = 0.1
[[phases]]
name = "kernel"
epochs = 1
lr = 0.05
warmup_epochs = 0.5
warmup_from = 0.03125
subnets = ["random"]
expands = [6]
depths = [3]
distill = "teacher"
labels = true
[[phases]]
name = "depth 1"
epochs = 1
lr = 0.02
subnets = ["random", "random"]
expands = [6]
depths = [2, 3]
distill = "teacher"
labels = true
[[phases]]
name = "depth 2"
epochs = 1
lr = 0.03
subnets = ["random", "random"]
expands = [6]
distill = "teacher"
labels = true
[[phases]]
name = "expand 1"
epochs = 1
lr = 0.02
subnets = ["random", "random", "random"]
expands = [4, 6]
distill = "teacher"
labels = true
sort_channels = true
[[phases]]
name = "expand 2"
epochs = 1
lr = 0.03
subnets = ["random", "random", "random"]
distill = "teacher"
labels = true
sort_channels = true
"""
SANDWICH = (
    SHRINKING[: SHRINKING.index("[[phases]]")].replace('regularise = "all"', 'regularise = "largest"')
    + """
[[phases]]
name = "largest"
epochs = 1
lr = 0.1
[[phases]]
name = "sandwich"
epochs = 1
lr = 0.05
subnets = ["largest", "smallest", "random"]
distill = "largest"
divergence = "alpha"
ramp = 0.5
sort_channels = true
"""
)


def shrinking(**changes: Any) -> Recipe:
    """The six phases, two steps each over 16 images."""
    return parse_recipe(SHRINKING, "tiny_runs.py").model_copy(update=changes)


def sandwich(**changes: Any) -> Recipe:
    """The largest, then the sandwich rule."""
    return parse_recipe(SANDWICH, "tiny_runs.py").model_copy(update=changes)


def trainer(recipe: Recipe, folder: Path, train: Images | None = None, **options: Any) -> Trainer:
    """A trainer over 16 images of three kinds, every step logged."""
    options = {"log_every": 1, **options}
    return Trainer(recipe, recipe.make_space(len(LABELS)), train or images(16, 0), folder, **options)


def tensors_of(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of weights and buffers."""
    return {key: value.clone() for key, value in net.state_dict().items()}


def differing(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> list[str]:
    """The tensors that are not equal to the bit."""
    assert set(one) == set(other)
    return [key for key in one if not torch.equal(one[key], other[key])]


def image_folder(folder: Path, train: int = 16 + 30, test: int = 12) -> Path:
    """The images as files by class."""
    for part, count, seed in (("train", train, 0), ("val", test, 1)):
        for index, (pixels, label) in enumerate(zip(*_arrays(images(count, seed)), strict=True)):
            path = folder / part / LABELS[label] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).save(path)
    return folder


def _arrays(data: Images) -> tuple[np.ndarray, np.ndarray]:
    return data.pixels, data.labels


# -- processes --


def start(target: Callable[..., None], *arguments: Any, output: Path, env: Mapping[str, str] | None = None) -> Any:
    """Start `target(*arguments)` in a process of its own; what it prints goes to `output`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch._dynamo", "safetensors.torch", "rich.progress", "ofa_edge.cli", "ofa_edge.workflows.train"]
    )
    process = context.Process(target=_redirected, args=(target, arguments, str(output), dict(env or {})))
    process.start()
    return process


def _redirected(target: Callable[..., None], arguments: tuple[Any, ...], output: str, env: dict[str, str]) -> None:
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(env)
    torch.set_num_threads(1)
    target(*arguments)


def start_world(target: Callable[..., None], *arguments: Any, folder: Path, size: int = 2) -> list[BaseProcess]:
    """Start processes that find each other as torchrun's do; they print to `folder`/out-RANK."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        start(target, *arguments, output=folder / f"out-{rank}", env={**common, "RANK": str(rank)})
        for rank in range(size)
    ]


def ended(process: BaseProcess, seconds: float = 60.0) -> int:
    """Wait for a process; its exit code, negative for a signal."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"still running after {seconds} s")
    return process.exitcode


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.002)


def wait_for_lines(path: Path, count: int, seconds: float = 60.0) -> None:
    """Wait until a file has that many lines."""
    wait_for(lambda: path.is_file() and path.read_bytes().count(b"\n") >= count, seconds)


def run_trainer(recipe: Recipe, folder: Path, images_count: int, save_every: float) -> None:
    """The target of a process: a whole run, alone or as one of several."""
    world = World.join()
    try:
        run = trainer(recipe, folder, images(images_count, 0), world=world)
        run.resume()
        run.run(save_every=save_every)
    finally:
        world.leave()


def run_command(arguments: list[str], steps: Path) -> None:
    """The target of a process: the command line; a line in `steps` for each training step."""
    from ofa_edge.cli import main
    from ofa_edge.cli.training_bars import TrainingBars

    def note(self: TrainingBars, progress: Any) -> None:
        with steps.open("a") as file:
            file.write(f"{progress.step}\n")

    TrainingBars.step = note
    main(arguments)


def in_float64(run: Any) -> Any:
    """With seventeen digits a difference that grows from rounding stays far below one that grows from a mistake."""
    run.net.double()
    real = run.batches.normalised
    run.batches.normalised = lambda *arguments: real(*arguments).double()
    return run
