import csv
import dataclasses
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from ofa_edge.errors import ConfigError, SpaceMismatchError, UnsupportedError
from ofa_edge.latency import load_latency_model
from ofa_edge.latency.analytic import TERMS, AnalyticModel, Coefficients, Lowering
from ofa_edge.latency.entries import Entry, Tables
from ofa_edge.latency.import_table import ImportedTable, write_table_target
from ofa_edge.latency.lookup_yaml import read_tables, tables_of, write_tables
from ofa_edge.latency.protocol import Z50, Z90, Key, LatencyModel, Provenance
from ofa_edge.latency.table import TableModel
from ofa_edge.latency.table_keys import all_parts, block_part, fixed_parts
from ofa_edge.space import Space, Subnet
from ofa_edge.targets import read_target

KEY = Key("a phone", "tflite", "1", "fp32", 1)
PROVENANCE = Provenance("published", "somewhere", ("a paper",), "none")
V3 = Space("v3", 1.2, resolutions=(160, 192, 224))
PROXYLESS = Space.of("ofa_proxyless", "proxyless", width_mult=1.3, resolutions=(160, 192, 224))
SPACES = pytest.mark.parametrize("space", [V3, PROXYLESS], ids=lambda space: space.name)


def analytic(space: Space) -> AnalyticModel:
    ms = np.array([0.05, 0.04, 0.2, 0.25, 0.3, 0.5, 0.1, 0.3, 0.2, 0.2, 0.006, 0.07])
    assert len(ms) == len(TERMS)
    return AnalyticModel(
        space, Coefficients(ms, 0.01 * np.eye(len(TERMS)), 0.1, Z50, Z90, Lowering(4, 4)), KEY, PROVENANCE
    )


def tables(space: Space) -> Tables:
    return tables_of(analytic(space), space)


def model(space: Space, of: Tables | None = None) -> TableModel:
    return TableModel(space, tables(space) if of is None else of, KEY, PROVENANCE, 0.1)


def by_hand(space: Space, of: Tables, subnet: Subnet) -> float:
    keys = [part.key for part in fixed_parts(space, subnet.resolution)]
    for block in space.active_blocks(subnet):
        keys.append(block_part(space, block.spec, block.kernel, block.expand, subnet.resolution).key)
    return sum(of[subnet.resolution][key].mean for key in keys)


def test_keys_are_the_references() -> None:
    """As they stand in the published Note10 tables (width 1.2)."""
    keys = {part.key for part in all_parts(V3, 160)}
    for key in (
        "Conv-input:160x160x3-output:80x80x24",
        "expanded_conv-input:80x80x24-output:80x80x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0",
        "expanded_conv-input:80x80x24-output:40x40x32-expand:72-kernel:3-stride:2-idskip:0-se:0-hs:0",
        "Conv_1-input:5x5x192-output:5x5x1152",
        "AvgPool2D-input:5x5x1152-output:1x1x1152",
        "Conv_2-input:1x1x1152-output:1x1x1536",
        "Logits-input:1x1x1536-output:1000",
    ):
        assert key in keys
    assert len(keys) == 96


def test_proxyless_keys_hold_the_ratio_and_neither_se_nor_hs() -> None:
    space = Space.of("ofa_proxyless", "p", resolutions=(224,))
    keys = {part.key for part in all_parts(space, 224)}
    for key in (
        "Conv-input:224x224x3-output:112x112x32",
        "expanded_conv-input:112x112x32-output:112x112x16-expand:1-kernel:3-stride:1-idskip:0",
        "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0",
        "Conv_1-input:7x7x320-output:7x7x1280",
        "Logits-input:7x7x1280-output:1000",
    ):
        assert key in keys


@SPACES
def test_a_subnet_is_the_sum_of_its_entries_one_by_one_and_many_at_once(space: Space) -> None:
    of = tables(space)
    subject = model(space, of)
    genomes = space.sample(np.random.default_rng(0), 30)
    many = subject.predict_many(genomes)
    for index, genome in enumerate(genomes):
        subnet = space.subnet(genome)
        wanted = pytest.approx(by_hand(space, of, subnet))
        assert many.at(index).ms == wanted
        assert subject.predict(subnet).ms == wanted
        assert sum(part.ms for part in subject.parts(subnet)) == wanted


