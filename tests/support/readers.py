"""Every way by which something from outside comes into ofa-edge, each with small valid files: for the fuzzer."""

import io
import json
import struct
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from data_readers import data_readers
from device_readers import device_readers
from fuzzing import Reader, seeds
from manifests import SPACE, SUBNET, manifest
from nights import accuracy, night, series
from onnx_text import save_model
from PIL import Image
from places import ROOT
from safetensors.numpy import save
from tiny_tflite import tiny_tflite

from ofa_edge.files import canonical_json
from ofa_edge.space import Space

Read = Callable[[Path], object]


def all_readers(scratch: Path) -> tuple[Reader, ...]:
    """All of them; `scratch` is for files that their seeds are made by."""
    found = (
        *_settings(),
        *_records(scratch),
        *_tuning(scratch),
        *_models(scratch),
        *_images(),
        *device_readers(),
        *_supernets(),
        *data_readers(_in_folder),
    )
    assert len({reader.name for reader in found}) == len(found)
    return found


def _files(folder: Path, pattern: str, most: int = 3) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob(pattern))[:most])


# -- what users write -------------------------------------------------------------------------------------------------

DEVICES = """
schema = 1
[devices.pi]
kind = "ssh"
host = "pi.local"
user = "me"
[devices.phone]
kind = "adb"
serial = "0123"
"""
FLEET = """
schema = 1
folder = "nightly"
[protocol]
pairs = 6
session_seconds = 0.5
images = 16
[artifacts.net]
build = "out"
[devices.pi]
targets = ["raspberry-pi-4"]
deadline_minutes = 10
"""
ACCELERATORS = """
[accelerators.small]
accelerator = "ethos-u55-64"
config = "vela.ini"
system_config = "Mine"
memory_mode = "Mine"
sram_bytes = 1048576
"""
VELA_INI = """
[System_Config.Base]
core_clock=500e6
[System_Config.Mine]
inherit=System_Config.Base
[Memory_Mode.Mine]
const_mem_area=Axi0
"""
LABELS = '0 = "zero"\n1 = "T-shirt/top"\n'


