"""What a teacher says during a run: of each view, or once of each image."""

import numpy as np
import pytest
import torch

from ofa_edge.data.dataset import Images
from ofa_edge.training.losses import soft_cross_entropy, taught_loss
from ofa_edge.training.recipe import TeacherRecipe
from ofa_edge.training.teacher import Lessons, Teacher


class Brightness:
    """Two logits by the mean of an image; counts how many images it was asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, pixels):
        self.asked += len(pixels)
        mean = pixels.mean((1, 2, 3)).astype(np.float32)
        return np.stack([mean, -mean], axis=1)


@pytest.fixture
def images():
    levels = np.array([0, 50, 100, 200], np.uint8)
    return Images(np.broadcast_to(levels[:, None, None, None], (4, 6, 6, 1)).copy(), np.array([0, 0, 1, 1]))


@pytest.mark.parametrize(("views", "asked", "first"), [("each", 6, 210.0), ("stored", 4, 200.0)])
def test_it_is_asked_of_views_or_of_images_once(images, views, asked, first):
    teacher = Teacher(TeacherRecipe(views=views), Brightness())
    lessons = Lessons(teacher, images)
    rows = np.array([3, 1])
    shown = images.pixels[rows] + np.uint8(10)  # as if made brighter
    for _ in range(3):
        answers = lessons.answers(shown, rows)
    assert teacher.ask.asked == asked
    assert answers[0].tolist() == [first, -first]


def test_its_weight_and_temperature_count(images):
    logits, answers = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, 0.0]])
    lessons = Lessons(Teacher(TeacherRecipe(weight=2.5, temperature=4.0), Brightness()), images)
    assert lessons.loss(logits, answers) == pytest.approx(2.5 * float(taught_loss(logits, answers, 4.0)))


def test_the_loss_is_least_where_the_network_says_the_same():
    answers = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    for temperature in (1.0, 4.0):
        logits = answers.clone().requires_grad_()
        taught_loss(logits, answers, temperature).backward()
        assert logits.grad.abs().max() < 1e-6
    other = answers.roll(1, 1)
    assert torch.equal(taught_loss(other, answers, 1.0), soft_cross_entropy(other, answers.softmax(1)))


def test_gradients_keep_their_size_at_any_temperature():
    answers = torch.tensor([[0.2, -0.1, -0.1]])
    sizes = []
    for temperature in (4.0, 64.0):
        logits = torch.zeros(1, 3, requires_grad=True)
        taught_loss(logits, answers, temperature).backward()
        sizes.append(float(logits.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
