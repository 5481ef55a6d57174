"""Which test images go into a build's folder, and that none does where the user wants none."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from left import HOW, LABELS, images

from ofa_edge.data.dataset import Samples
from ofa_edge.verify.scoring.base import BadAnswer
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.leave import golden_images
from ofa_edge.workflows.build.worst import worst_photos

DATA = BuildData(
    *[images()] * 3, "ten images", own=True, test_names=tuple(f"val/cat/{number}.png" for number in range(10))
)
WORST = (BadAnswer(7, 0.9, 3, 0), BadAnswer(2, 0.5, 0, 1))


def shown(data=DATA, **options):
    return worst_photos(SimpleNamespace(data=data, options=BuildOptions("host", **options)), LABELS, WORST)


def test_each_photo_has_its_image_its_file_and_its_classes():
    first, second = shown()
    assert np.array_equal(first.pixels, images().pixels[7])
    assert (first.name, first.true, first.answered, first.share) == ("val/cat/7.png", LABELS[3], LABELS[0], 0.9)
    assert (second.name, second.true) == ("val/cat/2.png", LABELS[0])
    assert [each.name for each in shown(replace(DATA, test_names=()))] == ["", ""]


def test_there_are_none_of_what_is_no_image_or_private():
    values = Samples(np.zeros((10, 3, 12, 12), np.float32), np.zeros(10, np.int64))
    assert shown(replace(DATA, test=values)) == []
    assert shown(photos=False) == []


def test_golden_photos_are_made_up_too_where_none_may_leave():
    assert golden_images(DATA, HOW, True)[0] is DATA.test
    made_up, words = golden_images(DATA, HOW, False)
    assert words == "made of random images"
    assert not {each.tobytes() for each in made_up.pixels} & {each.tobytes() for each in DATA.test.pixels}