@SPACES
def test_an_exported_table_reads_back_and_sums_to_the_models_median(space: Space, tmp_path: Path) -> None:
    written = write_tables(tmp_path / "out", tables(space))
    assert [path.name for path in written] == [f"{size}_lookup_table.yaml" for size in (160, 192, 224)]
    assert read_tables(written, space) == tables(space)
    genomes = space.sample(np.random.default_rng(1), 20)
    again = model(space, read_tables(written, space)).predict_many(genomes)
    np.testing.assert_allclose(again.ms, analytic(space).predict_many(genomes).ms, rtol=1e-9)
    assert tables_of(model(space), space) == tables(space)


def test_it_fulfils_the_protocol_and_its_intervals_nest() -> None:
    subject = model(V3)
    assert isinstance(subject, LatencyModel)
    many = subject.predict_many(V3.sample(np.random.default_rng(0), 5))
    ladder = [np.asarray(value) for value in (many.low90, many.low50, many.ms, many.high50, many.high90)]
    assert all((low < high).all() for low, high in itertools.pairwise(ladder))


def test_resolutions_without_a_table_are_filled_in_and_wider() -> None:
    space = dataclasses.replace(V3, resolutions=(128, 132, 160, 164, 180, 192, 224))
    subject = TableModel(space, tables(V3), KEY, PROVENANCE, 0.1)
    assert subject.extrapolated == (128, 132, 164, 180)
    wide = []
    for size in space.resolutions:
        subnet = space.uniform(5, 4, 3, size)
        found, wanted = subject.predict(subnet), float(analytic(space).predict(subnet).ms)
        # The analytic model bends where maps leave the cache.
        assert float(found.ms) == pytest.approx(wanted, rel=0.03 if size >= 160 else 0.06)
        wide.append(round(float(found.high90) / float(found.ms), 6))
    by_size = dict(zip(space.resolutions, wide, strict=True))
    assert by_size[160] == by_size[192] == by_size[224] < by_size[164] == by_size[180] < by_size[128] == by_size[132]


def test_a_shape_that_another_size_has_is_not_filled_in() -> None:
    """Images of 164 px have 6 x 6 maps before the head, as those of 192 px."""
    space = dataclasses.replace(V3, resolutions=(160, 164, 192, 224))
    of = {size: dict(table) for size, table in tables(V3).items()}
    block = space.blocks[-1]
    key = block_part(space, block, 7, 6, 164).key
    assert key == block_part(space, block, 7, 6, 192).key
    of[192][key] = Entry(123.0)
    subnet = space.largest(164)
    assert [part.ms for part in TableModel(space, of, KEY, PROVENANCE, 0.1).parts(subnet)].count(123.0) == 3


def test_intervals_widen_by_what_filling_in_misses() -> None:
    space = dataclasses.replace(V3, resolutions=(160, 176, 192, 224))
    of = tables(V3)
    twice = {key: Entry(2 * entry.mean) for key, entry in of[192].items()}  # no line goes through these
    reach = []
    for each in (of, {**of, 192: twice}):
        found = TableModel(space, each, KEY, PROVENANCE, 0.1).predict(space.largest(176))
        reach.append(float(np.log(found.high90 / found.ms)))
    assert reach[1] > Z90 * np.log(2) * 0.9 > 3 * reach[0]


def test_two_tables_are_too_few_to_fill_in_a_third() -> None:
    of = tables(V3)
    with pytest.raises(ConfigError, match="no latency table for 224 px"):
        model(V3, {160: of[160], 192: of[192]})


def test_a_missing_entry_is_named_with_the_nearest() -> None:
    of = {size: dict(table) for size, table in tables(V3).items()}
    key = block_part(V3, V3.blocks[0], 5, 4, 192).key
    del of[192][key]
    with pytest.raises(ConfigError) as caught:
        model(V3, of)
    assert key in caught.value.what
    assert "nearest: 'expanded_conv-input:96x96x24" in caught.value.why


def test_a_resnet_space_has_no_tables() -> None:
    with pytest.raises(UnsupportedError, match="no latency tables"):
        tables(Space.of("ofa_resnet", "r"))


# -- reading --


