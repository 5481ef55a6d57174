"""A run that was stopped, broken or killed anywhere, and resumed, ends as one that was not: to the bit."""

import json
import os
import random
import signal
from pathlib import Path

import pytest
import safetensors.torch
import tiny_runs
import torch
from filelock import FileLock
from tiny_runs import differing, ended, image_folder, sandwich, shrinking, start, tensors_of, trainer, wait_for_lines

from ofa_edge.errors import OutputError
from ofa_edge.supernet.network import Supernet
from ofa_edge.training import trainer as trainer_module
from ofa_edge.training.distributed import World

STEPS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing happens to: its folder, weights, and the weights after each phase."""
    after = []
    run = trainer(
        shrinking(),
        tmp_path_factory.mktemp("whole"),
        after_phase=lambda part, net: after.append((part.phase.name, tensors_of(net))),
    )
    run.run()
    assert run.step == STEPS
    return run, tensors_of(run.net), after


def log_of(folder):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def test_each_step_by_a_run_of_its_own(whole, tmp_path):
    after = []
    for step in range(STEPS):
        part = trainer(
            shrinking(), tmp_path, after_phase=lambda part, net: after.append((part.phase.name, tensors_of(net)))
        )
        assert part.resume() == (step > 0)
        assert part.step == step
        part.run(stop_at=step + 1)
    run, weights, phases = whole
    assert differing(weights, tensors_of(part.net)) == []
    assert log_of(tmp_path) == log_of(run.folder)
    files = [safetensors.torch.load_file(path) for path in (run.checkpoint, part.checkpoint)]
    assert differing(*files) == []  # with momentum
    assert any(key.startswith("momentum.") for key in files[0])
    assert [name for name, _ in after] == [phase.name for phase in shrinking().phases]
    for (_, got), (_, wanted) in zip(after, phases, strict=True):
        assert differing(wanted, got) == []


class BrokenError(Exception):
    """What the tests raise inside of steps."""


def break_forward(monkeypatch, armed):
    """In the second subnet's forward pass: the first one has left gradients and moved the running statistics."""
    real, backward = Supernet.forward, torch.Tensor.backward
    before = []  # backward passes of this step

    def forward(self, x, subnet, noise=None):
        out = real(self, x, subnet, noise)
        if before and armed():
            before.clear()
            raise BrokenError
        return out

    def count(self, *arguments, **options):
        backward(self, *arguments, **options)
        before.append(self)

    monkeypatch.setattr(Supernet, "forward", forward)
    monkeypatch.setattr(torch.Tensor, "backward", count)
    gradients = World.average_gradients
    monkeypatch.setattr(World, "average_gradients", lambda *args: before.clear() or gradients(*args))


def break_gradients(monkeypatch, armed):
    def average(self, parameters):
        if armed():
            raise BrokenError

    monkeypatch.setattr(World, "average_gradients", average)


def break_update(monkeypatch, armed):
    real = torch.optim.SGD.step

    def step(self, closure=None):
        real(self, closure)
        if armed():
            raise BrokenError

    monkeypatch.setattr(torch.optim.SGD, "step", step)


def break_sorting(monkeypatch, armed):
    real = trainer_module.sort_channels

    def sort(net, finished):
        real(net, finished)
        if armed():
            raise BrokenError

    monkeypatch.setattr(trainer_module, "sort_channels", sort)


@pytest.mark.parametrize(
    ("breaking", "again_with"),
    [
        (break_forward, "another trainer"),
        (break_update, "another trainer"),
        (break_sorting, "another trainer"),
        (break_gradients, "the same trainer"),
        (break_update, "the same trainer"),
    ],
)
def test_an_exception_in_every_step(whole, tmp_path, monkeypatch, breaking, again_with):
    run = trainer(shrinking(), tmp_path)
    broken_at = set()

    def armed():
        return run.step not in broken_at and not broken_at.add(run.step)

    breaking(monkeypatch, armed)
    failures = 0
    while run.step < STEPS:
        try:
            run.run(save_every=0.0)
        except BrokenError:
            failures += 1
            if again_with == "another trainer":
                run = trainer(shrinking(), tmp_path)
                run.resume()
    assert failures == {break_forward: 8, break_sorting: 2}.get(breaking, STEPS)
    assert differing(whole[1], tensors_of(run.net)) == []
    assert log_of(tmp_path) == log_of(whole[0].folder)


def test_the_checkpoint_after_an_exception_is_of_the_last_whole_step(tmp_path, monkeypatch):
    """No step is lost, though no checkpoint was due for a minute."""
    run = trainer(shrinking(), tmp_path)
    break_forward(monkeypatch, lambda: run.step == 5)
    with pytest.raises(BrokenError):
        run.run()
    again = trainer(shrinking(), tmp_path)
    assert again.resume()
    assert again.step == 5


