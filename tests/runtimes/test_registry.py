"""Which runtimes there are, what each can build for a target, and plug-ins that cannot be used."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from places import ROOT

from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.runtimes import precisions_for, registry, require, runtime_named, runtimes, runtimes_for
from ofa_edge.runtimes.tflite import TFLite
from ofa_edge.targets import builtin_folder, list_targets, load_target, read_target
from ofa_edge.vocabulary import PRECISIONS


def test_our_own_are_there() -> None:
    assert list(runtimes())[:6] == ["tflite", "tvm", "tvm-cuda", "onnxruntime", "ethos-u", "zigzag"]
    assert runtime_named("tflite") is runtime_named("tflite")


def test_int8_on_jetson_nano_is_refused_with_the_hardware_reason() -> None:
    with pytest.raises(UnsupportedError) as caught:
        require(load_target("jetson-nano"), "tvm-cuda", "int8")
    assert "sm_53" in caught.value.why
    assert "int8 dot product" in caught.value.why
    assert "--precision fp32" in caught.value.hint


@pytest.mark.parametrize("runtime", ["tflite", "tvm"])
def test_a_runtime_that_the_target_lacks_is_refused(runtime: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{runtime} on jetson-nano") as caught:
        require(load_target("jetson-nano"), runtime, "fp32")
    assert "builds for: tvm-cuda" in caught.value.why


def test_an_alternative_runtime_has_its_own_precisions() -> None:
    target = load_target("raspberry-pi-4")
    require(target, "tflite", "int8")
    assert precisions_for(target, runtime_named("tvm")) == ("fp32",)
    with pytest.raises(UnsupportedError) as caught:
        require(target, "tvm", "int8")
    assert "TFLite path" in caught.value.why


def test_every_precision_is_either_offered_or_refused_with_a_reason() -> None:
    for target in list_targets():
        for runtime in runtimes_for(target):
            for precision in PRECISIONS:
                if precision in precisions_for(target, runtime):
                    assert require(target, runtime.name, precision) is runtime
                else:
                    with pytest.raises(UnsupportedError) as caught:
                        require(target, runtime.name, precision)
                    assert " lists " not in caught.value.why, f"{target.name} {runtime} {precision}: no reason given"


@pytest.mark.parametrize(
    ("name", "runtime", "words"),
    [
        ("raspberry-pi-4", "tflite", "Cortex-A72 is Armv8.0"),
        ("host", "tflite", "x86"),
        ("raspberry-pi-5", "tvm", "TVM artifacts come in fp32, fp16"),
    ],
)
def test_sums_in_half_precision_are_refused_where_nothing_makes_them(name: str, runtime: str, words: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        require(load_target(name), runtime, "fp16-acc16")
    assert words in caught.value.why


def test_sums_in_half_precision_need_a_figure_for_its_arithmetic(tmp_path: Path) -> None:
    assert "fp16-acc16" in precisions_for(load_target("raspberry-pi-5"), runtime_named("tflite"))
    text = (builtin_folder() / "raspberry-pi-5.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text("".join(line for line in text.splitlines(True) if not line.startswith("peak_gmacs_fp16")))
    with pytest.raises(UnsupportedError) as caught:
        require(read_target(path), "tflite", "fp16-acc16")
    assert "mine.toml gives no hardware.peak_gmacs_fp16" in caught.value.why


@pytest.mark.parametrize(
    ("table", "words"), [("", "no [runtime.tvm]"), ('\n[runtime.tvm]\ntarget = { kind = "cuda" }', "kind")]
)
def test_a_target_that_lacks_what_a_runtime_has_to_know(tmp_path: Path, table: str, words: str) -> None:
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    start, end = text.index("[runtime.tvm]"), text.index("[defaults]")
    path = tmp_path / "mine.toml"
    path.write_text(text[:start] + table + "\n" + text[end:])
    with pytest.raises(ConfigError) as caught:
        require(read_target(path), "tvm", "fp32")
    assert words in caught.value.why


# -- plug-ins --


class Own(TFLite):
    """A plug-in."""

    name = "own"


class Nameless(TFLite):
    """A plug-in that is like ours to the name."""


def raises() -> None:
    raise OSError("its library is not there")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch):
    """Entry points, by the name of something in this module."""

    def install(**found: str) -> None:
        points = [EntryPoint(name, f"{__name__}:{value}", registry.ENTRY_POINTS) for name, value in found.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        registry.registry.cache_clear()

    yield install
    registry.registry.cache_clear()


def test_a_plugin_is_a_runtime_like_ours(plugins) -> None:
    plugins(own="Own")
    assert isinstance(runtime_named("own"), Own)
    assert runtime_named("own") not in runtimes_for(load_target("host"))  # that file names others


@pytest.mark.parametrize(
    ("value", "why"), [("raises", "its library is not there"), ("missing", "AttributeError"), ("Path", "no Runtime")]
)
def test_a_plugin_that_cannot_be_used_costs_its_own_name_alone(plugins, value: str, why: str) -> None:
    plugins(own=value)
    assert list(runtimes()) == ["tflite", "tvm", "tvm-cuda", "onnxruntime", "ethos-u", "zigzag"]
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        runtime_named("own")
    assert why in caught.value.why


def test_two_of_one_name_are_an_error(plugins) -> None:
    plugins(tflite="Nameless")
    with pytest.raises(ConfigError, match="two runtimes are named 'tflite'"):
        runtime_named("tflite")
    assert "tvm" in runtimes()


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        runtime_named("tflight")
    assert "tflite" in str(caught.value.what + caught.value.why + caught.value.hint)


def test_the_table_in_the_docs_is_that_of_the_targets() -> None:
    wanted = [
        f"| {target.name} | {runtime.name} | {', '.join(precisions_for(target, runtime))} |"
        for target in list_targets()
        for runtime in runtimes_for(target)
    ]
    page = (ROOT / "docs" / "runtimes.md").read_text().splitlines()
    assert [line for line in page if line.startswith("| ") and not line.startswith("| target")] == wanted
