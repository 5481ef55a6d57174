"""The int8 form of a static network, with depthwise kernels split as TFLite's conversion splits them."""

from collections.abc import Iterable

from torch import Tensor

from ofa_edge.errors import WeightsError
from ofa_edge.export.tflite.rewrites.split_depthwise import parts_of
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.supernet.static import StaticNet
from ofa_edge.training.quantised import QuantisedNet, Taps


def _split(kernel: int, size: tuple[int, int]) -> list[Taps]:
    return [Taps(tag, tuple(rows), tuple(columns)) for tag, rows, columns in parts_of(kernel, size)]


def calibrated_form(net: StaticNet, batches: Iterable[Tensor]) -> QuantisedNet:
    """The int8 form with ranges of training images [N, C, H, W]. Raises UnsupportedError for a layer without one."""
    form = QuantisedNet(net, _split)
    form.calibrate(batches)
    return form


def settled_form(net: StaticNet, ranges: RangesRecord) -> QuantisedNet:
    """The int8 form with the ranges of its training. Raises WeightsError where they are another network's."""
    form = QuantisedNet(net, _split)
    try:
        form.take(ranges)
    except KeyError as error:
        raise WeightsError(
            "the ranges beside the weights are another network's",
            f"value {error} has none",
            "fine-tune it again with --qat, by this version of ofa-edge",
        ) from error
    return form.eval()
