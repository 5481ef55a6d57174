"""Golden photos, their answers and the interface, damaged field by field: it is said, and nothing is judged by them."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from app_folder import SPACE, make_build, record, write
from left import left
from manifests import STAGES, network

from ofa_edge.builds import Build
from ofa_edge.data.dataset import Images
from ofa_edge.errors import ConfigError
from ofa_edge.example.golden import Golden, write_golden
from ofa_edge.files import pretty_json
from ofa_edge.records.interface import INTERFACE
from ofa_edge.space import Subnet

GOLDEN = ("golden/golden.json", "golden/answers.f32", "golden/1.ppm", "golden/2.ppm")


def leaves(value, path=()):
    """Every place in a JSON value, those of tables and lists too."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*path, key))


def others(value):
    """Values that a damaged file could have in a value's place."""
    if isinstance(value, dict):
        yield {}
    elif isinstance(value, list):
        yield from (value[:-1], value * 2)
    elif isinstance(value, bool) or value is None:
        yield 1
    elif isinstance(value, int | float):
        yield from (value + 1, -value - 1, value * 1e9 + 1, float("nan"))
    else:
        yield from (value[1:] + "0", "../../etc/passwd", None)


def damages(path):
    """The file's content with one field changed or gone, at a time; and the field."""
    whole = json.loads(path.read_bytes())
    for place in leaves(whole):
        at = whole
        for key in place:
            at = at[key]
        for other in others(at):
            yield place, pretty(replaced(whole, place, other))
        if place:
            yield place, pretty(replaced(whole, place, None, gone=True))


def pretty(value):
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False).encode()


def replaced(value, place, other, gone=False):
    if not place:
        return other
    made = json.loads(json.dumps(value))
    at = made
    for key in place[:-1]:
        at = at[key]
    if gone:
        del at[place[-1]]
    else:
        at[place[-1]] = other
    return made


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """What a build leaves for programs without ofa-edge."""
    return left(tmp_path_factory.mktemp("left") / "out", "onnxruntime")


