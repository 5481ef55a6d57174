"""Vela's account of a network against the program run by hand, and against counts that are none of Vela's."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_tflite import tiny_tflite

from ofa_edge.errors import ConfigError, ConversionError, UnknownNameError
from ofa_edge.export.vela.compile import compile_int8, read_account
from ofa_edge.export.vela.options import ACCELERATORS, VelaSystem
from ofa_edge.schema import changed
from ofa_edge.target_schema import Npu

pytest.importorskip("ethosu.vela", reason="the extra ethos-u is not installed")
# conv 3x3 stride 2 over 2 channels, depthwise 3x3, conv 1x1, mean, dense: see tiny_tflite
U55 = Npu(
    accelerator="ethos-u55-128",
    config="Arm/vela.ini",
    system_config="Ethos_U55_High_End_Embedded",
    memory_mode="Shared_Sram",
    sram_bytes=1 << 20,
)


def system(folder: Path, **changes: object) -> VelaSystem:
    return VelaSystem(changed(U55, **changes), folder)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vela") / "model.int8.tflite"
    path.write_bytes(tiny_tflite(quantised=True))
    return path


@pytest.fixture(scope="module")
def compiled(network):
    return compile_int8(network, system(network.parent), network.parent / "out.tflite")


@pytest.fixture(scope="module")
def by_hand(network, tmp_path_factory):
    """What the program leaves."""
    folder = tmp_path_factory.mktemp("by-hand")
    command = system(network.parent).command(network.name)
    assert command[0] == "vela"
    arguments = [sys.executable, "-m", "ethosu.vela", *command[1:], "--output-dir", str(folder)]
    arguments += ["--verbose-performance"]
    subprocess.run(arguments, check=True, cwd=network.parent, capture_output=True)
    return folder


def test_the_program_run_by_hand_says_the_same(network, compiled, by_hand):
    (summary,) = by_hand.glob("*_summary_*.csv")
    (row,) = csv.DictReader(summary.read_text().splitlines())
    assert int(row["cycles_total"]) == compiled.cycles
    assert float(row["inference_time"]) * 1e3 == pytest.approx(compiled.ms, rel=1e-3)
    assert (by_hand / "model.int8_vela.tflite").read_bytes() == (network.parent / "out.tflite").read_bytes()


@pytest.mark.parametrize("file", ["summary", "layers"])
def test_tables_of_another_version_are_an_error_of_ours(network, compiled, by_hand, file):
    """Each column gone, and each value something that is no count: read, or refused in words."""
    paths = {"summary": next(by_hand.glob("*_summary_*.csv")), "layers": next(by_hand.glob("*_per-layer.csv"))}
    texts = {name: path.read_text() for name, path in paths.items()}
    assert read_account(**texts, system=system(network.parent)) == compiled
    head, *rows = texts[file].splitlines()
    tables = ["", head, texts[file] * 2, "\0" * 20, f"{head}\n{rows[0][:-40]}\n"]
    for place, name in enumerate(head.split(",")):
        tables.append(texts[file].replace(name, "", 1))
        for bad in ("", "nan", "inf", "-7", "0", "9" * 400, "x\u202e"):
            row = rows[0].split(",")
            row[place] = bad
            tables.append("\n".join([head, ",".join(row), *rows[1:]]))
    refused = 0
    for table in tables:
        try:
            read_account(**{**texts, file: table}, system=system(network.parent))
        except ConversionError as error:
            refused += "cannot be read" in error.what or "nothing of this network runs" in error.what
    assert refused > 20


def test_what_it_counts_is_what_the_network_has(network, compiled):
    macs = {layer.op: layer.macs for layer in compiled.layers if layer.macs}
    rows = [layer for layer in compiled.layers if layer.macs]
    assert sum(layer.macs for layer in rows) == compiled.macs
    assert macs["DepthwiseConv2D"] == 6 * 6 * 3 * 3 * 8 * 1  # by hand: positions, taps, channels
    assert sum(layer.cycles for layer in compiled.layers) == compiled.cycles
    assert 0 < compiled.utilisation(128) < 1
    assert compiled.moved["off-chip flash"] == compiled.offchip_bytes > 0


def test_less_memory_than_a_network_needs_is_still_told(network):
    found = compile_int8(network, system(network.parent, sram_bytes=256))
    assert found.sram_bytes > 256


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [
        ("accelerator", "ethos-u55-182", "ethos-u55-128"),
        ("system_config", "Ethos_U55_High_End_Embeded", "Ethos_U55_High_End_Embedded"),
        ("memory_mode", "Shared_Ram", "Shared_Sram"),
    ],
)
def test_an_unknown_name_gives_the_nearest(tmp_path, key, value, near):
    with pytest.raises(UnknownNameError) as caught:
        system(tmp_path, **{key: value}).check()
    assert near in caught.value.why


def test_a_system_of_another_series_is_refused_though_vela_takes_it(tmp_path):
    with pytest.raises(ConfigError, match="Ethos-U85") as caught:
        system(tmp_path, system_config="Ethos_U85_SYS_DRAM_Mid").check()
    assert "Ethos_U55_High_End_Embedded" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x", "no section headers"),
        ("[System_Config.A]\ncore_clock=fast\n[Memory_Mode.B]\n", "core_clock = fast"),
        ("[System_Config.A]\n[Memory_Mode.B]\n", "core_clock = nothing"),
        ("[System_Config.A]\ninherit=System_Config.A\n[Memory_Mode.B]\n", "core_clock = nothing"),
        ("[System_Config.A]\ncore_clock=%(x)s\n[Memory_Mode.B]\n", "x"),
    ],
)
def test_a_configuration_of_ones_own_is_read_first_and_its_faults_are_named(tmp_path, text, said):
    (tmp_path / "mine.ini").write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.ini") as caught:
        system(tmp_path, config="mine.ini", system_config="A", memory_mode="B").check()
    assert said in caught.value.why


def test_a_configuration_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(ConfigError, match="Arm/vela2"):
        system(tmp_path, config="Arm/vela2.ini").check()


def test_a_file_that_vela_refuses_leaves_nothing(tmp_path):
    path = tmp_path / "fp32.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    with pytest.raises(ConversionError, match=r"did not compile fp32\.tflite"):
        compile_int8(path, system(tmp_path), tmp_path / "out.tflite")
    assert [each.name for each in tmp_path.iterdir()] == ["fp32.tflite"]


def test_the_accelerators_are_those_of_the_program():
    said = subprocess.run(
        [sys.executable, "-m", "ethosu.vela", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert set(ACCELERATORS) == set(re.findall(r"ethos-u\d+-\d+", said))


def test_kernels_of_microcontrollers_give_the_bits_of_the_reference_kernels(network):
    pytest.importorskip("tflite_micro", reason="the extra ethos-u is not installed")
    from ofa_edge.export.vela.micro import reference_answers, unequal_values

    images = np.random.default_rng(0).standard_normal((3, 2, 12, 12)).astype(np.float32)
    assert unequal_values(network, images) == 0
    assert reference_answers(network, images).shape == (3, 5)
