"""A target for another accelerator is a copy that stands by itself, wherever it lies."""

import pytest

from ofa_edge.errors import ConfigError
from ofa_edge.latency.load import find_facts, load_latency_model
from ofa_edge.runtimes import runtime_named
from ofa_edge.supernet.zoo import open_space
from ofa_edge.targets import load_target, read_target
from ofa_edge.workflows.copied_target import copied_target, is_accelerator

ACCELERATORS = ("ethos-u55-128", "ethos-u65-256", "zu3eg", "zu9eg")


@pytest.mark.parametrize("like", ACCELERATORS)
def test_it_is_the_other_by_another_name(tmp_path, like):
    base = load_target(like)
    path, *others = copied_target("mine", like, tmp_path / "far", 'an "odd" \\1 one')
    made = read_target(path)
    assert is_accelerator(base)
    assert made.name == "mine"
    assert made.description == 'an "odd" \\1 one'
    assert sorted(each.name for each in (tmp_path / "far").iterdir()) == sorted(
        ["mine.toml", *(x.name for x in others)]
    )
    assert all(each.name.startswith("mine.") for each in others)
    assert made.latency_path.read_bytes() == base.latency_path.read_bytes()
    left = {"name", "path", "description", "latency_model", "array"}
    assert made.model_dump(exclude=left) == base.model_dump(exclude=left)
    if base.array is not None:
        for own, other in ((made.array.pointwise, base.array.pointwise), (made.array.depthwise, base.array.depthwise)):
            assert (path.parent / own).read_bytes() == (base.path.parent / other).read_bytes()
    assert "#" in path.read_text()  # the sources of its figures


def test_a_copy_of_a_copy_keeps_its_own_configuration(tmp_path):
    path, _ = copied_target("one", "ethos-u55-128", tmp_path)
    path.write_text(path.read_text().replace('"Arm/vela.ini"', '"own.ini"'))
    (tmp_path / "own.ini").write_text("[System_Config.X]\n")
    written = copied_target("two", str(path), tmp_path / "else")
    assert [each.name for each in written] == ["two.toml", "two.latency.json", "two.own.ini"]
    assert read_target(written[0]).npu.config == "two.own.ini"


@pytest.mark.parametrize("taken", ["mine.toml", "mine.latency.json"])
def test_nothing_is_overwritten(tmp_path, taken):
    (tmp_path / taken).write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        copied_target("mine", "ethos-u55-128", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "mine"


def test_arrays_of_a_copy_are_read(tmp_path):
    pytest.importorskip("zigzag", reason="the extra zigzag is not installed")
    path, *_ = copied_target("mine", "zu3eg", tmp_path)
    runtime_named("zigzag").check_target(read_target(path))


def largest_ms(target):
    space = open_space("fashion-mnist")
    return float(load_latency_model(target, space, target.runtime.kind, "int8").predict(space.largest()).ms)


@pytest.mark.parametrize(
    ("like", "change"),
    [
        ("ethos-u55-128", ('accelerator = "ethos-u55-128"', 'accelerator = "ethos-u55-32"')),
        ("ethos-u55-128", ("sram_bytes = 4194304", "sram_bytes = 65536")),
        ("ethos-u65-256", ('"Dedicated_Sram_384KB"', '"Dedicated_Sram_512KB"')),
        ("zu3eg", ("clock_mhz = ", "clock_mhz = 1")),
    ],
)
def test_a_model_of_another_accelerator_is_refused(tmp_path, like, change):
    path, *_ = copied_target("mine", like, tmp_path, load_target(like).description)
    assert largest_ms(read_target(path)) == largest_ms(load_target(like))
    text = path.read_text()
    assert text.count(change[0]) == 1
    path.write_text(text.replace(*change))
    with pytest.raises(ConfigError, match="holds for another accelerator") as caught:
        largest_ms(read_target(path))
    assert "ofa-edge calibrate --target" in caught.value.hint
    assert find_facts(read_target(path), read_target(path).runtime.kind, "int8", outside_key=True)[2] > 1


def test_a_model_of_an_array_whose_file_was_changed_is_refused(tmp_path):
    path, *_ = copied_target("mine", "zu9eg", tmp_path, load_target("zu9eg").description)
    engine = path.parent / read_target(path).array.depthwise
    engine.write_text(engine.read_text() + "# another\n")
    with pytest.raises(ConfigError, match="holds for another accelerator"):
        largest_ms(read_target(path))
