"""An ONNX file that says what goes in and what comes out: its interface as an entry of its metadata."""

from pathlib import Path

from ofa_edge.files import canonical_json, write_bytes
from ofa_edge.records.interface import ONNX_KEY, InterfaceRecord


def describe(path: Path, interface: InterfaceRecord) -> None:
    """Write the interface into a file, in place of one that it has. The same arguments give the same bytes."""
    import onnx

    model = onnx.load(path)
    kept = [each for each in model.metadata_props if each.key != ONNX_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=ONNX_KEY, value=canonical_json(interface.model_dump(mode="json")).decode())
    write_bytes(path, model.SerializeToString(deterministic=True))


def described(path: Path) -> InterfaceRecord | None:
    """The interface that a file says of itself; None where it says none. Raises ValidationError for another schema."""
    import onnx

    entries = onnx.load(path, load_external_data=False).metadata_props
    said = next((each.value for each in entries if each.key == ONNX_KEY), None)
    return None if said is None else InterfaceRecord.model_validate_json(said)
