"""What a model file's interface promises to give to its inputs: `NAME.interface.json` beside it, else its metadata."""

from pathlib import Path

from ofa_edge.errors import OfaEdgeError
from ofa_edge.export.inspect.tflite_model import Model
from ofa_edge.export.tflite.metadata import read_metadata
from ofa_edge.files import bounded_text
from ofa_edge.records.interface import INTERFACE, InterfaceRecord, PictureRecord, TensorRecord


def promised_inputs(path: Path, model: Model) -> tuple[TensorRecord, ...]:
    """The inputs as the interface has them; none where nothing says so, or what says so is of another file."""
    for beside in (path.with_suffix(".interface.json"), path.with_name(INTERFACE)):
        if beside.is_file():
            try:
                record = InterfaceRecord.model_validate_json(bounded_text(beside))
            except (OSError, ValueError):
                continue
            if Path(record.file).name == path.name:
                return record.inputs
    return _of_metadata(path, model)


def _of_metadata(path: Path, model: Model) -> tuple[TensorRecord, ...]:
    """An image input by the normalisation in the file's own metadata."""
    inputs = model.subgraphs[0].inputs
    if "TFLITE_METADATA" not in model.metadata or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return ()
    try:
        said = read_metadata(path)
    except OfaEdgeError:
        return ()
    _, height, width, channels = inputs[0].shape
    if not len(said.mean) == len(said.std) == channels or min(height, width) < 1:
        return ()
    try:
        picture = PictureRecord(
            height=height, width=width, channels=channels, order="stored", mean=said.mean, std=said.std, fit="crop"
        )
        stored = {"name": inputs[0].name, "shape": inputs[0].shape, "dtype": inputs[0].kind.lower()}
        return (TensorRecord.model_validate({**stored, "picture": picture}),)
    except ValueError:  # a deviation of zero, or a type that no interface has
        return ()
