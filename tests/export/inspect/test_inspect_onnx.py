"""Inspection of ONNX files: what would not convert, and what would convert into something slow."""

import os

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_text import save_model

from ofa_edge.errors import ModelFileError
from ofa_edge.export.inspect import inspect_model
from ofa_edge.export.inspect.onnx_file import inspect_onnx
from ofa_edge.export.tflite.trial import Refusal, Trial

SMALL = (1, 4, 9, 9)


def codes(found, severity="fault"):
    return [each.code for each in found.findings if each.severity == severity]


def ruled(path, trial=Trial()):  # noqa: B008 (frozen)
    """Inspected by the rules alone, with a trial's outcome given."""
    return inspect_onnx(path, ask=lambda _: (trial,))


def saved(folder, body, shape=SMALL, **weights):
    return ruled(save_model(folder / "m.onnx", body, shape, **weights))


def test_our_own_file_is_clean(onnx_path):
    found = inspect_model(onnx_path)
    assert (codes(found), codes(found, "warning"), codes(found, "note")) == ([], [], ["depthwise-over-25-taps"])
    assert found.kind == "onnx"
    assert found.facts["opset"] == "17"
    assert found.facts["inputs"] == "input [1, 3, 27, 27]"
    assert len(found.findings[0].nodes) == 2


def test_what_a_trial_finds_is_told_once_a_reason(tmp_path):
    path = save_model(tmp_path / "m.onnx", "a = Relu(input) logits = Relu(a)", SMALL)
    outside = [Refusal(name, "Sin", "outside", "without it") for name in ("a", "b")]
    found = ruled(path, Trial((*outside, Refusal("c", "Conv", "3 dimensions", "a map")), ("d",)))
    assert [(each.code, each.severity, each.nodes) for each in found.findings] == [
        ("unknown-operator", "fault", ("a", "b")),
        ("node-not-convertible", "fault", ("c",)),
        ("not-tried", "warning", ("d",)),
    ]
    assert "Conv does not convert to TFLite: 3 dimensions" in found.findings[1].what
    assert codes(ruled(path, Trial(tried=False)), "warning") == ["not-tried"]


@pytest.mark.parametrize(
    ("body", "weights", "left"),
    [
        ("c = Conv(input, w) logits = BatchNormalization(c, s, s, s, s)", {"w": (4, 4, 1, 1)}, ()),
        ("logits = BatchNormalization(input, s, s, s, s)", {}, ("BatchNormalization_0",)),
        (
            "c = Conv(input, w) b = BatchNormalization(c, s, s, s, s) logits = Add(b, c)",
            {"w": (4, 4, 1, 1)},
            ("BatchNormalization_1",),
        ),
    ],
)
def test_batch_norms_that_stay(tmp_path, body, weights, left):
    found = saved(tmp_path, body, s=np.ones(4, np.float32), **weights)
    assert sum([each.nodes for each in found.findings], ()) == left
    assert codes(found) == []


