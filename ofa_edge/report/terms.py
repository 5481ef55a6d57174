"""The words of the pages that not everybody knows: shown where the pointer rests on one, and in a legend at the end."""

from markupsafe import Markup, escape

from ofa_edge.report.svg import shown_text

TERMS = {
    "SNR": "Signal to noise: how large the outputs are beside what this step changed in them. 60 dB is a thousandth.",
    "max |diff|": "The largest difference of any one output number from the rung it is held against.",
    "rung": "One step of the way from the trained network to the file on the device; each answers the same images.",
    "same top-1": "The share of images for which the first choice is that of the rung before.",
    "top-1": "The share of test images whose first choice is the right class.",
    "balanced": "The mean over classes of the share of a class's images that are right: small classes count as much.",
    "mAP": "The mean over classes, and over overlaps from 0.50 to 0.95, of average precision, as COCO defines it.",
    "mIoU": "The mean over classes of intersection over union, of all pixels.",
    "MACs": "Multiplications with an addition: how much there is to compute. It is not a time.",
    "p50": "The median: half of the runs were faster.",
    "p90": "Nine of ten runs were faster.",
    "predicted": "What a latency model says of the target. Nothing was run for it; the interval says how sure it is.",
    "emulated": "Run on a simulated processor: the answers are the device's, times would say nothing.",
    "verdict": "pass: inside its limit. fail: outside. unverified: not found out. inconclusive: the device failed.",
    "95 % interval": "Where the true value lies in 95 of 100 such measurements.",
}


_OF_ACCURACY = ("same top-1", "top-1", "balanced", "mAP", "mIoU")


def legend(metric: str, uneven: bool) -> dict[str, str]:
    """The words of a page that shows this metric, and the balanced one where classes are uneven."""
    shown = {metric, *(["same top-1"] if metric == "top-1" else []), *(["balanced"] if uneven else [])}
    return {name: meaning for name, meaning in TERMS.items() if name not in _OF_ACCURACY or name in shown}


def term(name: str, shown: str | None = None) -> Markup:
    """A word with its meaning behind it, if it has one; `shown` where it stands in other letters."""
    if name not in TERMS:
        return escape(shown_text(shown or name))
    return Markup('<abbr title="{}">{}</abbr>').format(TERMS[name], shown or name)
