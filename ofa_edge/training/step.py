"""What one step computes from its batch: by the recipe, or by a function of the user's own in its place.

The trainer does the rest: it draws images and subnets, clears gradients, averages them over processes, clips them, sets
the learning rate and moves the weights.
"""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ofa_edge.errors import ConfigError, TrainingError
from ofa_edge.space import Subnet
from ofa_edge.supernet.network import Supernet
from ofa_edge.supernet.noise import Noise
from ofa_edge.training.balance import label_loss
from ofa_edge.training.losses import alpha_divergence, soft_cross_entropy
from ofa_edge.training.plan import PhasePlan
from ofa_edge.training.recipe import Recipe


@dataclass
class TrainingStep:
    """One step before its gradients are known.

    Attributes:
        supernet: in training mode, without gradients.
        images: of this process, normalised and augmented: [N, C, r, r].
        labels: their class numbers: [N].
        subnets: drawn for this step, in the order of the phase's `subnets`; of resolution r.
        part: the phase.
        number: of the step, in its phase.
        recipe: of the run.
        class_weights: of labels, [classes], where the recipe's balance is `loss`.
        teacher: the frozen full network, where the phase learns from it.
        noise: the random regularisation of the subnet of an index.
        taught: logits -> how far they are from what the run's [teacher] says of these images, weighted: a scalar.
    """

    supernet: Supernet
    images: Tensor
    labels: Tensor
    subnets: tuple[Subnet, ...]
    part: PhasePlan
    number: int
    recipe: Recipe
    class_weights: Tensor | None
    teacher: nn.Module | None
    noise: Callable[[int], Noise]
    taught: Callable[[Tensor], Tensor] | None = None
    _first: Tensor | None = field(default=None, init=False)

    def logits(self, index: int) -> Tensor:
        """Run the subnet of that index, regularised as the recipe says: float32 [N, classes]."""
        with self._autocast():
            logits: Tensor = self.supernet(
                self.images, self.subnets[index], self.noise(index) if self._regularised(index) else None
            )
        logits = logits.float() if self.recipe.amp else logits
        if index == 0:
            self._first = logits.detach()
        return logits

    def label_loss(self, index: int, logits: Tensor) -> Tensor:
        """Cross entropy with the labels, smoothed and weighted as the recipe says, and with its [teacher]: a scalar."""
        smoothing = self.recipe.label_smoothing if self._regularised(index) else 0.0
        loss = label_loss(logits, self.labels, smoothing, self.class_weights)
        return loss if self.taught is None else loss + self.taught(logits)

    def teacher_targets(self) -> Tensor | None:
        """The frozen teacher's probabilities [N, classes], where the phase has one."""
        if self.teacher is None:
            return None
        self.teacher.train()  # batch statistics, as in the reference
        with torch.no_grad(), self._autocast():
            logits: Tensor = self.teacher(self.images)
        return (logits.float() if self.recipe.amp else logits).softmax(1)

    def backward(self, index: int, loss: Tensor) -> Tensor:
        """Add a subnet's gradients, by its weight in the phase; the loss without its graph."""
        largest = self.part.phase.subnets[index] == "largest"
        weight = 1.0 if largest else self.part.subnet_weight(self.number)
        (weight * loss).backward()
        return loss.detach()

    def accuracy(self) -> Tensor:
        """Of the first subnet on this batch, in percent. Raises TrainingError where it was not run."""
        if self._first is None:
            raise TrainingError(
                "the training step did not run its first subnet",
                "the accuracy in the log is that subnet's, and `logits(0)` was not called",
                "call step.logits(index) for every subnet of the step",
            )
        return (self._first.argmax(1) == self.labels).float().mean() * 100

    def _regularised(self, index: int) -> bool:
        return self.recipe.regularise == "all" or self.part.phase.subnets[index] == "largest"

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.recipe.amp)


StepFunction = Callable[[TrainingStep], Sequence[Tensor]]  # adds up gradients; the loss of each subnet, a scalar each


def recipe_step(step: TrainingStep) -> list[Tensor]:
    """Sum the gradients of all subnets as the phase says; their losses."""
    phase = step.part.phase
    targets = step.teacher_targets()
    losses: list[Tensor] = []
    for index, choice in enumerate(phase.subnets):
        logits = step.logits(index)
        on_labels = step.label_loss(index, logits)
        if phase.distill == "largest" and choice == "largest":
            loss, targets = on_labels, logits.detach().softmax(1)
        elif targets is None:
            loss = on_labels
        else:
            distance = alpha_divergence if phase.divergence == "alpha" else soft_cross_entropy
            loss = distance(logits, targets) + (on_labels if phase.labels else 0.0)
        losses.append(step.backward(index, loss))
    return losses


def step_identity(function: StepFunction) -> str:
    """Name and digest of a step function's source: a run goes on only with the one that it began with.

    What the function calls, and values that it closes over, are not in it.

    Raises:
        ConfigError: its source cannot be read.
    """
    try:
        source = inspect.getsource(function)
        name = f"{function.__module__}.{function.__qualname__}"
    except (OSError, TypeError, AttributeError) as error:
        raise ConfigError(
            "the training step has no source",
            f"{function!r}: {error}; a run records what trained it",
            "define it with def in a file or a notebook's cell",
        ) from error
    return f"{name} {hashlib.sha256(source.encode()).hexdigest()}"