def spoiled(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "160_lookup_table.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("mean", ["-1", ".nan", ".inf", "fast", "null", "true"])
def test_a_latency_that_is_none_is_refused(tmp_path: Path, mean: str) -> None:
    path = spoiled(tmp_path, f"Conv-input:160x160x3-output:80x80x24: {{count: 1, mean: {mean}, std: 0}}\n")
    with pytest.raises(ConfigError, match="not a number of milliseconds"):
        read_tables([path], V3)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "!!python/object/apply:os.getcwd []", "\x00"])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="latency table"):
        read_tables([spoiled(tmp_path, text)], V3)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "an anchor"),
        ("a: *b", "an alias"),
        ("&a a: 1", "an anchor"),
        ("a: &a [*a]", "an anchor"),
        ("a: {<<: {mean: 1}}", "a merge"),
        ("a: !!int '1'", "a tag"),
        ("a: !!binary AAAA", "a tag"),
        ("a: !!python/name:os.system x", "a tag"),
        ("a: ! x", "a tag"),
        ("a: " + "[" * 5_000, "a nesting"),
        ("a: " + "{a: " * 5_000, "a nesting"),
        ("- " * 5_000, "a nesting"),
        ("a: " + "9" * 5_000, "a value of more"),
        ("a: 0x" + "f" * 900, "not a number of milliseconds"),
        ("a: " + ":".join(["1"] * 3_000), "a value of more"),
        ("a: 2001-99-99", "cannot read"),
        ("a: 1\na: 2", "is named twice"),
        ("a: {mean: 1, mean: 2}", "is named twice"),
        ("[a]: 1", "cannot read"),
        ("a: 1\n---\nb: 2", "cannot read"),
        ("# " + "x" * 4_000_000, "bytes, at most"),
    ],
)
def test_what_could_stand_for_more_than_it_is_is_not_read(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="latency") as caught:
        read_tables([spoiled(tmp_path, text)], V3)
    assert words in str(caught.value)


def test_a_table_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "160_lookup_table.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_tables([tmp_path / "160_lookup_table.yaml"], V3)


def test_a_table_for_another_space_is_refused(tmp_path: Path) -> None:
    narrow = Space("narrow", 1.0, resolutions=(160, 192, 224))
    with pytest.raises(SpaceMismatchError) as caught:
        read_tables(write_tables(tmp_path, tables(narrow)), V3)
    assert "160_lookup_table.yaml" in caught.value.what
    with pytest.raises(SpaceMismatchError):
        read_tables(write_tables(tmp_path, tables(PROXYLESS)), V3)


def test_two_tables_of_one_resolution_are_refused(tmp_path: Path) -> None:
    path = write_tables(tmp_path, tables(V3))[0]
    with pytest.raises(ConfigError, match="two tables for 160 px"):
        read_tables([path, path], V3)


def test_variances_are_read_as_deviations(tmp_path: Path) -> None:
    paths = write_tables(tmp_path, tables(V3))
    content = yaml.safe_load(paths[0].read_text())
    key = next(iter(content))
    content[key] = {"count": 9, "mean": 1.5, "var": 0.04}
    paths[0].write_text(yaml.safe_dump(content))
    assert read_tables(paths, V3)[160][key] == Entry(1.5, pytest.approx(0.2), 9)


# -- as a target --


def imported(tmp_path: Path, space: Space = V3) -> Path:
    paths = tuple(write_tables(tmp_path / "yaml", tables(space)))
    return write_table_target(ImportedTable("note", paths, space, KEY, "a paper", 0.1), "pixel-4", tmp_path / "targets")


def test_imported_tables_are_a_target(tmp_path: Path) -> None:
    target = read_target(imported(tmp_path))
    found = load_latency_model(target, V3, "tflite", "fp32")
    subnet = V3.uniform(5, 4, 3, 192)
    assert found.kind == "table"
    assert float(found.predict(subnet).ms) == pytest.approx(float(analytic(V3).predict(subnet).ms))
    assert found.key.unknown == ("os_build", "runtime_digest", "affinity")
    assert found.provenance.sources == ("a paper",)


@pytest.mark.parametrize(
    ("factor", "said"), [(1e-3, "seconds"), (1e3, "microseconds"), (1e-6, "as fast"), (300, "from the nearest model")]
)
def test_tables_in_other_units_are_refused(tmp_path: Path, factor: float, said: str) -> None:
    scaled = {
        size: {key: dataclasses.replace(entry, mean=entry.mean * factor) for key, entry in table.items()}
        for size, table in tables(V3).items()
    }
    paths = tuple(write_tables(tmp_path / "yaml", scaled))
    with pytest.raises(ConfigError) as caught:
        write_table_target(ImportedTable("note", paths, V3, KEY, "a paper", 0.1), "pixel-4", tmp_path / "targets")
    assert said in caught.value.what
    assert not (tmp_path / "targets").exists()


@pytest.mark.parametrize("value", [0, -1.5, float("nan"), "fast"])
def test_a_block_takes_a_time_above_zero(tmp_path: Path, value: object) -> None:
    paths = write_tables(tmp_path, tables(V3))
    content = yaml.safe_load(paths[0].read_text())
    key = next(key for key in content if key.startswith("expanded_conv"))
    content[key] = {"count": 9, "mean": value}
    paths[0].write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        read_tables(paths, V3)
    assert key in caught.value.why


