"""The 77 networks that were timed on phones (phones_tflite_2_10.csv), as lists of operators.

    pip install pytorchcv==0.0.67
    python benchmarks/phone_networks.py names.txt     writes benchmarks/phone_networks.json

They are pytorchcv's with random weights, exported to ONNX and read as `ofa-edge predict` reads any file; padding is
left out, which TFLite's convolutions do themselves. The file has a line for each network, so that a fit needs no torch.
"""

import dataclasses
import json
import re
import sys
import tempfile
from pathlib import Path

from ofa_edge.cost import Operator
from ofa_edge.latency.onnx_operators import read_operators

FILE = Path(__file__).with_suffix(".json")
_FIELDS = [field.name for field in dataclasses.fields(Operator)]
_PLAIN = {field.name: field.default for field in dataclasses.fields(Operator)}
# One family each: what differs is width, depth, or a detail that no term of ours knows.
_FAMILIES = {
    "mobilenet": "mobilenet_v1",
    "mobilenetb": "mobilenet_v1",
    "mobilenetv": "mobilenet_v2",
    "preresnet": "resnet",
    "preresnetbc": "resnet",
    "resnetbc": "resnet",
    "seresnet": "resnet",
    "sepreresnet": "resnet",
    "squeezeresnet": "squeezenet",
}


def family_of(name: str) -> str:
    """To which family of networks a name of pytorchcv's belongs."""
    found = re.match("[a-z]+", name)
    assert found is not None, name
    return _FAMILIES.get(found[0], found[0])


def networks() -> dict[str, tuple[Operator, ...]]:
    """All of them by name."""
    lines = json.loads(FILE.read_text())["networks"]
    return {name: tuple(Operator(**row) for row in rows) for name, rows in lines.items()}


def _export(name: str, folder: Path) -> tuple[Operator, ...]:
    import torch
    from pytorchcv.model_provider import get_model

    path = folder / "net.onnx"
    net = get_model(name, pretrained=False).eval()
    torch.onnx.export(net, (torch.zeros(1, 3, 224, 224),), path, dynamo=False, opset_version=17)
    return tuple(item.operator for item in read_operators(path).operators if item.op != "Pad")


def _row(operator: Operator) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(operator).items() if value != _PLAIN[name]}


def write(found: dict[str, tuple[Operator, ...]]) -> None:
    """Write the file."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps([*map(_row, rows)])}" for name, rows in sorted(found.items()))
    FILE.write_text(f'{{"command": "python benchmarks/phone_networks.py", "networks": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        write({name: _export(name, Path(folder)) for name in Path(sys.argv[1]).read_text().split()})
