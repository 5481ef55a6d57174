"""Two processes with a batch each are one process with both; and what happens when one of them ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_runs
import torch
from safetensors.torch import load_file
from tiny_package import dataset, images, recipe
from tiny_runs import (
    differing,
    ended,
    image_folder,
    in_float64,
    run_trainer,
    sandwich,
    shrinking,
    start_world,
    tensors_of,
    trainer,
    wait_for,
    wait_for_lines,
)

from ofa_edge.errors import ConfigError, WeightsError
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.zoo import open_supernet
from ofa_edge.training.distributed import World
from ofa_edge.training.package_data import TrainingData
from ofa_edge.training.recipe import AugmentRecipe
from ofa_edge.training.single import SingleRecipe
from ofa_edge.workflows.finetune import finetune
from ofa_edge.workflows.train import train


def balanced(make, balance):
    """A recipe whose classes are balanced, which must not depend on how many processes share a batch."""
    recipe = make()
    return lambda **changes: make(data=recipe.data.model_copy(update={"balance": balance}), **changes)


RECIPES = {"shrinking": balanced(shrinking, "sampler"), "sandwich": balanced(sandwich, "loss")}


def losses_of(folder):
    return [json.loads(line)["subnet_losses"] for line in (folder / "log.jsonl").read_text().splitlines()]


def run_and_spy(recipe, folder):
    """The target of a process: a whole run; which subnets each process drew, and its weights at the end."""
    world = World.join()
    drawn, real = [], Supernet.forward
    Supernet.forward = lambda net, x, subnet, noise=None: drawn.append(subnet.id) or real(net, x, subnet, noise)
    run = in_float64(trainer(recipe, folder, images(32, 0), world=world))
    run.run()
    torch.save(tensors_of(run.net), folder / f"weights-{world.rank}.pt")
    (folder / f"drawn-{world.rank}.json").write_text(json.dumps(drawn))
    (folder / f"files-{world.rank}.json").write_text(json.dumps(sorted(path.name for path in folder.iterdir())))
    world.leave()


@pytest.fixture(scope="module", params=list(RECIPES))
def both(request, tmp_path_factory):
    """A run over two processes, and the recipe with half of the batch that they had."""
    recipe, folder = (
        RECIPES[request.param](scale=1.0 if request.param == "shrinking" else 2.0),
        tmp_path_factory.mktemp("both"),
    )
    processes = start_world(run_and_spy, recipe, folder, folder=folder)
    for rank, process in enumerate(processes):
        assert ended(process) == 0, (folder / f"out-{rank}").read_text()
    return recipe, folder


def test_two_processes_are_one_with_twice_the_batch(both, tmp_path):
    """Dropout, drop-path, clipping and augmentation are on."""
    recipe, folder = both
    one = in_float64(trainer(recipe.model_copy(update={"batch": 16}), tmp_path, images(32, 0)))
    one.run()
    wanted, got = losses_of(tmp_path), losses_of(folder)
    assert len(wanted) == len(got) == one.total_steps >= 8
    for step, (one_losses, two_losses) in enumerate(zip(wanted, got, strict=True)):
        assert two_losses == pytest.approx(one_losses, abs=2e-5), f"step {step}"  # the log's five digits
    weights = torch.load(folder / "weights-0.pt", weights_only=True)
    for key, value in tensors_of(one.net).items():
        torch.testing.assert_close(weights[key], value, rtol=1e-5, atol=1e-6, msg=key)


def test_all_processes_draw_the_same_subnets(both):
    _, folder = both
    first, second = (json.loads((folder / f"drawn-{rank}.json").read_bytes()) for rank in range(2))
    assert first == second
    assert len(set(first)) > 3
    weights = [torch.load(folder / f"weights-{rank}.pt", weights_only=True) for rank in range(2)]
    assert differing(*weights) == []


def test_another_number_of_processes_is_told(both, tmp_path):
    recipe, folder = both
    with pytest.raises(WeightsError, match="checkpoint of a run over 2 processes") as caught:
        trainer(recipe, folder, images(32, 0)).resume()
    assert "--nproc-per-node 2" in caught.value.hint
    alone = trainer(recipe, tmp_path, images(32, 0))
    alone.run(stop_at=1)
    with pytest.raises(WeightsError, match="checkpoint of a run over 1 process\n") as caught:
        trainer(recipe, tmp_path, images(32, 0), world=World(0, 2)).resume()
    assert "torchrun" in caught.value.hint


def silent_run(recipe, folder, others):
    """The target of a process: a run in which every process but the first one has a folder of its own."""
    world = World.join()
    run = trainer(recipe, folder if world.first else others, images(32, 0), world=world)
    run.run(save_every=0.0)
    world.leave()


def test_only_the_first_process_writes(tmp_path):
    others = tmp_path / "others"
    for process in start_world(silent_run, sandwich(), tmp_path / "first", others, folder=tmp_path):
        assert ended(process) == 0
    assert {path.name for path in (tmp_path / "first").iterdir()} == {".lock", "checkpoint.safetensors", "log.jsonl"}
    assert list(others.iterdir()) == []


def train_package(folder):
    """The target of a process: all that `ofa-edge train` does."""
    world = World.join()
    train(recipe(batch="40", epochs="1"), dataset(), folder, world=world)
    world.leave()


def tune_package(package, folder):
    """The target of a process: all that `ofa-edge finetune` does."""
    world = World.join()
    package, data = open_supernet(str(package)), dataset()
    source = TrainingData(*data.split(60, 0), data.test, AugmentRecipe(shift=1), 40)
    finetune(package, package.space.smallest(), source, SingleRecipe(epochs=1, batch=40), folder, world=world)
    world.leave()


def test_the_first_process_alone_measures_afterwards(tmp_path):
    run, tuned = tmp_path / "run", tmp_path / "tuned"
    for target, *arguments in ((train_package, run), (tune_package, run, tuned)):
        for rank, process in enumerate(start_world(target, *arguments, folder=tmp_path)):
            assert ended(process) == 0, (tmp_path / f"out-{rank}").read_text()
    assert [phase["phase"] for phase in json.loads((run / "phases.json").read_bytes())] == ["sandwich"]
    assert open_supernet(str(tuned)).subnet == open_supernet(str(run)).space.smallest()


def test_a_killed_process_ends_the_run(tmp_path):
    """Each of the two in turn; then the run goes on to the end of one that nothing happened to."""
    recipe, run = shrinking(), tmp_path / "run"
    for killed, steps in ((1, 3), (0, 7)):
        (tmp_path / f"out-{1 - killed}").unlink(missing_ok=True)
        processes = start_world(run_trainer, recipe, run, 32, 0.0, folder=tmp_path)
        wait_for_lines(run / "log.jsonl", steps)
        processes[killed].kill()
        at = time.monotonic()
        assert ended(processes[killed]) == -signal.SIGKILL
        assert ended(processes[1 - killed], 30) == 1  # the target lets the error through
        assert time.monotonic() - at < 15
        told = (tmp_path / f"out-{1 - killed}").read_text()
        assert "another process of this training run ended" in told
        assert "try: run the same command again" in told
    for folder in (run, tmp_path / "whole"):
        for process in start_world(run_trainer, recipe, folder, 32, 60.0, folder=tmp_path):
            assert ended(process) == 0
    files = [load_file(folder / "checkpoint.safetensors") for folder in (run, tmp_path / "whole")]
    assert differing(*files) == []
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()] == list(range(1, 13))


def test_the_command_under_torchrun(tmp_path):
    """As a user starts it; one process is killed, the run ends and says so, and the same command goes on with it."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_runs.SHRINKING.replace("seed = 5", "seed = 5\nscale = 60.0"))
    data = image_folder(tmp_path / "data", train=32 + 30)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ofa_edge"]
    command += ["train", "--recipe", str(recipe), "--data", str(data), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "out").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=tmp_path)
    try:
        wait_for((tmp_path / "run" / "checkpoint.safetensors").is_file, 60)  # written as training begins
        workers = children(process.pid)
        assert len(workers) == 2
        victim = next(pid for pid in workers if environ_of(pid)["RANK"] == "1")
        at = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        assert process.wait(60) != 0
        assert time.monotonic() - at < 30
    finally:
        process.kill()
        process.wait()
    told = (tmp_path / "out").read_text()
    assert "Warning: torch" not in told
    assert "error: another process of this training run ended" in told or "error: interrupted" in told
    assert told.count("'shrinking' on image-folder: 32 training images") == 1  # one process speaks
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def children(pid):
    return [int(item) for item in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def environ_of(pid):
    items = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(item.split("=", 1) for item in items if "=" in item)


@pytest.mark.parametrize("missing", ["RANK", "MASTER_PORT"])
def test_half_an_environment(monkeypatch, missing):
    values = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(ConfigError, match="names no run") as caught:
        World.join()
    assert missing in caught.value.why


def test_a_world_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = World.join()
    assert (world.rank, world.size, world.first, world.group) == (0, 1, True, None)
    values = torch.tensor([1.0, 2.0])
    assert world.average(values) is values
    assert world.rows(8) == slice(0, 8)
    assert World(2, 3).rows(8) == slice(16, 24)
    assert not World(2, 3).first
    world.leave()


def test_lost_connections_are_known_by_their_words():
    from ofa_edge.training.distributed import is_loss

    assert is_loss(RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"))
    assert is_loss(RuntimeError("Broken pipe: connection to the store"))
    assert not is_loss(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_loss(KeyboardInterrupt())
