"""The int8 form of a network beside the artifact with its ranges, in all families."""

import json

import numpy as np
import pytest
import torch
from converted import convert_together
from tiny_net import smooth_images

from ofa_edge.errors import ConversionError, WeightsError
from ofa_edge.export.onnx.export import export_onnx
from ofa_edge.export.onnx.quantise import quantise
from ofa_edge.export.tflite.convert import convert, run_tflite
from ofa_edge.records.ranges import RangesRecord
from ofa_edge.space import Space
from ofa_edge.supernet.bn_recalibration import recalibrate_bn
from ofa_edge.supernet.fold import fold_batch_norm
from ofa_edge.supernet.network import Supernet
from ofa_edge.verify.parity import compare
from ofa_edge.workflows.int8_form import calibrated_form, settled_form

# 27 pixels: 14, 7, 4, 2 on the way down: kernels are split on the first maps, cropped on the last, pooling meets odd
# sizes.
SMALL = {"width_mult": 0.25, "num_classes": 10, "resolutions": (27,)}
FAMILIES = ("ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet")


def batches(seed):
    return [torch.from_numpy(smooth_images(64, seed))]


@pytest.fixture(scope="module")
def nets():
    found = {}
    for family in FAMILIES:
        space = Space.of(family, "small", **SMALL)
        torch.manual_seed(0)
        net = Supernet(space).extract(space.uniform(space.kernels[-1], space.expands[1], space.depths[0]))
        found[family] = recalibrate_bn(net, batches(1))
    return found


@pytest.fixture(scope="module")
def forms(nets):
    return {family: calibrated_form(net, batches(2)) for family, net in nets.items()}


@pytest.fixture(scope="module")
def models(nets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for family, net in nets.items():
        export_onnx(fold_batch_norm(net), (1, 3, 27, 27), folder / f"{family}.onnx")
    return {family: folder / f"{family}.onnx" for family in nets}


@pytest.fixture(scope="module")
def artifacts(forms, models):
    jobs, images = [], next(iter(models.values())).with_name("images.npy")
    np.save(images, smooth_images(8, 3))
    for family, model in models.items():
        ranges = {name: (steps.scale, steps.zero) for name, steps in forms[family].ranges.values.items()}
        settings = {"precision": "int8", "images": str(images), "ranges": ranges}
        jobs.append((model, model.with_suffix(".tflite"), settings))
    convert_together(jobs)
    return {family: model.with_suffix(".tflite") for family, model in models.items()}


def answers(form, images):
    with torch.inference_mode():
        return form.eval()(torch.from_numpy(images)).numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_artifact_answers_as_the_form_that_is_trained(forms, artifacts, family):
    """Random weights: what one step more or less does grows from layer to layer, and int8 itself is a few dB."""
    images, form = smooth_images(24, 4), forms[family]
    wanted = answers(form, images)
    near = compare(wanted, run_tflite(artifacts[family], images)).snr_db
    assert near > 9
    assert near > compare(answers(form.net, images), wanted).snr_db + 5


def test_onnx_runtime_rounds_in_the_same_ranges(forms, models, tmp_path):
    import onnx

    ranges = forms["ofa_mobilenetv3"].ranges
    quantise(models["ofa_mobilenetv3"], tmp_path / "int8.onnx", smooth_images(8, 2), ranges)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    parts = {part.name: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    rounded = {node.input[0]: node.input[1:] for node in graph.node if node.op_type == "QuantizeLinear"}
    found = {value: ends for value, ends in rounded.items() if value in ranges.values}
    assert len(found) > 40
    for value, (scale, zero) in found.items():
        assert parts[scale] == np.float32(ranges.values[value].scale)
        assert parts[zero] == ranges.values[value].zero


def test_ranges_are_told_and_taken_again(nets, forms):
    form = forms["ofa_mobilenetv3"]
    ranges = RangesRecord.model_validate_json(form.ranges.model_dump_json())
    images = smooth_images(8, 4)
    again = settled_form(nets["ofa_mobilenetv3"], ranges)
    assert np.allclose(answers(again, images), answers(form, images), atol=1e-5)
    assert again.ranges.values.keys() == ranges.values.keys()
    with pytest.raises(WeightsError, match="another network's"):
        settled_form(nets["ofa_proxyless"], ranges)


def test_ranges_of_another_network_do_not_convert(forms, models, tmp_path):
    ranges = forms["ofa_proxyless"].ranges
    with pytest.raises(ConversionError, match="do not fit") as caught:
        convert(models["ofa_mobilenetv3"], tmp_path / "out.tflite", "int8", ranges=ranges)
    assert "is rounded in the file" in caught.value.why
    assert not (tmp_path / "out.tflite").exists()


def test_the_record_is_plain(forms):
    found = json.loads(forms["ofa_mobilenetv3"].ranges.model_dump_json())
    assert found["precision"] == "int8"
    gates = {name: steps for name, steps in found["values"].items() if name.endswith("/gate")}
    assert gates
    assert all(steps["zero"] == -128 and abs(255 * steps["scale"] - 6) < 1e-5 for steps in gates.values())
