"""The steps of a network that was trained for integers: how each of its values is stored."""

from typing import Annotated, Literal

from pydantic import Field

from ofa_edge.files import canonical_json, sha256_bytes
from ofa_edge.records.base import Record


class StepsRecord(Record):
    """How a value is stored: real = (integer - zero) * scale, integers of int8."""

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    zero: Annotated[int, Field(ge=-128, le=127)]

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest value that can be stored."""
        return (-128 - self.zero) * self.scale, (127 - self.zero) * self.scale


class RangesRecord(Record):
    """Steps that training settled, by the names of values in the network's ONNX file.

    Weights have none: theirs follow from the weights, one scale an output channel, the largest at 127.

    Attributes:
        precision: that the network was trained for.
        values: the input, and each result that is rounded.
    """

    precision: Literal["int8"]
    values: dict[str, StepsRecord] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))