def _settings() -> Iterator[Reader]:
    from ofa_edge.data.labels import listed_labels, read_labels
    from ofa_edge.device.registry.devices_file import parse_devices_file, read_devices_text
    from ofa_edge.export.vela.options import VelaSystem
    from ofa_edge.export.zigzag.description import read_engine
    from ofa_edge.latency.load import read_latency_file
    from ofa_edge.latency.lookup_yaml import read_table
    from ofa_edge.search.load_predictor import load_predictor
    from ofa_edge.supernet.given_subnet import read_subnet
    from ofa_edge.supernet.header import read_weights_file
    from ofa_edge.supernet.importing.net_config import read_image_size, read_net_config
    from ofa_edge.target_schema import Npu
    from ofa_edge.targets import read_target
    from ofa_edge.training.recipe_files import load_recipe
    from ofa_edge.workflows.codesign.accelerators import read_accelerators
    from ofa_edge.workflows.nightly.fleet import load_fleet
    from ofa_edge.workflows.zoo_import.sources import find_space

    def labels(path: Path) -> object:
        return read_labels(path.parent, ("0", "1"))

    def given(path: Path) -> object:
        return read_subnet(path.read_bytes().replace(b"\0", b"").decode("utf-8", "surrogateescape"), SPACE)  # as argv

    def vela_ini(path: Path) -> object:
        npu = Npu(
            accelerator="ethos-u55-64", config=path.name, system_config="Mine", memory_mode="Mine", sram_bytes=1 << 20
        )
        return VelaSystem(npu, path.parent).check()

    def bound(path: Path) -> object:
        space = Space.from_json(SPACE.to_json())
        return [model.bind(space) for model in read_latency_file(path).models if hasattr(model, "bind")]

    table = "".join(
        f"{key}: {{count: 100, mean: {mean}, std: 0.01, var: 0.0001}}\n"
        for key, mean in (("Conv-input:224x224x3-output:112x112x24", 1.5), ("Logits-input:1280-output:1000", 0.2))
    )
    config = SUBNET.config()
    vectors = json.dumps({"ks": [3] * 20, "e": [4] * 20, "d": [2, 2, 2, 2, 2], "r": [24]})
    yield Reader("target", ".toml", _files(ROOT / "targets", "*.toml", 13), read_target)
    yield Reader("latency", ".json", _files(ROOT / "targets", "*.json", 6), bound)
    yield Reader("accelerators", ".toml", seeds(ACCELERATORS), lambda path: read_accelerators(str(path)))
    engine = (ROOT / "targets" / "zu3eg.depthwise.yaml").read_bytes()
    yield Reader("engine", ".yaml", (engine,), read_engine)
    yield Reader("vela-ini", ".ini", seeds(VELA_INI), vela_ini)
    yield Reader("lookup-yaml", ".yaml", seeds(table, "a: 1.5\n"), read_table)
    yield Reader("devices", ".toml", seeds(DEVICES), lambda path: parse_devices_file(read_devices_text(path), path))
    yield Reader("fleet", ".toml", seeds(FLEET), load_fleet)
    shipped = _files(ROOT / "ofa_edge" / "training" / "recipes", "*.toml", 9)
    recipes = tuple(each for each in shipped if b"[start]" not in each)  # of a move: `--from` names its supernet
    yield Reader("recipe", ".toml", recipes, lambda path: load_recipe(path, "fashion-mnist"))
    yield Reader("labels", ".toml", seeds(LABELS), _in_folder("labels.toml", labels))
    yield Reader("labels-list", ".txt", seeds("zero\none\n", "a\n"), lambda path: listed_labels(path, None))
    yield Reader("subnet", ".json", seeds(json.dumps(config), vectors), given)
    yield Reader(
        "subnet-file", ".json", seeds(json.dumps({"subnet": config})), lambda path: read_subnet(str(path), SPACE)
    )
    yield Reader("space", ".json", seeds(json.dumps(SPACE.to_json())), lambda path: find_space(str(path)))
    yield Reader("net-config", ".json", _net_configs(), lambda path: _chosen(read_net_config(path)))
    yield Reader("run-config", ".json", seeds('{"image_size": 224}', '{"image_size": [128]}'), read_image_size)
    package = ROOT / "ofa_edge" / "zoo" / "fashion-mnist"
    own = read_weights_file(package / "supernet.safetensors").space
    predictor = (package / "predictor.safetensors").read_bytes()
    yield Reader("predictor", ".safetensors", (predictor,), lambda path: load_predictor(path, own))


def _net_configs() -> tuple[bytes, ...]:
    from ofa_edge.supernet import zoo
    from ofa_edge.supernet.importing.written import net_config

    spaces = list(zoo.UNTRAINED.values())
    return tuple(json.dumps(net_config(space, space.smallest(space.resolutions[0]))).encode() for space in spaces)


def _chosen(config: Any) -> object:
    from ofa_edge.supernet import zoo
    from ofa_edge.supernet.importing.config_layout import config_layout
    from ofa_edge.supernet.importing.subnets import place

    config_layout(config)
    return place(config, 224, zoo.UNTRAINED.values())


def _in_folder(name: str, read: Read) -> Read:
    def inside(path: Path) -> object:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            inner = Path(folder) / name
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.write_bytes(path.read_bytes())
            return read(inner)

    return inside


# -- what we wrote, and somebody may have changed ---------------------------------------------------------------------


