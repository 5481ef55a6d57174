"""What a sample of images can say about a drop in accuracy: above the floor, below it, or neither.

A share of two top-1 figures knows nothing of how many images stand behind it: 14 images lost and 7 won of 600 are 1.2
points, and as likely chance as loss. So every gate on accuracy asks the paired 95 % interval of the drop (Newcombe's
method 10, `metrics.paired_drop`) on which side of what is allowed it lies.
"""

import math
from dataclasses import dataclass
from typing import Literal

from ofa_edge.metrics import PairedDrop, images_to_tell, wilson95
from ofa_edge.records.manifest import DropRecord

_MOST_IMAGES = 10_000_000
FLOOR = 0.98  # of the reference's top-1 (MLPerf Mobile's lenient quality target)


@dataclass(frozen=True)
class Judgement:
    """A drop held against what is allowed.

    Attributes:
        outcome: `fail` where the interval lies above what is allowed, `pass` where it lies below, else `unverified`.
        words: the drop, its interval, and how many images would tell where these do not.
    """

    outcome: Literal["pass", "fail", "unverified"]
    words: str


def judge_drop(drop: DropRecord | PairedDrop, reference: float, allowed: float) -> Judgement:
    """Hold a drop of accuracy against what is allowed.

    Args:
        drop: what a candidate loses against its reference on the same images.
        reference: the reference's accuracy on them, 0..1.
        allowed: the largest drop that is allowed, 0..1.
    """
    words = f"drop {100 * drop.drop:.2f} points ({100 * drop.low95:+.2f} .. {100 * drop.high95:+.2f} at 95 %)"
    words = f"{words}, {100 * allowed:.2f} allowed"
    if drop.low95 > allowed:
        return Judgement("fail", words)
    if drop.high95 <= allowed:
        return Judgement("pass", words)
    if isinstance(drop, DropRecord) and drop.metric != "top-1":
        enough = _enough(drop, reference, allowed)
    else:
        enough = images_to_tell(reference, drop.lost, drop.won, drop.images, allowed)
    more = f"about {enough:,} would" if enough else "no number of images like these would"
    return Judgement("unverified", f"{drop.images:,} images cannot tell, {more}: {words}")


def _enough(drop: DropRecord, reference: float, allowed: float) -> int | None:
    """About how many images would tell, to two figures, where single images are not right or wrong.

    An interval that is as wide as what no image showed narrows with their number, any other with its root (see
    `scoring.resampling`).
    """
    away = abs(drop.drop - allowed)
    if not away:
        return None
    reach = drop.high95 - drop.drop if allowed > drop.drop else drop.drop - drop.low95
    if reach <= 1.01 * wilson95(0, drop.images)[1] * reference:
        wanted = drop.images * reach / away
    else:
        wanted = drop.images * max(reach / away, 1.0) ** 2
    unit = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return math.ceil(wanted / unit) * unit if wanted <= _MOST_IMAGES else None
