"""`inspect --against`: which layers of an int8 TFLite file cost how much on images."""

from pathlib import Path

from ofa_edge.data.dataset import Images
from ofa_edge.data.open import IMAGE_FOLDER, open_dataset
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.data.reading import Reading
from ofa_edge.errors import DataError, UnsupportedError
from ofa_edge.export.inspect.tflite_model import read_model
from ofa_edge.records.blame import BlameRecord
from ofa_edge.supernet import zoo

IMAGES = 200


def blame_file(model: Path, against: Path, data: Path | None = None, images: int = IMAGES) -> BlameRecord:
    """Blame the layers of an int8 file.

    Args:
        model: an int8 TFLite file with metadata, as a build writes it.
        against: the ONNX file that it was made from (a build's `model.onnx`).
        data: an image folder, whose test images are taken; None: the images of the embedded supernet, if its classes
            are the file's.
        images: how many at most, each class in proportion.

    Raises:
        UnsupportedError: the model is no TFLite file that is int8 throughout.
        ModelFileError: the model is not the int8 form of that network, or either file is damaged.
        ConversionError: no metadata, or see `convert.convert`.
        DataError: no images, or they do not fit.
    """
    from ofa_edge.export.tflite.int8_blame import blame, pair_of
    from ofa_edge.export.tflite.metadata import read_metadata

    graph = read_model(model).subgraphs[0]
    if any(each.kind != "INT8" for each in (*graph.inputs, *graph.outputs)):
        raise UnsupportedError(
            f"{model.name} is not int8 throughout",
            f"input {graph.inputs[0].kind.lower()}, output {graph.outputs[0].kind.lower()}",
            "give an artifact of --precision int8: layers of others are not blamed",
        )
    if len(graph.inputs) > 1:
        names = ", ".join(each.name for each in graph.inputs)
        why = f"{names}: images alone are no samples of it"
        raise UnsupportedError(f"{model.name} takes several inputs", why, "ofa-edge verify compares its answers")
    said = read_metadata(model)
    _, size, _, channels = graph.inputs[0].shape
    preprocessing = Preprocessing(size, channels, said.mean, said.std)
    if isinstance(said.facts.get("preprocessing"), dict):
        preprocessing = Preprocessing.from_json(said.facts["preprocessing"])
    chosen = _images(data, said.labels, preprocessing).sample(images)
    labels = chosen.labels if said.labels and said.facts.get("trained", True) else None
    return blame(pair_of(model, against), preprocessing.apply(chosen.pixels), labels)


def _images(folder: Path | None, labels: tuple[str, ...], preprocessing: Preprocessing) -> Images:
    """Test images with the model's own class numbers."""
    if folder is not None:
        data = open_dataset(
            IMAGE_FOLDER,
            folder,
            size=preprocessing.size,
            channels=preprocessing.channels,
            reading=Reading(framing=preprocessing.framing),
        )
        return data.in_order_of(labels).test if labels else data.test
    package = zoo.open_supernet(zoo.DEFAULT)
    if package.labels != labels or package.space.in_channels != preprocessing.channels:
        raise DataError(
            "no images to blame layers on",
            f"the classes of the model are not those of {package.name}, whose images are at hand",
            "give a folder of images with --data: DIR/CLASS/...",
        )
    return package.images("test")