def test_a_measurement_that_fails_is_made_again(whole, tmp_path):
    seen = []

    def measure(part, net):
        seen.append(part.phase.name)
        if seen.count(part.phase.name) == 1:
            raise BrokenError
        assert differing(dict(whole[2])[part.phase.name], tensors_of(net)) == []

    while True:
        run = trainer(shrinking(), tmp_path, after_phase=measure)
        run.resume()
        try:
            run.run()
            break
        except BrokenError:
            continue
    assert seen == [phase.name for phase in shrinking().phases for _ in range(2)]
    assert differing(whole[1], tensors_of(run.net)) == []


def test_sandwich_and_ramp_stopped_and_resumed(tmp_path):
    """The other recipe: in-place distillation, a ramp, only the largest regularised."""
    one = trainer(sandwich(), tmp_path / "one")
    one.run()
    for step in range(one.total_steps):
        part = trainer(sandwich(), tmp_path / "parts")
        part.resume()
        part.run(stop_at=step + 1)
    assert differing(tensors_of(one.net), tensors_of(part.net)) == []


def test_a_log_from_before_the_first_checkpoint_is_not_kept(tmp_path):
    """A run killed before its first checkpoint starts again: its steps are logged once, damaged lines not at all."""
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n\xff{"step"\n["step"]\n{"step": null}\n{"st')
    trainer(shrinking(), tmp_path).run(stop_at=3)
    assert [record["step"] for record in log_of(tmp_path)] == [1, 2, 3]


# -- processes that are killed --


def save_half(path):
    """A process that dies while it writes the checkpoint of its second step."""
    real, calls = safetensors.torch.save_file, []

    def save(tensors, filename, metadata=None):
        calls.append(filename)
        if len(calls) == 3:  # the first one is of the start
            Path(filename).write_bytes(b"half of it")
            os._exit(9)
        real(tensors, filename, metadata)

    safetensors.torch.save_file = save
    tiny_runs.run_trainer(sandwich(), path, 16, 0.0)


def test_killed_while_saving(tmp_path):
    assert ended(start(save_half, tmp_path / "run", output=tmp_path / "out")) == 9
    run = trainer(sandwich(), tmp_path / "run")
    assert run.resume()
    assert run.step == 1
    run.run()
    other = trainer(sandwich(), tmp_path / "other")
    other.run()
    assert differing(tensors_of(other.net), tensors_of(run.net)) == []


def test_killed_at_any_moment(whole, tmp_path):
    rng = random.Random()  # a new moment in every run of this test
    for lines in (1, 5, 9):
        process = start(tiny_runs.run_trainer, shrinking(), tmp_path, 16, 0.0, output=tmp_path / "out")
        wait_for_lines(tmp_path / "log.jsonl", lines)
        process.join(rng.uniform(0, 0.15))
        process.kill()
        assert ended(process) in (-signal.SIGKILL, 0)
    run = trainer(shrinking(), tmp_path)
    assert run.resume()
    run.run()
    assert differing(whole[1], tensors_of(run.net)) == []
    assert log_of(tmp_path) == log_of(whole[0].folder)


def test_the_command_interrupted_terminated_and_killed(tmp_path):
    """Ctrl-C, SIGTERM, SIGKILL and a run to the end give the file that one run gives."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(tiny_runs.SHRINKING)
    data = image_folder(tmp_path / "data")

    def begin(folder):
        command = ["train", "--recipe", recipe, "--data", data, "--out", folder]
        steps = tmp_path / "steps"
        steps.unlink(missing_ok=True)
        output = tmp_path / "out"
        output.unlink(missing_ok=True)
        process = start(tiny_runs.run_command, [str(item) for item in command], steps, output=output)
        return process, steps, output

    process, steps, output = begin(tmp_path / "cut")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        wait_for_lines(steps, 3)
        os.kill(process.pid, number)
        assert ended(process) == code, output.read_text()
        done = int(steps.read_text().split()[-1])
        if code == 130:
            assert "error: interrupted" in output.read_text()
            assert "Traceback" not in output.read_text()
        process, steps, output = begin(tmp_path / "cut")
        wait_for_lines(steps, 1)
        first = int(steps.read_text().split()[0])
        assert first == done + 1 if code == 130 else first <= done + 1
    assert ended(process) == 0, output.read_text()
    process, _, output = begin(tmp_path / "whole")
    assert ended(process) == 0, output.read_text()
    for name in ("supernet.safetensors", "phases.json", "recipe.json", "pairs.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    phases = json.loads((tmp_path / "whole" / "phases.json").read_bytes())
    assert [(record["phase"], record["step"]) for record in phases] == [
        (phase.name, 2 * index) for index, phase in enumerate(shrinking().phases, start=1)
    ]
    assert all(set(record["top1"]) == {"largest", "smallest"} and record["resolution"] == 16 for record in phases)


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The second is told before it touches anything."""
    folder = tmp_path / "run"
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(OutputError, match="already in progress"):
        trainer(sandwich(), folder).run()
    assert [path.name for path in folder.iterdir()] == [".lock"]
