"""A build for a Jetson, from the tiny package: what its folder, its ladder and its report say."""

import json

import pytest

from ofa_edge.device.runners.build import CUDA_PLUGIN, RUNNER
from ofa_edge.errors import ToolMissingError


@pytest.fixture(scope="module")
def built(workshop, tmp_path_factory):
    """(the output folder, its manifest)."""
    out = tmp_path_factory.mktemp("jetson") / "out"
    try:
        return out, workshop.build(out, target="jetson-nano")[0]
    except ToolMissingError as error:
        if "cannot fetch" in error.what:
            pytest.skip(f"{error.what}: {error.why}")
        raise


def test_the_folder_holds_the_network_and_all_that_runs_it(built):
    _, manifest = built
    names = {record.path: record.role for record in manifest.outputs}
    assert names["model.so"] == "artifact"
    assert names["kernels.cu"] == "facts"
    runner = {"libtvm_runtime.so", "libtvm_ffi.so", RUNNER, CUDA_PLUGIN}
    assert {path for path, role in names.items() if role == "runner"} == {f"runner/{name}" for name in runner}
    assert "emulated.so" not in names


def test_the_kernels_ran_emulated_and_the_ladder_says_so(built):
    _, manifest = built
    *_, emulated = manifest.ladder
    assert emulated.name == "tvm fp32, emulated kernels"
    assert emulated.reference == manifest.ladder[0].name
    assert emulated.outcome == "pass"
    assert emulated.snr_db > 80
    assert 1 <= emulated.images <= 32
    assert "no GPU ran them" in emulated.note
    assert emulated.top1 is None
    verdicts = {verdict.gate: verdict for verdict in manifest.verdicts}
    assert verdicts["parity"].outcome == "pass"
    assert verdicts["latency"].outcome == "unverified"
    assert f"on {manifest.ladder[0].images} images" in verdicts["accuracy"].reason
    assert any("sm_53" in reason and "speed is not known" in reason for reason in manifest.skipped)


def test_every_kernel_is_told_in_manifest_and_report(built):
    out, manifest = built
    facts = json.loads((out / "model.json").read_text())
    assert [kernel.name for kernel in manifest.kernels] == [kernel["name"] for kernel in facts["kernels"]]
    report = (out / "report.html").read_text()
    assert all(kernel.name in report for kernel in manifest.kernels)
    assert "compiled without a GPU" in report
    assert "No rule of this project took" not in report
    for kernel in manifest.kernels:
        assert kernel.own_rule
        assert kernel.arch == "sm_53"
        assert kernel.stack == 0
