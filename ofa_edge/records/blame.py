"""What each layer of an int8 file costs: the record that `inspect --against`, manifests and reports show."""

from typing import Annotated

from pydantic import Field

from ofa_edge.records.base import Finite, NotNegative, Record


class LayerBlame(Record):
    """One layer, rounded as the int8 file rounds it while all others stay fp32.

    Attributes:
        layer: the ONNX node, or "input".
        operators: of the TFLite file that it became.
        snr_db: of the network's answers, beside the fp32 network's; 999 where nothing differs.
        share: power of that noise over the power of the whole file's. Shares need not add up to 1: what the layers
            round may cancel or amplify each other.
        top1_drop: fraction of 1 that it costs alone; None without labels.
    """

    layer: str
    operators: tuple[str, ...]
    snr_db: Finite
    share: NotNegative
    top1_drop: Finite | None = None


class BlameRecord(Record):
    """An int8 file beside its fp32 network, layer by layer.

    Attributes:
        images: on how many.
        snr_db: of the whole file's answers.
        added_db: what it would be if the noise of the layers only added up.
        top1_drop: of the whole file; None without labels.
        layers: all of them, the worst first.
    """

    images: Annotated[int, Field(ge=1)]
    snr_db: Finite
    added_db: Finite
    top1_drop: Finite | None = None
    layers: tuple[LayerBlame, ...]