def _records(scratch: Path) -> Iterator[Reader]:
    from ofa_edge.bundle.record import read_bundle
    from ofa_edge.cache import StageCache
    from ofa_edge.output import claim_output_folder
    from ofa_edge.records.manifest import read_manifest
    from ofa_edge.report import render_report
    from ofa_edge.report.junit import junit_xml
    from ofa_edge.report.nightly import render_nightly
    from ofa_edge.training.noted import read_noted, write_noted
    from ofa_edge.training.pairs import read_pairs
    from ofa_edge.workflows.calibrate.journal import Journal, Run, sampled
    from ofa_edge.workflows.nightly.history import append, read_history

    history = scratch / "history.jsonl"
    for record in (night(series()), night(accuracy("RED", 3), series(device="phone"))):
        append(history, record)
    head = {"plan": "a", "device": {}}
    run = Run(0, 0, ("a", "b"), np.full((3, 2), 1e6), 1.0, 3)
    journal = b"".join(canonical_json(line) + b"\n" for line in (head, run.to_json(), run.to_json()))
    pairs = {
        "space_hash": SPACE.hash, "images": 10, "measured_on": None, "metric": "top1",
        "pairs": [{**SUBNET.config(), "top1": 0.9}],
    }  # fmt: skip
    bundle = {"schema": 1, "ofa_edge": "0.1.0", "models": [], "samples": []}

    def joined(path: Path) -> object:
        found = Journal(path, head)
        return sampled(found.runs)

    def golden(path: Path) -> object:
        from ofa_edge.workflows.nightly.past_nights import past_of

        found = read_history(path)
        past_of(found.nights, "pi", "net", "1" * 64)
        if found.nights:
            render_nightly(found.nights, len(found.torn), found.damaged)
            junit_xml(found.nights[-1])
        return found.golden("net")

    def cached(path: Path) -> object:
        cache = StageCache(path.parent / "cache")
        entry = cache.run("fuzz", {"a": 1}, lambda folder: (folder / "file").write_bytes(b"content") and None)
        (entry.folder / "index.json").write_bytes(path.read_bytes())
        return cache.run("fuzz", {"a": 1}, lambda folder: (folder / "file").write_bytes(b"content") and None)

    def marker(path: Path) -> object:
        return claim_output_folder(path.parent)

    cache = StageCache(scratch / "cache")
    made = cache.run("fuzz", {"a": 1}, lambda folder: (folder / "file").write_bytes(b"content") and None)
    index = (made.folder / "index.json").read_bytes()
    owned = json.dumps({"tool": "ofa-edge", "files": ["manifest.json", "model.tflite"]})
    yield Reader(
        "manifest",
        ".json",
        (manifest().model_dump_json(indent=2).encode(),),
        lambda path: render_report(read_manifest(path)),
    )
    noted = scratch / "noted.json"
    write_noted(noted, [{"step": 2, "score": 0.5}])
    yield Reader("noted", ".json", (noted.read_bytes(),), read_noted)
    yield Reader("history", ".jsonl", (history.read_bytes(),), golden)
    yield Reader("journal", ".jsonl", (journal,), joined)
    yield Reader("pairs", ".json", seeds(json.dumps(pairs)), lambda path: read_pairs(path, SPACE))
    yield Reader(
        "bundle", ".json", seeds(json.dumps(bundle)), _in_folder("bundle.json", lambda path: read_bundle(path.parent))
    )
    yield Reader("cache-index", ".json", (index,), cached)
    yield Reader("marker", ".json", seeds(owned), _in_folder("out/.ofa-edge.json", marker))


def _tuning(scratch: Path) -> Iterator[Reader]:
    from ofa_edge.export.tvm.schedules.knobs import Knobs
    from ofa_edge.export.tvm.tuning.database import Database, NetworkVerdict, TunedFunction, place

    target = SimpleNamespace(attrs={"mcpu": "cortex-a72", "num-cores": 4})
    database, where = scratch / "tuning.json", place("a board", target)
    tuning = Database(database)
    tuning.put(where, TunedFunction("conv", Knobs(), 10.0, 9.0, 0.9, 12, False, "2026-01-01T00:00:00+00:00"))
    tuning.put_network(where, "n", NetworkVerdict(0.9, 0.01, True, "2026-01-01T00:00:00+00:00"))

    def tuned(path: Path) -> object:
        database = Database(path)
        damage = database.damage()
        return damage, database.functions(where), database.network(where, "n"), database.devices(target)

    yield Reader("tuning", ".json", (database.read_bytes(),), tuned)


# -- models -----------------------------------------------------------------------------------------------------------


