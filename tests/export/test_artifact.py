import json

import pytest

from ofa_edge.export.artifact import Artifact
from ofa_edge.files import sha256_bytes


@pytest.fixture
def artifact(tmp_path):
    model, runner, library = (tmp_path / name for name in ("model.so", "runner", "libruntime.so"))
    for path in (model, runner, library):
        path.write_text(path.name)
    return Artifact.of(model, "tvm", "fp32", [runner, library])


def test_describes_the_files(artifact):
    assert artifact.sha256 == sha256_bytes(b"model.so")
    assert artifact.size == 8
    assert [path.name for path, _ in artifact.extra] == ["libruntime.so", "runner"]
    entry = json.loads(json.dumps(artifact.to_json()))
    assert entry["file"] == "model.so"
    assert entry["extra"]["runner"] == sha256_bytes(b"runner")


def test_damage_is_seen(artifact):
    assert artifact.is_intact()
    artifact.extra[0][0].write_text("other")
    assert not artifact.is_intact()
    artifact.extra[0][0].write_text("libruntime.so")
    assert artifact.is_intact()
    artifact.path.unlink()
    assert not artifact.is_intact()
