"""What a manifest says of the network: its interface, and the supernet and subnet that it may be of."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator

from ofa_edge import cost
from ofa_edge.records.base import Count, Digest, Finite, JsonObject, Record
from ofa_edge.records.licences import Licences
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.space import Space, Subnet
from ofa_edge.vocabulary import FITS, NetworkKind, PictureKind, Task


class SupernetRecord(Record):
    """The supernet that the subnet was cut from."""

    name: str
    space: JsonObject  # Space.to_json()
    space_hash: Digest


class SubnetRecord(Record):
    """One subnet, drawn in the report block by block."""

    id: str
    stages: tuple[tuple[tuple[int, int | float], ...], ...]  # per stage, per kept block: (kernel, expand ratio)
    resolution: int
    widths: tuple[float, ...] = ()  # ratio of each elastic width, where the space has them
    macs: Count
    params: Count

    @classmethod
    def of(cls, space: Space, subnet: Subnet) -> Self:
        """Describe a subnet of `space`."""
        return cls(
            id=subnet.id,
            stages=subnet.stages,
            resolution=subnet.resolution,
            widths=subnet.widths,
            macs=cost.macs(space, subnet),
            params=cost.params(space, subnet),
        )


class InputRecord(Record):
    """What goes into the network; where it is an image, its layout, and how an image becomes it."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    layout: Literal["NCHW"] | None
    dtype: Literal["float32"]
    preprocessing: JsonObject | None  # Preprocessing.to_json()

    @field_validator("preprocessing")
    @classmethod
    def _shows(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        """What every reader of it shows has to be there."""
        if value is not None:
            for name in ("mean", "std"):
                numbers = value.get(name)
                if not isinstance(numbers, list) or not all(isinstance(each, int | float) for each in numbers):
                    raise ValueError(f"{name} has to be a list of numbers")
            if value.get("fit", "crop") not in FITS:
                raise ValueError(f"no fit {value.get('fit')!r}")
        return value


class OutputRecord(Record):
    """What comes out; the names of classes are in the file of role "labels", by number."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    task: Task
    layout: Literal["NCHW", "NHWC"] = "NCHW"  # of a segmenter
    threshold: Finite = 0.0  # of a segmenter of one score


class NetworkRecord(Record):
    """The network that was converted: its ONNX file by digest, its interface, where it came from.

    Attributes:
        kind: "subnet", "network" (one network of a package), or "file" (a model file).
        source: name of the supernet, package or file.
        sha256: of the ONNX file.
        macs: multiply-accumulates of one inference; 0 where they could not be counted.
        params: numbers in its weights.
        inputs, outputs: its interface.
        trained: whether its weights are.
        licences: of its weights, and of the data that they were trained on.
        dataset: what its accuracy was measured on.
        pictures: kinds of the random images that a given network was tried on.
        decoding: how a detector's outputs become boxes.
        ranges: that its training settled for int8 artifacts, if it was trained for them.
        changes: what was done to a given file before anything was made of it.
        assumed: what a given file does not say and nobody gave, a sentence each.
    """

    kind: NetworkKind
    source: str
    sha256: Digest
    macs: Count
    params: Count
    inputs: tuple[InputRecord, ...] = Field(min_length=1)
    outputs: tuple[OutputRecord, ...] = Field(min_length=1)
    trained: bool
    licences: Licences = Licences()
    dataset: str | None = None
    pictures: tuple[PictureKind, ...] = ()
    decoding: JsonObject | None = None  # Decoding.to_json()
    ranges: RangesRecord | None = None
    changes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
