"""Early stopping: the best state is what is left, wherever the run was killed, and nothing is measured twice."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ofa_edge.errors import OutputError
from ofa_edge.training.stopping import best_of, facts_of, points, train_watched


class Counter:
    """A trainer whose one weight is the number of steps done, with a checkpoint."""

    def __init__(self, folder, total=40):
        self.folder, self.total_steps, self.state = folder, total, nn.Linear(1, 1)
        folder.mkdir(exist_ok=True)
        self.checkpoint = folder / "state.safetensors"
        self.step = int(load_file(self.checkpoint)["weight"]) if self.checkpoint.exists() else 0
        self.taken = 0

    def run(self, on_step, stop_at):
        while self.step < stop_at:
            self.step, self.taken = self.step + 1, self.taken + 1
            on_step(self.step)
        with torch.no_grad():
            self.state.weight.fill_(self.step)
        save_file(self.state.state_dict(), self.checkpoint)


def rising_until(top):
    """A score that rises to a step and falls behind it; counts its calls."""

    def score(net):
        score.calls += 1
        return -abs(net.weight.item() - top)

    score.calls = 0
    return score


def test_points_are_evenly_spread_and_hold_both_ends():
    assert points(0, 40) == list(range(0, 41, 2))
    assert points(10, 13) == [10, 11, 12, 13]
    assert points(7, 107)[0] == 7
    assert points(7, 107)[-1] == 107


@pytest.mark.parametrize(("patience", "taken"), [(0.2, 20), (1.0, 40)])
def test_the_best_is_left_and_the_rest_is_spared(tmp_path, patience, taken):
    trainer = Counter(tmp_path)
    checks = train_watched(trainer, 0, patience, rising_until(12))
    assert trainer.state.weight.item() == best_of(checks).step == 12
    assert trainer.taken == taken
    told = facts_of(tmp_path, patience)["stopping"]
    assert (told["best_after"], told["stopped_after"]) == (12, taken)


def test_of_equal_scores_the_last_is_taken(tmp_path):
    trainer = Counter(tmp_path)
    assert best_of(train_watched(trainer, 10, 0.1, lambda net: 0.5)).step == 40


def test_a_killed_run_leaves_the_same_and_measures_nothing_twice(tmp_path):
    class KilledError(Exception):
        pass

    def kill(step):
        if step == 17:
            raise KilledError

    score = rising_until(12)
    with pytest.raises(KilledError):
        train_watched(Counter(tmp_path), 0, 0.2, score, kill)
    again = Counter(tmp_path)
    train_watched(again, 0, 0.2, score)
    assert again.state.weight.item() == 12
    assert score.calls == 11  # after 0, 2, .. 20
    finished = Counter(tmp_path)
    train_watched(finished, 0, 0.2, score)
    assert (finished.taken, score.calls, finished.state.weight.item()) == (0, 11, 12.0)
    (tmp_path / "state.safetensors").unlink()  # from the start again
    anew = Counter(tmp_path)
    train_watched(anew, 0, 0.2, score)
    assert (anew.taken, anew.state.weight.item()) == (20, 12.0)


def test_no_damaged_score_chooses(tmp_path):
    """The checkpoint is past the steps that were measured: what they scored cannot be found out again."""
    whole = train_watched(Counter(tmp_path), 0, 0.2, rising_until(12))
    assert [check.step for check in whole][:3] == [0, 2, 4]
    for name in ("checks.json", "best.safetensors"):
        content = (tmp_path / name).read_bytes()
        changes = [content[: len(content) // 2], b"", b"[]"]
        changes += [content.replace(b"-12", b"9"), content.replace(b'"sha256": "', b'"sha256": "0')] * (name[0] == "c")
        for change in changes:
            assert change != content
            (tmp_path / name).write_bytes(change)
            with pytest.raises(OutputError, match=f"{name} of a run is damaged") as caught:
                train_watched(Counter(tmp_path), 0, 0.2, rising_until(12))
            assert str(tmp_path) in caught.value.hint
        (tmp_path / name).write_bytes(content)
    assert train_watched(Counter(tmp_path), 0, 0.2, rising_until(12)) == whole


def test_nothing_is_said_of_a_run_that_was_not_watched(tmp_path):
    assert facts_of(tmp_path, None) == {}
