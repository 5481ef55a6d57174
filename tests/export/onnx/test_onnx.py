import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from places import ROOT, SUPPORT
from tiny_net import SHAPE
from torch import nn

from ofa_edge.errors import ConversionError
from ofa_edge.export.onnx.export import OPSET, export_onnx
from ofa_edge.export.onnx.run import run_onnx
from ofa_edge.files import sha256_file
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.verify.parity import compare


def test_the_file_is_what_the_next_stage_expects(onnx_path):
    model = onnx.load(onnx_path)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    for value, name, dims in [(model.graph.input, "input", SHAPE), (model.graph.output, "logits", (1, 10))]:
        assert [each.name for each in value] == [name]
        assert tuple(dim.dim_value for dim in value[0].type.tensor_type.shape.dim) == dims
    operators = {node.op_type for node in model.graph.node}
    assert {"Conv", "HardSwish", "HardSigmoid", "Gemm"} <= operators
    assert not operators & {"BatchNormalization", "Constant", "Identity"}


def test_nothing_tells_where_or_when_it_was_made(onnx_path):
    model = onnx.load(onnx_path)
    assert not model.producer_name + model.producer_version + model.doc_string + model.graph.doc_string
    assert not any(node.doc_string for node in model.graph.node)
    assert not list(model.metadata_props)
    assert b"/tests/" not in onnx_path.read_bytes()


def test_answers_equal_torch(onnx_path, images, reference):
    difference = compare(reference, run_onnx(onnx_path, images))
    assert difference.max_abs < 1e-5
    assert difference.snr_db > 100


def test_images_are_run_one_by_one(onnx_path, images):
    together = run_onnx(onnx_path, images[:5])
    alone = np.concatenate([run_onnx(onnx_path, images[i : i + 1]) for i in range(5)])
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, alone)


def test_same_bytes_again_here_and_in_another_process(net, onnx_path, tmp_path, capfd):
    here, there = tmp_path / "here.onnx", tmp_path / "there.onnx"
    export_onnx(fold_batch_norm(net), SHAPE, here)
    assert capfd.readouterr() == ("", "")
    script = (
        "import sys; from pathlib import Path; from tiny_net import SHAPE, build_net;"
        "from ofa_edge.supernet.fold import fold_batch_norm; from ofa_edge.export.onnx.export import export_onnx;"
        "export_onnx(fold_batch_norm(build_net()), SHAPE, Path(sys.argv[1]))"
    )
    folders = [str(SUPPORT), str(ROOT)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(folders)}
    subprocess.run([sys.executable, "-W", "error", "-c", script, str(there)], env=environment, check=True)
    assert sha256_file(here) == sha256_file(there) == sha256_file(onnx_path)


def test_the_network_keeps_its_mode(net, tmp_path):
    folded = fold_batch_norm(net).train()
    export_onnx(folded, SHAPE, tmp_path / "model.onnx")
    assert folded.training


@pytest.mark.parametrize("shape", [(2, 3, 27, 27), (1, 3, 0, 27), (3, 27, 27)])
def test_only_batches_of_one(net, shape, tmp_path):
    with pytest.raises(ConversionError, match="input of shape"):
        export_onnx(net, shape, tmp_path / "model.onnx")


def test_a_network_that_cannot_run_on_the_shape(tmp_path):
    with pytest.raises(ConversionError, match="torch cannot export Conv2d for an input of shape"):
        export_onnx(nn.Conv2d(4, 4, 1), (1, 3, 8, 8), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