def _models(scratch: Path) -> Iterator[Reader]:
    from ofa_edge.data.preprocess import Preprocessing
    from ofa_edge.export.inspect.library import inspect_library
    from ofa_edge.export.inspect.tflite_file import precision_of
    from ofa_edge.export.inspect.tflite_model import read_model
    from ofa_edge.export.inspect.tflite_rules import apply_rules
    from ofa_edge.export.onnx.graph import read_interface, read_nodes
    from ofa_edge.export.onnx.load import load_model
    from ofa_edge.export.tflite.metadata import read_metadata
    from ofa_edge.export.tflite.metadata_writer import write_metadata
    from ofa_edge.latency.load import AnalyticFacts, read_latency_file
    from ofa_edge.latency.network import predict_network
    from ofa_edge.latency.onnx_operators import read_operators

    body = (
        "c = Conv<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1],group=1>(input, w) r = Relu(c) "
        "d = Conv<group=4,kernel_shape=[3,3]>(r, k) s = Sigmoid(d) m = Mul(d, s) "
        "p = GlobalAveragePool(m) f = Flatten(p) logits = Gemm<transB=1>(f, v)"
    )
    shapes = {"w": (4, 3, 3, 3), "k": (4, 1, 3, 3), "v": (5, 4)}
    onnx = save_model(scratch / "m.onnx", body, (1, 3, 16, 16), **shapes).read_bytes()
    plain, whole = scratch / "m.tflite", scratch / "whole.tflite"
    plain.write_bytes(tiny_tflite(False))
    write_metadata(
        plain, whole, Preprocessing(12, 2, (1.0,) * 2, (2.0,) * 2), tuple("abcde"), name="n", description="d",
        version="1", author="a", facts={"a": 1},
    )  # fmt: skip
    tflite = (plain.read_bytes(), tiny_tflite(True), whole.read_bytes())
    libraries = sorted(Path(sysconfig.get_path("platlib")).glob("**/*.so"), key=lambda path: path.stat().st_size)
    elf = tuple(path.read_bytes() for path in libraries[:2])

    facts = read_latency_file(ROOT / "targets" / "raspberry-pi-4.latency.json").models[0]
    assert isinstance(facts, AnalyticFacts)
    coefficients = facts.read()

    def operators(path: Path) -> object:
        return predict_network(read_operators(path), coefficients)

    def inspected(path: Path) -> object:
        model = read_model(path)
        return apply_rules(model), precision_of(model)

    def nodes(path: Path) -> object:
        model = load_model(path, weights=False).model
        nodes, constants = read_nodes(model, {}, lambda _: None)
        return nodes, read_interface(model, constants, path.name)

    yield Reader("onnx-operators", ".onnx", (onnx,), operators, text=False)
    yield Reader("onnx", ".onnx", (onnx,), nodes, text=False)
    yield Reader("tflite", ".tflite", tflite, inspected, text=False)
    yield Reader("tflite-metadata", ".tflite", (whole.read_bytes(),), read_metadata, text=False)
    yield Reader("elf", ".so", elf, inspect_library, text=False)


def _object(path: Path) -> dict[str, Any]:
    """A JSON object, as it stands in a record; what is none is the record's own affair."""
    from ofa_edge.errors import ConfigError
    from ofa_edge.files import parse_json

    try:
        value = parse_json(path.read_bytes())
    except ValueError as error:
        raise ConfigError("no JSON", str(error), "give JSON") from error
    if not isinstance(value, dict):
        raise ConfigError("no object", f"{type(value).__name__}", "give an object")
    return value


# -- images -----------------------------------------------------------------------------------------------------------


