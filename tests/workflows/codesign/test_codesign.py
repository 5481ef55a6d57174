"""Network and accelerator together: a whole run with Vela, its report against Vela by hand."""

import json

import pytest

from ofa_edge.cache import StageCache
from ofa_edge.cost import operators
from ofa_edge.errors import ConfigError
from ofa_edge.export.vela.compile import compile_int8
from ofa_edge.export.vela.drawn import drawn
from ofa_edge.export.vela.options import VelaSystem
from ofa_edge.records.codesign import CodesignRecord
from ofa_edge.report.codesign import render_codesign
from ofa_edge.supernet import zoo
from ofa_edge.workflows.codesign.accelerators import read_accelerators
from ofa_edge.workflows.codesign.codesign import CodesignOptions, codesign

SPACE = zoo.open_space(zoo.DEFAULT)
THREE = [
    each for each in read_accelerators("ethos-u") if each.name in ("ethos-u55-64", "ethos-u55-256", "ethos-u85-256")
]


# -- with Vela: some 30 compilations, 15 CPU seconds, for all that follows ------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> CodesignRecord:
    pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")
    options = CodesignOptions(zoo.DEFAULT, latency_ms=1.0, evaluations=800, networks=12)
    return codesign(options, THREE[:2], StageCache(tmp_path_factory.mktemp("codesign")), lambda words: None)


def test_the_best_pair_is_within_the_latency_when_it_is_compiled(found):
    best = found.finalists[0]
    assert best.pair == found.best
    assert found.best.ms <= 1.0
    assert best.ms == pytest.approx(found.best.ms, rel=0.1)
    assert all(each.ms > 1.0 or each.accuracy <= found.best.accuracy for each in found.front)


def test_what_the_report_says_of_a_pair_is_velas_own_account(found, tmp_path):
    each = found.finalists[0]
    (accelerator,) = [one for one in THREE if one.name == each.pair.accelerator]
    subnet = SPACE.from_config(each.pair.config)
    path = tmp_path / "model.tflite"
    path.write_bytes(drawn(operators(SPACE, subnet)))
    compiled = compile_int8(path, VelaSystem(accelerator.target.npu, tmp_path))
    assert compiled.cycles == each.cycles
    assert each.gops == pytest.approx(2 * each.macs / (compiled.cycles / compiled.clock_hz) / 1e9)
    assert each.intensity == pytest.approx(2 * each.macs / compiled.moved["off-chip flash"])
    assert each.gops <= min(each.roof_gops, each.intensity * each.offchip_gbps) * 1.001  # below the roofline


def test_it_is_held_against_pairs_in_which_one_side_is_fixed(found):
    roles = [each.role[:3] for each in found.finalists]
    assert roles == ["bes", "(a)", "(b)", "(c)", "lar", "sma"]
    plain = {each.role[:3]: each.pair.subnet for each in found.finalists}
    assert plain["(b)"] == plain["(c)"]
    on = {each.role[:3]: each.pair.accelerator for each in found.finalists}
    assert on["(a)"] == on["(c)"] == THREE[0].name
    assert on["(b)"] == found.best.accelerator


def test_the_record_survives_a_file_and_the_page_shows_it(found):
    again = CodesignRecord.model_validate_json(json.dumps(found.model_dump(mode="json")))
    assert again == found
    page = render_codesign(found)
    assert found.best.subnet in page
    assert "GOPS/s against operations" in page
    assert "<script" not in page


def test_a_reference_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")
    with pytest.raises(ConfigError, match="no accelerator 'x'"):
        codesign(CodesignOptions(zoo.DEFAULT, 1.0, reference="x"), THREE, StageCache(tmp_path), lambda words: None)
