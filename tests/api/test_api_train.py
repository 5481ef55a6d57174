"""Training and building through the front door: callbacks, Ctrl-C, and what a run goes on from."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from builds import Stages
from tiny_package import shared_package
from tiny_runs import image_folder, sandwich

import ofa_edge as oe


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("photos"))


class Told:
    """Keeps what callbacks are told; interrupts, as Ctrl-C does, at a step."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.steps: list[int] = []
        self.epochs: list[tuple[int, int]] = []
        self.stages: set[str] = set()
        self.interrupt_at = interrupt_at

    def step(self, progress: Any) -> None:
        self.steps.append(progress.step)
        if progress.step == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, progress: Any) -> None:
        self.epochs.append((progress.step, progress.epoch))

    def stage(self, name: str, done: int, total: int) -> None:
        self.stages.add(name)


def test_an_interrupted_run_raises_and_goes_on(photos: Path, tmp_path: Path) -> None:
    first, second = Told(interrupt_at=3), Told()
    with pytest.raises(KeyboardInterrupt):
        oe.train(sandwich(), data=photos, out=tmp_path, on_step=first.step, on_epoch=first.epoch)
    run = oe.train(
        sandwich(), data=photos, out=tmp_path, on_step=second.step, on_epoch=second.epoch, on_stage=second.stage
    )
    assert first.steps == [1, 2, 3]
    assert second.steps == [4]
    assert (first.epochs, second.epochs) == ([(2, 1)], [(4, 2)])
    assert second.stages == {"pairs", "test"}
    assert run.open().space.resolutions == (12, 16)
    assert run.figures["seed"] == 5
    assert "step" not in json.loads((tmp_path / "recipe.json").read_text())


def test_changes_win_over_a_recipe(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(oe.ConfigError, match="recipe") as caught:
        oe.train(sandwich(), data=photos, out=tmp_path, changes={"space": {"width": 1}})
    assert "space.width" in caught.value.why
    told, changes = Told(interrupt_at=1), {"space": {"depths": [1]}}
    with pytest.raises(KeyboardInterrupt):
        oe.train(sandwich(), data=photos, out=tmp_path, seed=6, scale=0.5, changes=changes, on_step=told.step)
    recipe = json.loads((tmp_path / "recipe.json").read_text())["recipe"]
    assert (recipe["seed"], recipe["scale"]) == (6, 0.5)
    assert (recipe["space"]["depths"], recipe["space"]["width_mult"]) == ([1], 0.1)


def test_a_fine_tuned_network(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, photos: Path) -> None:
    package = oe.open_supernet(shared_package(tmp_path_factory))
    told = Told()
    chosen = package.space.smallest(14)
    options: dict[str, Any] = {"supernet": package, "data": photos, "epochs": 2, "batch": 8, "allow_drop": True}
    run = oe.finetune(chosen, resolution=16, out=tmp_path, on_step=told.step, on_epoch=told.epoch, **options)
    assert run.open().subnet == chosen.at(16)
    assert [step for step, _ in told.epochs] == [told.steps[-1] // 2, told.steps[-1]]
    with pytest.raises(oe.ConfigError, match="bad --lr"):
        oe.finetune(chosen, out=tmp_path, lr=-1.0, **options)
    with pytest.raises(oe.ConfigError, match="not of space"):
        oe.finetune(oe.open_supernet("fashion-mnist").space.largest(), out=tmp_path, **options)


def test_an_interrupted_build_raises_and_leaves_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFA_EDGE_CACHE", str(tmp_path / "cache"))
    package, stages = shared_package(tmp_path_factory), Stages(interrupt_at="onnx")
    with pytest.raises(KeyboardInterrupt):
        oe.build("raspberry-pi-4", supernet=package, device="none", out=tmp_path / "out", on_stage=stages)
    assert set(stages.hits) == {"search", "extract"}
    assert not (tmp_path / "out" / "manifest.json").exists()
