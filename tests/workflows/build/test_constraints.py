"""From options and target files to what a search has to keep."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ofa_edge.errors import ConfigError, UnknownNameError, UnsupportedError
from ofa_edge.latency.protocol import OutsideKey
from ofa_edge.runtimes import runtime_named
from ofa_edge.search.evolution import SearchOptions
from ofa_edge.supernet import zoo
from ofa_edge.targets import builtin_folder, load_target, read_target
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.constraints import (
    Constraints,
    limits_of,
    parse_kernels,
    parse_quantity,
    parse_target_budget,
    quantities,
    require_able,
    searched_part,
)
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.search import constraint_facts, constraint_words, predicted_search, search_inputs

SHORT = SearchOptions(evaluations=1500)
PROXYLESS = "ofa_proxyless_d234_e346_k357_w1.3"
TFLITE = runtime_named("tflite")


def target_with(folder: Path, search: str) -> Path:
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    (folder / "raspberry-pi-4.latency.json").write_bytes(
        (builtin_folder() / "raspberry-pi-4.latency.json").read_bytes()
    )
    (folder / "npu.toml").write_text(text.replace("[latency_model]", f"[search]\n{search}\n[latency_model]"))
    return folder / "npu.toml"


@pytest.mark.parametrize(
    ("text", "value"), [("8M", 8e6), ("350kB", 350e3), ("1.5MiB", 1.5 * 2**20), ("42", 42.0), (" 2 g ", 2e9)]
)
def test_quantities_have_units(text: str, value: float) -> None:
    assert parse_quantity(text, "--max-macs") == value


@pytest.mark.parametrize("text", ["", "M", "-8M", "8 parsecs", "0", "1e6"])
def test_bad_quantities_name_their_option(text: str) -> None:
    with pytest.raises(ConfigError, match="bad quantity for --max-size"):
        parse_quantity(text, "--max-size")


def test_budgets_of_other_targets() -> None:
    assert parse_target_budget("pixel-4=20ms") == ("pixel-4", 20.0)
    assert parse_target_budget("some/place=here.toml=1.5") == ("some/place=here.toml", 1.5)
    for wrong in ("pixel-4", "=3", "pixel-4=", "pixel-4=0", "pixel-4=fast"):
        with pytest.raises(ConfigError, match="bad budget of another target"):
            parse_target_budget(wrong)


def test_kernels() -> None:
    assert parse_kernels("5,3") == (3, 5)
    with pytest.raises(ConfigError, match="bad kernel sizes"):
        parse_kernels("3;5")


def test_a_target_that_bans_an_operator_is_offered_supernets_without_it(tmp_path) -> None:
    target = read_target(target_with(tmp_path, "squeeze_excite = false\nhard_swish = false"))
    mobilenet, proxyless = (zoo.UNTRAINED[name] for name in ("ofa_mbv3_d234_e346_k357_w1.0", PROXYLESS))
    with pytest.raises(UnsupportedError, match="has squeeze-and-excite and hard-swish") as caught:
        require_able("mbv3", mobilenet, target)
    assert caught.value.hint == f"--supernet {PROXYLESS} or --supernet ofa_resnet50"
    require_able("proxyless", proxyless, target)
    require_able("mbv3", mobilenet, load_target("raspberry-pi-4"))


def test_a_supernet_without_any_allowed_kernel_is_refused(tmp_path) -> None:
    target = read_target(target_with(tmp_path, "kernels = [5]"))
    with pytest.raises(UnsupportedError, match="no kernel of 5"):
        require_able("resnet", zoo.UNTRAINED["ofa_resnet50"], target)


def test_kernels_of_target_and_options_meet(tmp_path) -> None:
    space, target = zoo.UNTRAINED[PROXYLESS], read_target(target_with(tmp_path, "kernels = [3, 5]"))
    part = searched_part(Constraints(), space, target)
    assert part is not None
    assert part.kernels == (3, 5)
    both = searched_part(Constraints(kernels=(5, 7)), space, target)
    assert both is not None
    assert both.kernels == (5,)
    assert searched_part(Constraints(kernels=(3, 5, 7)), space, load_target("raspberry-pi-4")) is None
    with pytest.raises(ConfigError, match="--kernels and target npu contradict each other"):
        searched_part(Constraints(kernels=(7,)), space, target)
    with pytest.raises(ConfigError, match="no such kernel"):
        searched_part(Constraints(kernels=(4,)), space, target)


@pytest.mark.parametrize("search", ['kernels = "3"', "kernels = []", "se = false"])
def test_a_bad_search_table_is_refused(tmp_path, search: str) -> None:
    with pytest.raises(ConfigError):
        read_target(target_with(tmp_path, search))


def test_every_limit_measures_what_it_says() -> None:
    space = zoo.open_space(zoo.DEFAULT)
    asked = Constraints(max_macs=5e6, max_size=9e5, max_memory=1.5e5, also=(("pixel-4", 3.0),))
    limits = limits_of(asked, space, TFLITE, "int8", outside_key=False)
    assert [limit.option for limit in limits] == ["--max-macs", "--max-size", "--max-memory", "--also pixel-4=MS:"]
    genomes = space.sample(np.random.default_rng(0), 20)
    further = quantities(space, TFLITE, "int8")
    macs, size, memory, _ = (limit.measure(genomes) for limit in limits)
    assert macs == pytest.approx(further["macs"](genomes))
    assert (size > further["size_bytes"](genomes)).all()  # the size model's error counts against the subnet
    assert memory == pytest.approx(further["memory_bytes"](genomes))
    fp32 = quantities(space, TFLITE, "fp32")
    assert (further["size_bytes"](genomes) < fp32["size_bytes"](genomes)).all()
    assert 4 * memory == pytest.approx(fp32["memory_bytes"](genomes))
    assert "size_bytes" not in quantities(space, TFLITE, "dynamic")


def test_an_unknown_other_target_is_named() -> None:
    with pytest.raises(UnknownNameError, match="unknown target 'pixel-44'"):
        limits_of(
            Constraints(also=(("pixel-44", 3.0),)), zoo.open_space(zoo.DEFAULT), TFLITE, "fp32", outside_key=False
        )


def test_a_plan_searches_within_its_constraints() -> None:
    asked = Constraints(max_macs=4e6, kernels=(3, 5))
    plan = make_plan(BuildOptions("raspberry-pi-4", device="none", constraints=asked), claim=False, images=False).search
    front = predicted_search(plan, SHORT)
    assert front.space is plan.package.space
    for point in front.points:
        assert {kernel for stage in point.subnet.stages for kernel, _ in stage} <= {3, 5}
    assert (plan.limits[0].measure(front.genomes) <= 4e6).all()
    assert np.isfinite(front.bound.at(plan.budget_ms))


def test_a_least_accuracy_opens_the_budget_and_needs_a_predictor() -> None:
    options = BuildOptions("raspberry-pi-4", device="none")
    points = predicted_search(make_plan(options, claim=False, images=False).search, SHORT).points
    wanted = points[len(points) // 2].accuracy
    asked = Constraints(min_accuracy=wanted)
    plan = make_plan(replace(options, constraints=asked), claim=False, images=False).search
    assert plan.relative_budget == 1.0
    least = predicted_search(plan, SHORT).least(wanted)
    assert least is not None
    assert least.accuracy >= wanted
    untrained = BuildOptions("raspberry-pi-4", supernet=PROXYLESS, untrained=True, device="none", constraints=asked)
    with pytest.raises(ConfigError, match="nothing predicts the accuracy"):
        make_plan(untrained, claim=False, images=False)


def test_constraints_are_in_the_key_of_the_search_stage() -> None:
    options = BuildOptions("raspberry-pi-4", device="none")
    seen = []
    for asked in (
        Constraints(),
        Constraints(max_macs=4e6),
        Constraints(min_accuracy=0.9),
        Constraints(kernels=(3,)),
        Constraints(also=(("pixel-4", 3.0),)),
    ):
        plan = make_plan(replace(options, constraints=asked), claim=False, images=False).search
        seen.append(repr(constraint_facts(plan)))
    assert len(set(seen)) == len(seen)
    assert re.search("[0-9a-f]{64}", seen[-1])


def test_threads_and_other_targets_are_in_the_key_of_the_search_stage(tmp_path) -> None:
    plan = make_plan(BuildOptions("raspberry-pi-4", device="none"), claim=False, images=False).search
    runs = plan.target.runtime.model_copy(update={"threads": 1})
    single = replace(plan, target=plan.target.model_copy(update={"runtime": runs}))
    assert search_inputs((single,)) != search_inputs((plan,))  # one latency file, another model of it
    doubted = replace(plan, latency=OutsideKey(plan.latency, ("threads 1",), 0.7))
    assert search_inputs((doubted,)) != search_inputs((plan,))
    seen = []
    for threads in (4, 2):
        text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
        path = tmp_path / "other.toml"
        path.write_text(text.replace("threads = 4", f"threads = {threads}"))
        (tmp_path / "raspberry-pi-4.latency.json").write_bytes(plan.target.latency_path.read_bytes())
        asked = Constraints(also=((str(path), 3.0),))
        seen.append(constraint_facts(replace(plan, constraints=asked)))
    assert seen[0] != seen[1]


def test_a_build_keeps_its_constraints_and_each_set_has_its_own_search(own_cache, tmp_path) -> None:
    space = make_plan(own_cache.options(tmp_path / "out")).package.space
    size = quantities(space, TFLITE, "fp32")["size_bytes"]
    most = 1.2 * float(size(space.genome([space.smallest()]))[0])
    assert most < float(size(space.genome([space.largest()]))[0])
    asked = Constraints(max_size=most, kernels=(3,))
    manifest, stages = own_cache.build(tmp_path / "out", constraints=asked, measure=2)
    assert "search" in stages.made
    assert {kernel for stage in manifest.subnet.stages for kernel, _ in stage} == {3}
    artifact = next(record for record in manifest.outputs if record.path == "model.tflite")
    assert artifact.size <= most
    plan = make_plan(own_cache.options(tmp_path / "out", constraints=asked)).search
    assert [words.partition(" ")[0] for words in constraint_words(plan)] == ["artifact", "kernels"]