def test_an_imported_target_refuses_another_space(tmp_path: Path) -> None:
    target = read_target(imported(tmp_path))
    with pytest.raises(SpaceMismatchError):
        load_latency_model(target, Space("another"), "tflite", "fp32")


def test_an_imported_target_holds_for_the_same_networks_at_other_sizes(tmp_path: Path) -> None:
    target = read_target(imported(tmp_path))
    more = dataclasses.replace(V3, resolutions=tuple(range(160, 225, 4)))
    found = load_latency_model(target, more, "tflite", "fp32")
    subnet = V3.uniform(5, 4, 3, 192)
    assert found.predict(subnet) == load_latency_model(target, V3, "tflite", "fp32").predict(subnet)
    facts = json.loads(target.latency_path.read_text())
    target.latency_path.write_text(json.dumps({**facts, "resolutions": [160, 192]}))  # not those behind the hash
    with pytest.raises(SpaceMismatchError):
        load_latency_model(target, more, "tflite", "fp32")
    del facts["resolutions"]  # as earlier versions wrote it
    target.latency_path.write_text(json.dumps(facts))
    assert load_latency_model(target, V3, "tflite", "fp32").predict(subnet) == found.predict(subnet)
    with pytest.raises(SpaceMismatchError):
        load_latency_model(target, more, "tflite", "fp32")


def test_a_negative_entry_of_a_file_is_refused(tmp_path: Path) -> None:
    target = read_target(imported(tmp_path))
    facts = json.loads(target.latency_path.read_text())
    table = facts["models"][0]["tables"]["160"]
    table[next(iter(table))]["mean"] = -1.0
    target.latency_path.write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match="does not fit its schema"):
        load_latency_model(target, V3, "tflite", "fp32")


# -- the published tables, where they are at hand --

DATA = Path(os.environ.get("OFA_EDGE_LATENCY_DATA", "")) / "lut_ofa_note10_pixel1.csv"


PUBLISHED = pytest.mark.skipif(not DATA.is_file(), reason="OFA_EDGE_LATENCY_DATA names no folder with published tables")


def note10() -> dict[int, dict[str, Entry]]:
    of: dict[int, dict[str, Entry]] = {}
    with DATA.open(newline="") as file:
        for row in csv.DictReader(file):
            if "Note10" in row["device"]:
                key = f"{row['op']}-input:{row['input']}-output:{row['output']}"
                if row["op"] == "expanded_conv":
                    values = list(row.values())[5:11]
                    fields = zip(("expand", "kernel", "stride", "idskip", "se", "hs"), values, strict=True)
                    key += "".join(f"-{name}:{value}" for name, value in fields)
                of.setdefault(int(row["resolution"]), {})[key] = Entry(float(row["mean_ms"]))
    return of


@PUBLISHED
def test_the_published_note10_tables_are_for_width_1_2(tmp_path: Path) -> None:
    of = note10()
    space = Space("w1.2", 1.2, resolutions=tuple(sorted(of)))
    paths = write_tables(tmp_path, of)
    assert read_tables(paths, space) == of
    subject = model(space, of)
    smallest, largest = (subject.predict(net) for net in (space.smallest(), space.largest()))
    # The published networks of this phone lie between 8 and 64 ms.
    assert float(smallest.ms) < 16
    assert float(largest.ms) > 50
    assert float(subject.predict(space.largest()).ms) == pytest.approx(by_hand(space, of, space.largest()))
    with pytest.raises(SpaceMismatchError):
        read_tables(paths, Space("w1.0", 1.0))


@PUBLISHED
def test_five_of_the_published_tables_give_the_other_twelve() -> None:
    of = note10()
    space = Space("w1.2", 1.2, resolutions=tuple(sorted(of)))
    whole = model(space, of)
    part = model(space, {size: of[size] for size in (160, 176, 192, 208, 224)})
    genomes = space.sample(np.random.default_rng(0), 2000)
    genomes = genomes[[space.resolutions[row] in part.extrapolated for row in genomes[:, -1]]]
    found, wanted = part.predict_many(genomes), np.asarray(whole.predict_many(genomes).ms)
    error = np.log(wanted / np.asarray(found.ms))
    assert np.abs(error).max() < 0.011
    assert np.sqrt(np.mean(error**2)) < 0.003
