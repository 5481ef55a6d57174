"""A manifest that somebody wrote by hand is no build: each of its contradictions is named, before anything is run."""

import json
from pathlib import Path
from typing import Any

import pytest
from app_folder import SPACE, make_build, record, write
from manifests import facts

from ofa_edge.errors import ConfigError
from ofa_edge.records.build import artifact_of, has_output, read_built, runner_of, subnet_of
from ofa_edge.records.network import SubnetRecord


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return make_build(tmp_path / "out")


def edit(build: Path, *keys: str | int, value: Any) -> None:
    """Write a value into the manifest as a person with an editor would."""
    content = json.loads((build / "manifest.json").read_bytes())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (build / "manifest.json").write_text(json.dumps(content))


def test_a_build(build: Path) -> None:
    manifest = read_built(build)
    assert artifact_of(manifest).path == "model.tflite"
    assert subnet_of(manifest.subnet).id == manifest.subnet.id
    assert runner_of(build, manifest) is None
    assert not has_output(manifest, "model.onnx")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("resolution",), -12),
        (("resolution",), 0),
        (("resolution",), 10**9),
        (("resolution",), 24),
        (("stages", 0, 0), [9, 4]),
        (("stages", 0, 0), [3, 5]),
        (("stages", 0, 0), [-3, 4]),
        (("stages", 0, 0), [3, 1e308]),
        (("stages", 0), []),
        (("stages",), []),
        (("stages", 0), [[3, 4]] * 1000),
        (("widths",), [1.0]),
        (("id",), "0" * 12),
        (("macs",), 1),
        (("params",), 0),
    ],
)
def test_a_subnet_outside_its_space(build: Path, keys: tuple[str | int, ...], value: Any) -> None:
    edit(build, "subnet", *keys, value=value)
    with pytest.raises(ConfigError, match=r"subnet|not of space"):
        read_built(build)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("space_hash",), "0" * 64),
        (("space", "resolutions"), [12, 24]),
        (("space", "family"), "ours"),
        (("space", "family"), ["ofa_mobilenetv3"]),
        (("space", "depths"), [2, 3, 10**9]),
        (("space", "depths"), [2.5]),
        (("space", "kernels"), "357"),
        (("space", "num_classes"), 10**12),
        (("space", "width_mult"), "1"),
        (("space", "expands"), list(range(1, 500))),
        (("space",), {}),
    ],
)
def test_a_space_that_is_none_or_another(build: Path, keys: tuple[str, ...], value: Any) -> None:
    edit(build, "supernet", *keys, value=value)
    with pytest.raises(ConfigError, match="not a build"):
        read_built(build)


def test_outputs_without_the_artifact(build: Path) -> None:
    model, labels = record(build / "model.tflite", "artifact"), record(build / "labels.txt", "labels")
    (build / "model.so").write_bytes(b"x")
    for outputs in (
        (),
        (labels,),
        (labels, model.model_copy(update={"role": "facts"})),
        (labels, model, record(build / "model.so", "artifact")),
    ):
        write(build, outputs=outputs)
        with pytest.raises(ConfigError, match="no single artifact"):
            read_built(build)
    (build / "more.txt").write_text("x")
    for role in ("labels", "onnx"):
        twice = (record(build / "more.txt", role), record(build / "model.so", role))
        write(build, outputs=(model, *twice))
        with pytest.raises(ConfigError, match=f"several outputs of role '{role}'"):
            read_built(build)


@pytest.mark.parametrize("field", ["ladder", "verdicts"])
def test_nothing_verified(build: Path, field: str) -> None:
    write(build, **{field: ()})
    with pytest.raises(ConfigError, match="nothing was verified"):
        read_built(build)


def test_a_gate_that_fails_and_passes(build: Path) -> None:
    verdicts = facts()["verdicts"]
    write(build, verdicts=(verdicts[0].model_copy(update={"outcome": "fail"}), *verdicts))
    with pytest.raises(ConfigError, match="two verdicts on parity"):
        read_built(build)


@pytest.mark.parametrize(("keys", "value"), [(("target", "threads"), 10**9), (("seed",), -1)])
def test_impossible_figures(build: Path, keys: tuple[str, ...], value: int) -> None:
    edit(build, *keys, value=value)
    with pytest.raises(ConfigError, match="impossible figures"):
        read_built(build)


def test_a_size_that_is_not_the_files(build: Path) -> None:
    edit(build, "outputs", 0, "size", value=1)
    with pytest.raises(ConfigError, match="was changed"):
        read_built(build)


def test_a_runner_that_the_manifest_does_not_name(build: Path) -> None:
    (build / "runner").mkdir()
    assert runner_of(build, read_built(build)) is None
    (build / "runner" / "tvm_runner").write_bytes(b"x")
    with pytest.raises(ConfigError, match="runner/tvm_runner is not of the build"):
        read_built(build)
    outputs = [record(build / name, role) for name, role in (("model.tflite", "artifact"), ("labels.txt", "labels"))]
    runner = record(build / "runner" / "tvm_runner", "runner").model_copy(update={"path": "runner/tvm_runner"})
    write(build, outputs=(*outputs, runner))
    assert runner_of(build, read_built(build)) == build / "runner"
    (build / "runner" / "libm.so.6").symlink_to("/tmp/other.so")  # a loader would take it
    with pytest.raises(ConfigError, match=r"runner/libm\.so\.6 is not of the build"):
        read_built(build)


def test_the_record_of_a_subnet_is_what_its_space_counts(build: Path) -> None:
    manifest = read_built(build)
    assert SubnetRecord.of(SPACE, subnet_of(manifest.subnet)) == manifest.subnet
