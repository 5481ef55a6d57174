"""The images that an artifact answers worst, with what the report says of each."""

from collections.abc import Sequence

from ofa_edge.data.dataset import Images
from ofa_edge.report.worst import WorstPhoto
from ofa_edge.verify.scoring.base import BadAnswer
from ofa_edge.workflows.build.base import Plan


def worst_photos(plan: Plan, labels: Sequence[str], worst: Sequence[BadAnswer]) -> list[WorstPhoto]:
    """Photos of bad answers; none where the user wants none in the folder, or the network takes no images."""
    data = plan.data
    if not plan.options.photos or not isinstance(data.test, Images):
        return []
    return [
        WorstPhoto(
            data.test.pixels[each.image],
            each.share,
            data.test_names[each.image] if data.test_names else "",
            "" if each.true is None else labels[each.true],
            "" if each.answered is None else labels[each.answered],
        )
        for each in worst
    ]
