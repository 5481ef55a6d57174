import os
import subprocess
import sys

import numpy as np
import pytest
from places import ROOT
from tvm_models import CLASSES, images, mobile_net, reference, save

from ofa_edge.errors import ConfigError, ConversionError, ToolMissingError, UnknownNameError, UnsupportedError
from ofa_edge.export.tvm import compile as tvm
from ofa_edge.export.tvm.relax import said
from ofa_edge.files import sha256_file

CORTEX_A72 = {
    "kind": "llvm",
    "mtriple": "aarch64-linux-gnu",
    "mcpu": "cortex-a72",
    "mattr": ["+neon"],
    "num-cores": 4,
}
EM_AARCH64 = 183


def test_host_library_agrees_with_onnx_runtime(net, library):
    inputs = images(4)
    logits = tvm.run_tvm_host(library.path, inputs)
    assert logits.shape == (4, CLASSES)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, reference(net, inputs), atol=1e-5)
    assert len(np.unique(logits)) == logits.size  # each image has its own answer


def test_artifact_describes_the_file(library):
    assert library.precision == "fp32"
    assert (library.sha256, library.size) == (sha256_file(library.path), library.path.stat().st_size)


def test_unaligned_input_gives_the_same_logits(library):
    inputs = images(1)
    shifted = np.empty(inputs.size + 1, np.float32)[1:].reshape(inputs.shape)
    shifted[...] = inputs
    run = tvm.load_module(library.path)
    np.testing.assert_array_equal(run(shifted), run(inputs))


def test_logits_outlive_the_next_run(library):
    inputs = images(2)
    run = tvm.load_module(library.path)
    first = run(inputs[:1])
    kept = first.copy()
    run(inputs[1:])
    np.testing.assert_array_equal(first, kept)