def _images() -> Iterator[Reader]:
    from ofa_edge.data.coco import find_coco, read_coco
    from ofa_edge.data.decoding import Decoding
    from ofa_edge.data.picture import read_picture
    from ofa_edge.data.priors import Priors
    from ofa_edge.data.raw_boxes import packed_priors
    from ofa_edge.data.yolo import find_yolo, read_yolo
    from ofa_edge.supernet.zoo import load_images
    from ofa_edge.workflows.build.model_arrays import load_arrays
    from ofa_edge.workflows.build.model_priors import read_priors

    pixels = np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)
    pictures = []
    for kind, mode in (("PNG", "RGB"), ("PNG", "P"), ("JPEG", "RGB"), ("PNG", "L"), ("BMP", "RGB")):
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind)
        pictures.append(buffer.getvalue())
    arrays = []
    for save_arrays in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save_arrays(buffer, x=np.zeros((2, 3), np.float32), test_pixels=pixels[None], test_labels=np.zeros(1, np.int64))
        arrays.append(buffer.getvalue())
    priors, boxes_of = io.BytesIO(), np.full((6, 4), 0.5, np.float32)
    np.savez(priors, priors=boxes_of, variances=np.array([0.1, 0.2]))
    decodings = [
        Decoding.of("ssd", [(1, 6, 4), (1, 6, 3)], 2, (64, 64), priors=Priors(packed_priors(boxes_of))).to_json(),
        Decoding.of("yolov5-raw", [(1, 1, 2, 2, 7)], 2, (16, 16), anchors=[4, 4]).to_json(),
        Decoding.of("suppressed", [(1, 9, 4), (1, 9), (1, 9), (1,)], 2, (64, 64)).to_json(),
    ]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "width": 24, "height": 20}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
    }

    def boxes(path: Path) -> object:
        folder = path.parent
        Image.fromarray(pixels).save(folder / "a.png")
        return read_coco(folder, find_coco(folder))

    def lines(path: Path) -> object:
        folder = path.parents[2]
        (folder / "images" / "train").mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "images" / "train" / "a.png")
        (folder / "data.yaml").write_text("names: [cat, dog]\n")
        return read_yolo(folder, find_yolo(folder))

    def names(path: Path) -> object:
        folder = path.parent
        for each in ("images/train", "labels/train"):
            (folder / each).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / "images" / "train" / "a.png")
        (folder / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
        return read_yolo(folder, find_yolo(folder))

    yield Reader("picture", ".png", tuple(pictures), lambda path: read_picture(path, 3, 16), text=False)
    yield Reader("npz", ".npz", tuple(arrays), lambda path: load_arrays(path, "give a .npz file"), text=False)
    yield Reader("npz-images", ".npz", tuple(arrays), lambda path: load_images(path, "test"), text=False)
    yield Reader("priors", ".npz", (priors.getvalue(),), read_priors, text=False)
    yield Reader(
        "decoding", ".json", seeds(*map(json.dumps, decodings)), lambda path: Decoding.from_json(_object(path))
    )
    yield Reader("coco", ".json", seeds(json.dumps(coco)), _in_folder("_annotations.coco.json", boxes))
    yield Reader(
        "yolo", ".txt", seeds("0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n"), _in_folder("labels/train/a.txt", lines)
    )
    yield Reader(
        "yolo-names", ".yaml", seeds("names: [cat, dog]\nnc: 2\n", "names: {0: cat}\n"), _in_folder("data.yaml", names)
    )


# -- supernets --------------------------------------------------------------------------------------------------------


def _supernets() -> Iterator[Reader]:
    from ofa_edge.supernet.header import FORMAT, pack, read_weights_file
    from ofa_edge.supernet.importing.reading import read_checkpoint
    from ofa_edge.supernet.zoo import WEIGHTS, open_supernet

    facts = {
        "format": FORMAT, "space": json.dumps(SPACE.to_json()), "space_hash": SPACE.hash,
        "labels": json.dumps([f"c{number}" for number in range(10)]), "mean": "[0.5]", "std": "[0.25]", "dataset": "d",
    }  # fmt: skip
    weights = save({"a": np.zeros(3, np.float32)}, pack(facts))
    bare = canonical_json({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})

    def package(path: Path) -> object:
        return open_supernet(path.parent)

    yield Reader("weights", ".safetensors", (weights,), read_weights_file)
    yield Reader("package", ".safetensors", (weights,), _in_folder(WEIGHTS, package))
    yield Reader("checkpoint", ".safetensors", (struct.pack("<Q", len(bare)) + bare + b"\0" * 4,), read_checkpoint)