def test_operators_of_another_domain(tmp_path):
    node = helper.make_node("Magic", ["input"], ["logits"], "m", domain="their.own")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, SMALL)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, SMALL)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("their.own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "m.onnx")
    assert ruled(tmp_path / "m.onnx").operators == {"their.own.Magic": 1}


def test_free_sizes_are_a_warning_and_several_inputs_none(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", ("batch", 4, None, 9))
    found = ruled(path)
    assert (codes(found), codes(found, "warning")) == ([], ["dynamic-shape"])
    assert found.facts["inputs"] == "input [batch, 4, ?, 9]"
    assert found.findings[0].fix.endswith("m.onnx --shape 1x4x224x9")
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("other", onnx.TensorProto.FLOAT, [1]))
    onnx.save(model, path)
    found = ruled(path)
    assert (codes(found), codes(found, "warning")) == ([], ["dynamic-shape"])
    assert found.facts["inputs"] == "input [batch, 4, ?, 9], other [1]"


def test_one_input_is_of_any_rank_but_one_sample(tmp_path):
    assert saved(tmp_path, "logits = MatMul(input, w)", (1, 7, 9), w=(9, 3)).faults == ()
    (one,) = saved(tmp_path, "logits = MatMul(input, w)", (4, 7, 9), w=(9, 3)).faults
    assert (one.code, "[4, 7, 9]" in one.what, "batch 1" in one.fix) == ("interface", True, True)


@pytest.mark.parametrize(
    ("attributes", "weight", "fault", "note"),
    [
        ("group=4, pads=[4,4,4,4]", (4, 1, 9, 9), [], ["depthwise-over-25-taps"]),
        ("group=4, pads=[2,2,3,3]", (4, 1, 6, 6), ["depthwise-not-splittable"], ["even-kernel"]),
        ("group=4, pads=[6,6,6,6], dilations=[2,2]", (4, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[0,0,0,0]", (4, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[3,3,3,3]", (8, 1, 7, 7), ["depthwise-not-splittable"], []),
        ("group=4, pads=[1,1,2,2]", (4, 1, 4, 4), [], ["even-kernel"]),
        ("group=4, pads=[2,2,2,2]", (4, 1, 5, 5), [], []),
        ("group=1, pads=[3,3,3,3]", (4, 4, 7, 7), [], []),
    ],
)
def test_depthwise_kernels(tmp_path, attributes, weight, fault, note):
    found = saved(tmp_path, f"logits = Conv<{attributes}>(input, w)", (1, 4, 20, 20), w=weight)
    assert (codes(found), codes(found, "note")) == (fault, note)


def test_weights_are_seen_wherever_they_lie(tmp_path):
    body = "logits = Conv<group=4, pads=[3,3,3,3]>(input, {})"
    weight = np.ones((4, 1, 7, 7), np.float32)
    path = save_model(tmp_path / "plain.onnx", body.format("w"), SMALL, w=weight)
    plain = ruled(path)
    model = onnx.load(path)
    node = helper.make_node("Constant", [], ["w"], "w", value=model.graph.initializer[0])
    del model.graph.initializer[:]
    model.graph.node.insert(0, node)
    onnx.save(model, tmp_path / "constant.onnx")
    onnx.save(onnx.load(path), tmp_path / "data.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").write_bytes(b"never looked at".ljust(weight.nbytes, b"!"))
    for found in (plain, ruled(tmp_path / "constant.onnx"), ruled(tmp_path / "data.onnx")):
        assert codes(found, "note") == ["depthwise-over-25-taps"]
        assert found.facts["weights"] == "1 tensor, 784 bytes"
    assert found.facts["data files"] == "w.bin 784 bytes"
    assert found.size == (tmp_path / "data.onnx").stat().st_size + 784


def test_a_profile_sums_to_the_whole_wherever_weights_lie(tmp_path):
    body = "a = Conv<pads=[1,1,1,1]>(input, w) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w) logits = Flatten(c)"
    path = save_model(tmp_path / "plain.onnx", body, (1, 32, 40, 40), w=(32, 32, 3, 3))
    model = onnx.load(path)
    node = helper.make_node("Constant", [], ["w"], "w", value=model.graph.initializer[0])
    onnx.save(model, tmp_path / "data.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(path)
    del model.graph.initializer[:]
    model.graph.node.insert(0, node)
    onnx.save(model, tmp_path / "constant.onnx")
    for name in ("plain", "constant", "data"):
        found = inspect_onnx(tmp_path / f"{name}.onnx", profile=True, ask=lambda _: (Trial(),))
        assert set(found.profile) == {"Conv_0", "Relu_1", "Conv_2", "Flatten_3"}
        total, whole = (float(found.facts["profile"].split(" ms")[at].split()[-1]) for at in (0, 1))
        assert abs(total - sum(found.profile.values())) < 1e-3
        assert total <= whole * 1.05


def test_a_profile_of_what_does_not_run_is_an_error(tmp_path):
    path = save_model(tmp_path / "m.onnx", "logits = Reshape(input, to)", SMALL, to=np.array([7, 7]))
    with pytest.raises(ModelFileError):
        inspect_onnx(path, profile=True, ask=lambda _: (Trial(),))


def test_bodies_of_branches_are_counted(tmp_path):
    def branch(op, name):
        value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, SMALL)
        return helper.make_graph([helper.make_node(op, ["input"], [name])], name, [], [value])

    yes = helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=yes),
        helper.make_node("If", ["c"], ["logits"], then_branch=branch("Relu", "r"), else_branch=branch("Tanh", "t")),
    ]
    sides = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, SMALL) for name in ("input", "logits")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", sides[:1], sides[1:]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, tmp_path / "m.onnx")
    found = ruled(tmp_path / "m.onnx")
    assert found.operators == {"Constant": 1, "If": 1, "Relu": 1, "Tanh": 1}
    assert found.facts["bodies"].startswith("2 ")


