"""`bundle.json`: what the app's assets hold, with digests. The app shows its facts and checks every digest.

How an image becomes a model's input is not here: the app reads that from the model's own metadata.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from ofa_edge import __version__
from ofa_edge.bundle.names import check_name
from ofa_edge.errors import ConfigError, UsageError
from ofa_edge.files import pretty_json, read_regular
from ofa_edge.names import RelativePath
from ofa_edge.records.base import Count, Digest, Fraction, NotNegative, Positive, Record
from ofa_edge.schema import explain
from ofa_edge.vocabulary import Precision, ProvenanceKind

BUNDLE = "bundle.json"  # written last
_LARGEST = 64_000_000  # bytes


def _named(name: str) -> str:
    try:
        return check_name(name)
    except UsageError as error:
        raise ValueError(error.what) from error


Name = Annotated[str, AfterValidator(_named)]
AtLeastOne = Annotated[int, Field(ge=1)]


class Predicted(Record):
    """Milliseconds of the target's latency model with its 90 % interval."""

    ms: Positive
    low90: NotNegative
    high90: Positive
    provenance: ProvenanceKind


class Measured(Record):
    """Milliseconds on hardware; an emulated device has none."""

    p50: Positive
    p90: Positive
    device: str
    kind: Literal["physical"] = "physical"


class ModelEntry(Record):
    """One model of the app."""

    name: Name
    file: RelativePath
    sha256: Digest
    size: Count
    labels: RelativePath
    labels_sha256: Digest
    classes: AtLeastOne
    precision: Precision
    target: str
    network: str  # the subnet's id, or the start of the ONNX file's digest
    resolution: AtLeastOne
    channels: AtLeastOne
    macs: Count
    params: Count
    source: str  # of the network: a supernet, a package or a file
    trained: bool
    verified: bool  # parity and accuracy passed
    manifest_sha256: Digest  # of the build's manifest.json
    top1: Fraction | None = None
    top1_images: Count = 0
    predicted_ms: Predicted | None = None
    measured_ms: Measured | None = None
    threads: AtLeastOne
    samples: Name | None = None

    @model_validator(mode="after")
    def _in_its_folder(self) -> Self:
        if (self.file, self.labels) != model_paths(self.name):
            raise ValueError(f"model '{self.name}' lies elsewhere: {self.file}, {self.labels}")
        return self


class SampleEntry(Record):
    """Labelled images: raw pixels uint8 [count, height, width, channels], and a label for each.

    Labels are single bytes, or two bytes, little endian, where there are more than 256 classes.
    """

    name: Name
    source: str
    classes: AtLeastOne
    file: RelativePath
    sha256: Digest
    size: Count
    labels_file: RelativePath
    labels_sha256: Digest
    count: AtLeastOne
    height: AtLeastOne
    width: AtLeastOne
    channels: AtLeastOne

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.file, self.labels_file) != sample_paths(self.name):
            raise ValueError(f"samples '{self.name}' lie elsewhere: {self.file}, {self.labels_file}")
        if self.size != self.count * self.height * self.width * self.channels:
            raise ValueError(f"samples '{self.name}' have another size than their shape: {self.size}")
        return self


class Bundle(Record):
    """All that is bundled, in the order of names."""

    model_config = ConfigDict(validate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    ofa_edge: str = __version__
    models: tuple[ModelEntry, ...] = ()
    samples: tuple[SampleEntry, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind, names in (("models", self.names), ("samples", tuple(item.name for item in self.samples))):
            if len(set(names)) != len(names):
                raise ValueError(f"two {kind} of one name: {', '.join(names)}")
        known = {item.name: item for item in self.samples}
        for model in self.models:
            if model.samples is not None and model.samples not in known:
                raise ValueError(f"model '{model.name}' wants samples '{model.samples}', which are not there")
            if model.samples is not None and known[model.samples].classes != model.classes:
                raise ValueError(f"model '{model.name}' and its samples have different numbers of classes")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(model.name for model in self.models)

    def files(self) -> dict[str, str]:
        """Every file beside `bundle.json`: path to SHA-256."""
        found: dict[str, str] = {}
        for model in self.models:
            found |= {model.file: model.sha256, model.labels: model.labels_sha256}
        for item in self.samples:
            found |= {item.file: item.sha256, item.labels_file: item.labels_sha256}
        return found

    def to_bytes(self) -> bytes:
        """The file; the same bundle gives the same bytes."""
        return pretty_json(self.model_dump(mode="json", by_alias=True))


def model_paths(name: str) -> tuple[str, str]:
    """Where a model and its labels lie among the assets."""
    return f"models/{name}/model.tflite", f"models/{name}/labels.txt"


def sample_paths(name: str) -> tuple[str, str]:
    """Where sample images and their labels lie among the assets."""
    return f"samples/{name}/images.bin", f"samples/{name}/labels.bin"


def read_bundle(assets: Path) -> Bundle:
    """What is bundled; empty where there is no `bundle.json`.

    Raises:
        ConfigError: the file is damaged or of another version.
    """
    path = assets / BUNDLE
    if not path.is_file():
        return Bundle()
    try:
        return Bundle.model_validate_json(read_regular(path, _LARGEST))
    except ValidationError as error:
        raise ConfigError(
            "not a bundle of this version",
            f"{path}: {explain(error, Bundle)}",
            f"remove {assets}, which holds nothing but bundled files, and bundle again",
        ) from error
