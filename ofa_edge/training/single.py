"""Training of one static network: fine-tuning a subnet that was cut from a supernet, or training one from scratch."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ofa_edge import cost
from ofa_edge.data.dataset import Images
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.schema import Strict
from ofa_edge.supernet.noise import Noise
from ofa_edge.supernet.normalise import synchronise
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.balance import class_weights, label_loss
from ofa_edge.training.batches import Batches
from ofa_edge.training.checkpoint import Position
from ofa_edge.training.distributed import World
from ofa_edge.training.losses import soft_cross_entropy
from ofa_edge.training.optimizer import make_optimizer, set_learning_rate
from ofa_edge.training.plan import FORWARD_BACKWARD, warmup_cosine
from ofa_edge.training.quantised import QuantisedNet
from ofa_edge.training.recipe import AugmentRecipe, Balance, Positive, Share, TeacherRecipe
from ofa_edge.training.run import Progress, Run
from ofa_edge.training.teacher import Lessons, Teacher


class SingleRecipe(Strict):
    """How one network is trained. The defaults are for fine-tuning a subnet of a trained supernet.

    The paper fine-tunes for 25 or 75 epochs and gives no other figure. The rate here is that of its last phase
    ("expand 2", appendix B), from whose weights fine-tuning goes on.
    """

    epochs: Annotated[float, Field(gt=0)] = 25.0
    lr: Annotated[float, Field(gt=0)] = 0.24
    lr_batch: Positive = 2048  # the batch that lr is for; it is scaled in proportion
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    batch: Positive = 128
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 3e-5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    distill: Share = 1.0  # weight of the supernet's largest net's predictions, where that teaches, beside the labels
    teacher: TeacherRecipe | None = None  # a classifier in a file, in place of that net
    augment: AugmentRecipe = AugmentRecipe()
    balance: Balance = "none"  # see DataRecipe
    seed: Annotated[int, Field(ge=0)] = 0
    qat: Literal["int8"] | None = None  # train what the int8 artifact computes; batch norms are frozen then
    patience: Share | None = None  # of the steps, without a better network on held-out images, after which it ends
    folds: Annotated[int, Field(ge=0)] | None = None  # parts of a cross-validation that chooses the length; 0: none
    watch: Share = 0.5  # of the steps, while int8 ranges follow what is seen; they are frozen afterwards

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe's content."""
        return sha256_bytes(canonical_json(self.deciding))

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the weights, as JSON values; keys that came later only where they are not the default."""
        later = {name for name in ("teacher", "patience", "folds") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=later)


class SingleTrainer:
    """Trains a static network at its subnet's resolution.

    Args:
        net: the network; trained in place. As `recipe.qat` asks, through its int8 form, whose ranges it then has.
        recipe: how.
        train: training images.
        preprocessing: normalisation, at any size.
        folder: where the checkpoint and the log go.
        teacher: a calibrated network whose predictions are learnt too; it sees the images at the same resolution. Or
            the classifier that the recipe's `teacher` names.
        device: torch device.
        world: the processes of the run, this one alone by default.
        log_every: steps between two lines of the log.
    """

    def __init__(
        self,
        net: StaticNet | QuantisedNet,
        recipe: SingleRecipe,
        train: Images,
        preprocessing: Preprocessing,
        folder: Path,
        *,
        teacher: StaticNet | Teacher | None = None,
        device: str = "cpu",
        world: World | None = None,
        log_every: int | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, folder
        self.world, self.device = world or World(), torch.device(device)
        self.lessons = Lessons(teacher, train) if isinstance(teacher, Teacher) else None
        teacher = None if isinstance(teacher, Teacher) else teacher
        self.model, self.teacher = net, teacher
        self.net = net = net.net if isinstance(net, QuantisedNet) else net
        size = net.subnet.resolution
        self.batches = Batches(
            train, [size], preprocessing, recipe.augment, recipe.batch, recipe.seed, self.world, recipe.balance
        )
        weights = class_weights(train.labels, net.space.num_classes) if recipe.balance == "loss" else None
        self._class_weights = None if weights is None else weights.to(self.device)
        for module in (self.model, teacher):
            if module is not None:
                module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch names no such overload
        self.steps = max(1, round(recipe.epochs * self.batches.per_epoch))
        self._watched = 0
        if isinstance(self.model, QuantisedNet):
            self._watched = round(recipe.watch * self.steps)
            self.model.before_classifier = lambda features: self._noise.features(features) if self._noise else features
        optimizer = make_optimizer(self.model, recipe.momentum, recipe.weight_decay)
        source = f"{net.space.hash[:12]}/{net.subnet.id}/{teacher.subnet.id if teacher else 'alone'}"
        digest = f"{recipe.digest}/{source}/{train.digest[:16]}"
        self._run = Run(self.model, optimizer, folder, digest, self.steps, self.world, log_every)
        self._noise: Noise | None = None
        per_image = FORWARD_BACKWARD * cost.macs(net.space, net.subnet)
        if teacher and recipe.distill:
            per_image += cost.macs(teacher.space, teacher.subnet)
        self._macs_per_step = float(per_image * self.batches.whole_batch)

    @property
    def step(self) -> int:
        """Steps done."""
        return self._run.position.step

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.steps

    @property
    def state(self) -> StaticNet | QuantisedNet:
        """What is trained, as it is after the steps done."""
        return self.model

    @property
    def expected_macs(self) -> float:
        """Multiply-accumulates of the whole run, backward passes and the teacher included."""
        return self._macs_per_step * self.steps

    def resume(self) -> bool:
        """Continue from the folder's checkpoint, if there is one."""
        return self._run.resume()

    def run(
        self, on_step: Callable[[Progress], None] = lambda _: None, save_every: float = 60.0, stop_at: int | None = None
    ) -> StaticNet:
        """Train to the end (or to step `stop_at`); see `Run.go`.

        The network's batch norm statistics are its own at the end: it counts as calibrated then.
        """
        dropout = self.net.get_submodule("classifier").register_forward_pre_hook(self._drop)
        synchronise(self.net, self.world.group)
        try:
            self._run.go(self._take_step, on_step, save_every, stop_at)
        finally:
            dropout.remove()
            synchronise(self.net, None)  # calibration afterwards is one process's own affair
        self.net.calibrated = self._run.position.step == self.steps
        return self.net.eval()

    def _drop(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (self._noise.features(torch.flatten(args[0], 1)),) if self._noise and self.net.training else None

    def _take_step(self, position: Position) -> Progress:
        step, recipe, subnet = position.step, self.recipe, self.net.subnet
        rng = self.batches.generator(step)
        pixels, rows = self.batches.views(step, subnet.resolution, rng)
        x, labels = self.batches.normalised(pixels, subnet.resolution), self.batches.labels[rows]
        x, labels = x.to(self.device), labels.to(self.device)
        whole = self.batches.whole_batch
        self._noise = Noise(int(rng.integers(2**62)), recipe.dropout, 0.0, whole, self.world.rows(recipe.batch))
        lr = self._learning_rate(step)
        set_learning_rate(self._run.optimizer, lr)
        self.model.train()
        self._run.optimizer.zero_grad()
        logits = self._answers(x, step)
        loss = label_loss(logits, labels, recipe.label_smoothing, self._class_weights)
        if self.teacher is not None and recipe.distill:
            with torch.no_grad():
                targets = self.teacher.eval()(x).softmax(1)
            loss = loss + recipe.distill * soft_cross_entropy(logits, targets)
        if self.lessons is not None:
            loss = loss + self.lessons.loss(logits, self.lessons.answers(pixels, rows).to(self.device))
        loss.backward()
        self.world.average_gradients(self.net.parameters())
        accuracy = (logits.detach().argmax(1) == labels).float().mean() * 100
        facts = self.world.average(torch.stack([accuracy, loss.detach()])).tolist()
        return Progress(
            step=step + 1,
            total_steps=self.steps,
            phase="network",
            epoch=(step + 1) // self.batches.per_epoch,
            lr=lr,
            loss=facts[1],
            accuracy=facts[0],
            subnet_losses=(facts[1],),
            macs=position.macs + self._macs_per_step,
            expected_macs=self.expected_macs,
            ends_epoch=(step + 1) % self.batches.per_epoch == 0,
        )

    def _answers(self, x: Tensor, step: int) -> Tensor:
        model = self.model
        if not isinstance(model, QuantisedNet) or step >= self._watched:
            return model(x)  # type: ignore[no-any-return]  # torch types a module's call as Any
        with model.watched():
            logits: Tensor = model(x)
        model.follow(self.world.average)
        return logits

    def _learning_rate(self, step: int) -> float:
        recipe = self.recipe
        warmup = min(self.steps, round(recipe.warmup_epochs * self.batches.per_epoch))
        return recipe.lr * self.batches.whole_batch / recipe.lr_batch * warmup_cosine(step, self.steps, warmup)