@pytest.fixture
def check(example, monkeypatch):
    """The example's own module."""
    monkeypatch.syspath_prepend(str(example / "example/python"))
    spec = importlib.util.spec_from_file_location("example_check", example / "example/python/check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A build whose golden photos and interface its manifest names."""
    folder = make_build(tmp_path_factory.mktemp("built") / "out")
    about = network(SPACE, Subnet(STAGES, 12))
    said = Build.open(folder).network.interface
    interface = said.record("model.tflite")
    (folder / INTERFACE).write_bytes(pretty_json(interface.model_dump(mode="json")))
    images = Images(np.zeros((2, 12, 12, 1), np.uint8), np.zeros(2, np.int64))
    golden = Golden.of(images, said.inputs[0].preprocessing)
    write_golden(folder / "golden", golden, np.ones((2, 5), np.float32), "0" * 64, "model.tflite", 60.0)
    outputs = [record(folder / "model.tflite", "artifact"), record(folder / "labels.txt", "labels")]
    outputs.append(record(folder / INTERFACE, "interface"))
    outputs += [record(folder / name, "golden").model_copy(update={"path": name}) for name in GOLDEN]
    return write(folder, network=about, interface=interface, outputs=tuple(outputs))


def test_the_check_of_an_example_judges_nothing_by_a_damaged_field(example, check, tmp_path):
    assert check.damaged(example) == ""
    folder = shutil.copytree(example, tmp_path / "out", ignore=shutil.ignore_patterns("example"))
    count = 0
    for name in ("golden/golden.json", INTERFACE):
        whole = (folder / name).read_bytes()
        for place, content in damages(folder / name):
            (folder / name).write_bytes(content)
            assert check.damaged(folder) == name, (place, content)
            count += 1
        for content in (b"", b"\xff", b"[" * 5000, whole[: len(whole) // 2]):
            (folder / name).write_bytes(content)
            assert check.damaged(folder) == name
        (folder / name).unlink()
        assert check.damaged(folder) == name
        (folder / name).write_bytes(whole)
    assert count > 300
    for name in ("golden/1.ppm", "golden/8.ppm", "golden/answers.f32"):
        whole = (folder / name).read_bytes()
        for content in (whole[:-1], whole + b"\0", whole[:-1] + bytes([whole[-1] ^ 1])):
            (folder / name).write_bytes(content)
            assert check.damaged(folder) == name
        (folder / name).write_bytes(whole)
    assert check.damaged(folder) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "words"),
    [
        ("golden/golden.json", b'"snr_db": ', b'"snr_db": -', 3, "nothing was checked: golden/golden.json is not"),
        (INTERFACE, b'"mean": [\n', b'"mean": [\n 1,', 3, f"nothing was checked: {INTERFACE} is not"),
        (INTERFACE, b"{", b"", 1, f"cannot read {INTERFACE}"),
    ],
)
def test_the_program_says_it(example, tmp_path, name, old, new, code, words):
    out = shutil.copytree(example, tmp_path / "out")
    (out / name).write_bytes((out / name).read_bytes().replace(old, new, 1))
    command = [sys.executable, out / "example/python/classify.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_no_build_is_opened_with_a_damaged_field(build):
    assert Build.open(build).manifest.interface is not None
    for name in ("golden/golden.json", INTERFACE):
        whole = (build / name).read_bytes()
        try:
            for place, content in damages(build / name):
                (build / name).write_bytes(content)
                with pytest.raises(ConfigError, match=f"{name} was changed"):
                    pytest.fail(f"{place}: {Build.open(build)}")
        finally:
            (build / name).write_bytes(whole)


def test_nor_with_another_interface_in_its_manifest(build):
    """The digests are of files: what the manifest says itself is held against them."""
    manifest = build / "manifest.json"
    whole = manifest.read_bytes()
    facts, refused = json.loads(whole), 0
    try:
        for part in (("interface",), ("network", "inputs", 0, "preprocessing")):
            inner = facts
            for key in part:
                inner = inner[key]
            for place in leaves(inner):
                for other in others(value_at(inner, place)):
                    manifest.write_bytes(pretty(replaced(facts, (*part, *place), other)))
                    with pytest.raises(ConfigError):
                        pytest.fail(f"{part} {place}: {other}: {Build.open(build)}")
                    refused += 1
    finally:
        manifest.write_bytes(whole)
    assert refused > 80


def value_at(value, place):
    for key in place:
        value = value[key]
    return value


FLEET = 'schema = 1\n[artifacts.net]\nbuild = "{}"\n[devices.local]\nartifacts = ["net"]\n'
COMMANDS = {
    "report": ("report",),
    "verify": ("verify", "--device", "local"),
    "run": ("run",),
    "profile": ("profile", "--device", "local"),
    "sustain": ("sustain", "--device", "local", "--cooling", "none"),
    "diff": ("diff",),
    "bundle": ("bundle",),
    "baseline accept": ("baseline", "accept", "net", "--config"),
}


@pytest.mark.parametrize("name", [*GOLDEN[:3], INTERFACE])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it(run, build, tmp_path, command, name):
    whole = (build / name).read_bytes()
    (build / name).write_bytes(whole[:-2] + b"  ")
    (tmp_path / "fleet.toml").write_text(FLEET.format(build))
    more = {"run": [build / "golden/1.ppm"], "diff": [build]}.get(command, [])
    given = tmp_path / "fleet.toml" if command == "baseline accept" else build
    try:
        code, _, said = run(*COMMANDS[command], given, *more)
    finally:
        (build / name).write_bytes(whole)
    assert code == 2, said
    assert f"{name} was changed" in said


def test_a_night_judges_no_damaged_build_and_by_no_damaged_golden(run, build, tmp_path):
    out = shutil.copytree(build, tmp_path / "out")
    (tmp_path / "fleet.toml").write_text(FLEET.format(out))
    fleet = ("--config", tmp_path / "fleet.toml")
    assert run("baseline", "accept", "net", *fleet)[0] == 0
    (stored,) = (tmp_path / "nightly/golden").iterdir()
    for folder in (out, stored):
        answers = folder / "golden/answers.f32"
        whole = answers.read_bytes()
        answers.write_bytes(whole[::-1])
        code, printed, said = run("nightly", *fleet)
        answers.write_bytes(whole)
        assert code == 3, said
        assert "golden/answers.f32 was changed" in printed + said