def test_fresh_process_needs_the_runtime_only(library, tmp_path):
    inputs = images(2)
    np.save(tmp_path / "in.npy", inputs)
    program = """
import sys
sys.modules.update(dict.fromkeys(("torch", "tensorflow", "onnx")))  # importing them fails
from pathlib import Path
import numpy as np
from ofa_edge.export.tvm.compile import load_module
run = load_module(Path(sys.argv[1]))
images = np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([run(images[i : i + 1]) for i in range(len(images))]))
mapped = Path("/proc/self/maps").read_text()
assert "libtvm_runtime.so" in mapped
assert "libtvm_compiler" not in mapped
assert "tvm" not in sys.modules
"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_FFI_DISABLE_TORCH_C_DLPACK": "1",
    }
    command = [sys.executable, "-c", program, str(library.path), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run(command, env=environment, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), tvm.run_tvm_host(library.path, inputs))


def test_fp16_is_near_but_not_equal(net):
    inputs = images(4)
    half = tvm.compile_cpu(net, net.with_name("half.so"), tvm.host_target(), precision="fp16").file
    logits, exact = tvm.run_tvm_host(half.path, inputs), reference(net, inputs)
    assert logits.dtype == np.float32
    error = np.abs(logits - exact).max()
    assert 1e-6 < error < 5e-3


def test_aarch64_library_is_repeatable(net, tmp_path):
    first = tvm.compile_cpu(net, tmp_path / "a.so", CORTEX_A72).file
    again = tvm.compile_cpu(net, tmp_path / "b.so", CORTEX_A72).file
    header = first.path.read_bytes()[:64]
    assert header[:4] == b"\x7fELF"
    assert int.from_bytes(header[18:20], "little") == EM_AARCH64
    assert first.sha256 == again.sha256 == sha256_file(tmp_path / "b.so")
    with pytest.raises(ConversionError, match=r"cannot load a\.so"):
        tvm.run_tvm_host(first.path, images(1))


@pytest.mark.parametrize("operator", ["Det", "StringNormalizer"])
def test_unsupported_operator_is_named_with_its_node(tmp_path, operator):
    model = mobile_net(operator)
    node = next(node for node in model.graph.node if node.op_type == operator)
    with pytest.raises(ConversionError) as caught:
        tvm.import_onnx(save(model, tmp_path, "odd.onnx"))
    assert operator in caught.value.what
    assert f"'{node.name}'" in caught.value.why
    assert "odd.onnx" in caught.value.why


def test_failing_shapes_are_named_with_its_node(tmp_path, capfd):
    model = mobile_net()
    node = next(node for node in model.graph.node if node.op_type == "Gemm")
    node.input[1] = model.graph.node[0].input[1]  # a convolution's weights: the shapes cannot be multiplied
    path = tmp_path / "shapes.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match="operator Gemm") as caught:
        tvm.import_onnx(path)
    assert node.name in caught.value.why
    assert not capfd.readouterr().out  # stdout is for results


def test_an_operator_that_nothing_compiles_is_named(tmp_path):
    from tvm import relax

    image = relax.Var("image", relax.TensorType([1, 4, 5, 3], "float32"))
    weight = relax.Var("weight", relax.TensorType([3, 6, 2, 2], "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [image, weight]):
        call = relax.op.nn.conv2d_transpose(image, weight, data_layout="NHWC")
        builder.emit_func_output(builder.emit(call))
    target = tvm.make_target(tvm.host_target(), "llvm")
    with pytest.raises(ConversionError) as caught:
        tvm.build(builder.get(), target, tmp_path / "m.so", tvm.find_linker("x86_64"), "m.onnx")
    assert "operator nn.conv2d_transpose" in caught.value.why
    assert "cannot emit" in caught.value.why


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Check failed: no such size\n", "Check failed: no such size"),
        ('\nTraceback (most recent call last):\n  File "a.cc", line 3\n  0: tvm::f()\nno lanes', "no lanes"),
        ("# from tvm.script import relax as R\n ^^^^\n |  x\nx is free\n# Metadata omitted.", "x is free"),
        ("R.nn.relu(x)\n# Metadata omitted.", "operator nn.relu: ValueError"),
        ("", "ValueError"),
    ],
)
def test_what_an_error_says(text, told):
    assert said(ValueError(text)) == told


def test_dynamic_batch_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="fixed shape") as caught:
        tvm.import_onnx(save(mobile_net(batch="N"), tmp_path))
    assert "input [0, 3, 12, 12]" in caught.value.why


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ConversionError, match="not a valid ONNX model"):
        tvm.import_onnx(path)


def test_int8_is_refused_with_the_reason(net):
    with pytest.raises(UnsupportedError, match="calibration"):
        tvm.compile_cpu(net, net.with_name("int8.so"), CORTEX_A72, precision="int8")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"mcpu": "cortex-a77x"}, UnknownNameError, "cortex-a77"),
        ({"mcpu": "native"}, ConfigError, "native"),
        ({"num_cores": 4}, ConfigError, "num_cores"),
        ({"num-cores": "four"}, ConfigError, "expected type"),
        ({"kind": "cuda"}, ConfigError, "needed here: 'llvm'"),
    ],
)
def test_wrong_target_is_refused(net, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        tvm.compile_cpu(net, tmp_path / "x.so", {**CORTEX_A72, **change})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("triple", "package"),
    [
        ("aarch64-linux-gnu", "apt-get install g++-aarch64-linux-gnu"),
        ("riscv64-linux-gnu", "apt-get install g++-riscv64-linux-gnu"),
    ],
)
def test_missing_linker_names_the_package(tmp_path, monkeypatch, triple, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(ToolMissingError) as caught:
        tvm.find_linker(triple)
    assert caught.value.hint == package


def test_missing_linker_stops_before_the_work(net, tmp_path):
    with pytest.raises(ToolMissingError, match="no-such-compiler"):
        tvm.compile_cpu(net, tmp_path / "x.so", CORTEX_A72, cross_compiler="no-such-compiler")


def test_failed_link_leaves_the_old_file(net, tmp_path):
    out = tmp_path / "model.so"
    out.write_bytes(b"old")
    with pytest.raises(ConversionError, match="cannot link"):
        tvm.compile_cpu(net, out, CORTEX_A72, cross_compiler="false")
    assert [path.name for path in tmp_path.iterdir()] == ["model.so"]
    assert out.read_bytes() == b"old"


def test_wrong_image_size_is_told(library):
    with pytest.raises(ConversionError, match=r"\(3, 5, 12\)"):
        tvm.run_tvm_host(library.path, images(1)[:, :, :5])


def test_foreign_file_is_no_library(tmp_path):
    path = tmp_path / "model.so"
    path.write_bytes(b"no library")
    with pytest.raises(ConversionError, match=r"cannot load model\.so"):
        tvm.load_module(path)


def test_host_target_switches_off_what_the_kernel_hides():
    target = tvm.host_target(cores=2)
    assert target["num-cores"] == 2
    assert target.get("mcpu") != "native"
    if "mcpu" not in target or not str(target["mtriple"]).startswith("x86_64"):
        pytest.skip("LLVM cannot name this CPU")
    hidden = tvm.host_target(flags={"sse2", "sse41", "sse42"})["mattr"]
    assert all(name.startswith("-") for name in hidden)
    assert not {"-sse2", "-sse4.1", "-sse4.2"} & set(hidden)


def test_what_runs_here_is_decided_by_features():
    host = tvm.host_target()
    assert tvm.runs_here(tvm.make_target(host, "llvm"))
    triple = "aarch64-linux-gnu" if str(host["mtriple"]).startswith("x86_64") else "x86_64-linux-gnu"
    assert not tvm.runs_here(tvm.make_target({"kind": "llvm", "mtriple": triple}, "llvm"))
    if triple.startswith("aarch64"):
        amx = {**host, "mattr": [*host.get("mattr", []), "+amx-fp16", "+avx512fp16", "+amx-int8", "+amx-tile"]}
        flags = tvm.cpu_flags()
        assert tvm.runs_here(tvm.make_target(amx, "llvm")) == ({"amxfp16", "avx512fp16"} <= flags)
