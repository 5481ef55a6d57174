"""What all records of a manifest are made of: frozen, strict, and with values that are checked where they come in."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ofa_edge.files import canonical_json
from ofa_edge.schema import Strict


def _plain(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")
    plain: dict[str, Any] = json.loads(canonical_json(dict(value)))  # tuples come back from a file as lists
    return plain


JsonObject = Annotated[dict[str, Any], BeforeValidator(_plain)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
ReasonCode = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Record(Strict):
    """Base of all parts."""