@pytest.mark.parametrize(("opset", "version"), [(99, 8), (17, 99)])
def test_a_file_from_the_future_says_from_which(tmp_path, opset, version):
    path = save_model(tmp_path / "m.onnx", "logits = Flatten(input)", SMALL)
    model = onnx.load(path)
    model.opset_import[0].version, model.ir_version = opset, version
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match="newer than the installed onnx") as caught:
        ruled(path)
    assert f"opset {opset}, IR version {version}" in caught.value.why
    assert f"knows opset {onnx.defs.onnx_opset_version()}" in caught.value.why


def test_damaged_files(onnx_path, tmp_path):
    path = tmp_path / "m.onnx"
    for content in (onnx_path.read_bytes()[:5000], b"not a model at all", bytes(300)):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"m\.onnx is not a valid ONNX file"):
            ruled(path)


@pytest.mark.parametrize("dims", [(4, 9), (4, 9, 10), (10**9,) * 4, (-4, -81), (0,)])
def test_a_shape_that_its_bytes_do_not_fill_is_damage(tmp_path, dims):
    path = save_model(tmp_path / "m.onnx", "logits = Add(input, w)", SMALL, w=np.ones(SMALL, np.float32))
    for packed in (True, False):
        model = onnx.load(path)
        weights = model.graph.initializer[0]
        weights.dims[:] = dims
        if not packed:
            weights.ClearField("raw_data")
            weights.float_data.extend([1.0] * 324)
        (tmp_path / "damaged.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelFileError, match="not a valid ONNX file"):
            ruled(tmp_path / "damaged.onnx")


@pytest.mark.parametrize(
    "facts", [{"offset": "-8"}, {"length": "-1"}, {"length": "8"}, {"offset": "x"}, {"offset": "9" * 5000}]
)
def test_data_that_lies_nowhere_is_damage(with_data, facts):
    model = onnx.load(with_data, load_external_data=False)
    for each in model.graph.initializer[0].external_data:
        each.value = facts.get(each.key, each.value)
    with_data.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="not a valid ONNX file"):
        ruled(with_data)


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=r"cannot read m\.onnx"):
        inspect_model(tmp_path / "m.onnx")


@pytest.fixture
def with_data(tmp_path):
    """A model whose weights lie in weights.bin beside it."""
    path = save_model(tmp_path / "m.onnx", "logits = Add(input, w)", SMALL, w=np.ones(SMALL, np.float32))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_a_data_file_that_is_missing_or_short(with_data):
    data = with_data.with_name("weights.bin")
    assert codes(ruled(with_data)) == []
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match=r"ends at byte 1296 of weights\.bin, which has 1295"):
        ruled(with_data)
    data.unlink()
    with pytest.raises(ModelFileError, match=r"weights\.bin"):
        ruled(with_data)


@pytest.mark.parametrize(
    "place", ["{}/elsewhere.bin", "../elsewhere.bin", "a/../../elsewhere.bin", "link.bin", "link/e"]
)
def test_weights_outside_of_the_folder_are_refused(with_data, tmp_path_factory, place):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "e").write_bytes(bytes(1296))
    with_data.with_name("link.bin").symlink_to(elsewhere / "e")
    with_data.with_name("link").symlink_to(elsewhere)
    model = onnx.load(with_data, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = place.format(elsewhere)
    onnx.save(model, with_data)
    with pytest.raises(ModelFileError, match="from a place that is not read") as caught:
        ruled(with_data)
    assert "'w'" in caught.value.why
    assert "beside the model" in caught.value.hint
