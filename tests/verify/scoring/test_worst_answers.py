"""Which answers are the worst, of every task: by hand."""

import numpy as np

from ofa_edge.data.annotations import UNLABELLED, Boxes, Masks
from ofa_edge.data.decoding import Decoding
from ofa_edge.verify.scoring import TopOne
from ofa_edge.verify.scoring.base import BadAnswer
from ofa_edge.verify.scoring.detection import MeanAveragePrecision
from ofa_edge.verify.scoring.segmentation import MeanIou


def test_of_a_classifier_the_most_certain_of_the_wrong():
    logits = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.05, 0.95]]))
    scorer = TopOne(np.array([0, 0, 0, 0]), 2)
    found = scorer.worst(logits, 2)
    assert [(each.image, each.true, each.answered) for each in found] == [(3, 0, 1), (1, 0, 1)]
    assert [each.image for each in scorer.worst(logits, 9)] == [3, 1, 2]
    probabilities = np.exp(logits)  # a network that ends in a softmax
    assert [round(each.share, 9) for each in scorer.worst(probabilities, 9)] == [0.95, 0.8, 0.6]


def test_no_answer_is_none_that_is_certain():
    assert TopOne(np.array([0, 0]), 2).worst(np.array([[np.nan, 1.0], [1.0, 0.0]]), 5) == ()


def test_of_a_segmenter_the_fewest_pixels():
    truth = np.zeros((3, 2, 2), np.uint8)
    truth[1, 0, 0] = UNLABELLED
    answers = np.zeros((3, 2, 2, 2), np.float32)  # [N, C, h, w]
    answers[:, 0] = 1
    answers[0, 1, 0, 0] = 2  # one of four is wrong
    answers[1, 1, :, 1] = 2  # two of three
    found = MeanIou(Masks(truth), ["a", "b"], (1, 2, 2, 2)).worst(answers.reshape(3, -1), 5)
    assert found == (BadAnswer(1, 1 / 3), BadAnswer(0, 0.75))


def test_of_a_detector_the_fewest_objects():
    decoding = Decoding.of("end-to-end", [(1, 300, 6)], 3, (200, 200))
    box, frame = [10.0, 10.0, 50.0, 50.0], np.tile([0.0, 0.0, 99.0, 99.0], (4, 1))
    truth = Boxes(
        np.array([0, 1, 1, 2]),
        np.array([box] * 2 + [[60.0, 60, 90, 90], box]),
        np.zeros(4, np.int64),
        np.zeros(4, bool),
        frame,
    )
    answers = np.zeros((4, 300, 6), np.float32)
    for image in (1, 2):  # of the two of image 1 one is found; image 3 has none
        answers[image, 0] = [*box, 0.9, 0]
    assert MeanAveragePrecision(truth, ["a"], decoding).worst(answers.reshape(4, -1), 5) == (
        BadAnswer(0, 0.0),
        BadAnswer(1, 0.5),
    )
