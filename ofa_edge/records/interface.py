"""What goes into an artifact and what comes out, as programs without ofa-edge read it: `model.interface.json`.

The same record stands in the manifest, in the metadata of the ONNX file, and beside the artifact. docs/artifact.md says
what each field means.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ofa_edge.names import RelativePath
from ofa_edge.records.base import Finite, JsonObject, Positive, Record
from ofa_edge.vocabulary import Filter, Fit, Task

INTERFACE = "model.interface.json"
ONNX_KEY = "ofa_edge.interface"  # of the entry in an ONNX file's metadata

Size = Annotated[int, Field(ge=1)]
Layout = Literal["NCHW", "NHWC"]
Type = Literal["float32", "int8", "uint8", "int16", "int32", "int64", "bool"]


class StepsRecord(Record):
    """How a tensor of integers stores real numbers: real = (stored - zero_point) * scale."""

    scale: Positive
    zero_point: int


class PictureRecord(Record):
    """How a photo becomes an input: fit, resize, order, then by channel (pixel - mean) / std.

    Attributes:
        height, width: of the input, in pixels.
        channels: values a pixel.
        order: of the channels; "stored" where they are neither grey nor three colours.
        value_range: of a pixel before it is normalised.
        mean, std: by channel, of pixels 0..255.
        fit: how a photo of another shape comes into the frame.
        fill: grey of the bars of a letterbox.
        filter: that shrinks and enlarges: a triangle, widened when shrinking, rounded half up to whole pixels; or
            Pillow's of that name, where a network was evaluated with it.
        share: of a crop's side that is kept, from the middle: it is resized to `height / share` first.
        boxed: a photo of so many times the size or more is averaged over boxes to twice the size first.
    """

    height: Size
    width: Size
    channels: Size
    order: Literal["RGB", "grey", "stored"]
    value_range: tuple[int, int] = (0, 255)
    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]
    fit: Fit
    fill: Annotated[int, Field(ge=0, le=255)] | None = None
    filter: Literal["triangle"] | Filter = "triangle"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    boxed: Size = 4

    @model_validator(mode="after")
    def _by_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std have one value for each channel")
        return self


class TensorRecord(Record):
    """One input or output as the file has it.

    Attributes:
        name: in the file.
        shape: batch 1 where it has one.
        dtype: of what is stored.
        layout: of four dimensions that are an image or a map.
        steps: of integers.
        picture: how a photo becomes this input, where it is one.
        threshold: of a segmenter's score that stands alone.
    """

    name: str
    shape: tuple[Size, ...]
    dtype: Type = "float32"
    layout: Layout | None = None
    steps: StepsRecord | None = None
    picture: PictureRecord | None = None
    threshold: Finite | None = None


class InterfaceRecord(Record):
    """The interface of one file.

    Attributes:
        interface: version of this schema.
        file: that it is of, relative to the folder of the record.
        task: what the outputs say.
        inputs, outputs: in the file's order.
        labels: the classes, by number; none of a network that only gives features.
        decoding: how a detector's outputs become boxes (`Decoding.to_json`).
    """

    interface: Literal[1] = 1
    file: RelativePath
    task: Task
    inputs: tuple[TensorRecord, ...] = Field(min_length=1)
    outputs: tuple[TensorRecord, ...] = Field(min_length=1)
    labels: tuple[str, ...] = ()
    decoding: JsonObject | None = None

    @property
    def picture(self) -> PictureRecord | None:
        """Of its one image, if it takes one."""
        return self.inputs[0].picture
