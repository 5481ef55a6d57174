"""Under what terms a network's weights, and the data that they were trained on, are given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ofa_edge.errors import ConfigError
from ofa_edge.files import bounded_text, parse_json
from ofa_edge.records.base import Record
from ofa_edge.schema import validated

UNSTATED = "not stated"
LICENCES = "licences.json"  # beside a package's weights
_HINT = '{"weights": "a licence", "data": "a licence"}'
_METADATA = ("licence", "license")  # as ONNX files of others say it

Words = Annotated[str, Field(min_length=1, max_length=500)]


class Licences(Record):
    """What is said of them: a name, or a sentence. "not stated" is no permission."""

    weights: Words = UNSTATED
    data: Words = UNSTATED


def read_licences(path: Path) -> Licences:
    """Those of a package; "not stated" where it has no such file. Raises ConfigError for one that is damaged."""
    if not path.is_file():
        return Licences()
    try:
        values = parse_json(bounded_text(path))
    except (OSError, ValueError) as error:
        raise ConfigError("damaged licences", f"{path}: {error}", _HINT) from error
    return validated(Licences, values, f"licences {path.name}", path, _HINT)


def handed_on(found: Licences, source: str) -> Licences:
    """Those of weights that training went on from, with other data."""
    return Licences() if found.weights == UNSTATED else Licences(weights=f"made from '{source}': {found.weights}"[:500])


def said_licences(metadata: Mapping[str, str]) -> Licences:
    """Those that a model file says of its weights."""
    said = next((metadata[key].strip() for key in _METADATA if metadata.get(key, "").strip()), None)
    return Licences() if said is None else Licences(weights=said[:500])
