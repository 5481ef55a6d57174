"""`ofa-edge search`: what it prints, and what it refuses."""

import json
from dataclasses import replace

import pytest
from cli_errors import check_error

from ofa_edge.search.evolution import SearchOptions
from ofa_edge.workflows.build.base import BuildOptions
from ofa_edge.workflows.build.constraints import Constraints
from ofa_edge.workflows.build.plan import make_plan
from ofa_edge.workflows.build.search import chosen_candidates, predicted_search
from ofa_edge.workflows.build.search_picture import search_picture

SHORT = ("search", "--target", "raspberry-pi-4", "--evaluations", 1200)
OPTIONS = BuildOptions("raspberry-pi-4", device="none")


@pytest.fixture(scope="module")
def points():
    """What SHORT finds: tests ask for accuracies and latencies that lie on it."""
    plan = make_plan(OPTIONS, claim=False, images=False).search
    return predicted_search(plan, SearchOptions(evaluations=1200)).points


def test_it_prints_the_front_the_choice_and_the_gap(run) -> None:
    code, out, _ = run(*SHORT)
    assert code == 0
    assert "front of " in out
    plan = make_plan(OPTIONS, claim=False, images=False)
    assert f"\nwithin {plan.search.budget_ms:.3g} ms:\n" in out
    assert "1200 subnets evaluated" in out
    assert "is predicted more than" in out
    assert out.rstrip().endswith("next: ofa-edge build --target raspberry-pi-4")


def test_json_holds_the_whole_front_with_every_axis(run) -> None:
    code, out, _ = run(*SHORT, "--latency-ms", 2.5, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["objective"] == "top1"
    assert facts["evaluations"] == 1200
    assert facts["interrupted"] is None
    latency = [point["latency_ms"] for point in facts["front"]]
    scores = [point["score"] for point in facts["front"]]
    assert latency == sorted(latency)
    assert scores == sorted(scores)
    assert all(point["bound"] >= point["score"] for point in facts["front"])
    assert {"macs", "size_bytes", "memory_bytes", "id", "subnet"} <= set(facts["front"][0])
    within = [point for point in facts["front"] if point["latency_ms"] <= 2.5]
    assert facts["best"][0] == {key: value for key, value in within[-1].items() if key != "bound"}
    assert 0 <= facts["bound"] - facts["best"][0]["score"] < 0.002


def test_limits_are_kept(run) -> None:
    _, out, _ = run(*SHORT, "--max-size", "900kB", "--max-macs", "3M", "--kernels", "3,5", "--json")
    for point in json.loads(out)["front"]:
        assert point["size_bytes"] <= 900e3
        assert point["macs"] <= 3e6
        assert set(point["subnet"]["ks"]) <= {3, 5}


def test_the_fastest_of_an_accuracy_comes_first(run, points) -> None:
    wanted = points[len(points) // 2].accuracy
    _, out, _ = run(*SHORT, "--min-accuracy", wanted, "--json")
    best = json.loads(out)["best"]
    assert best
    assert all(item["score"] >= wanted for item in best)
    assert [item["latency_ms"] for item in best] == sorted(item["latency_ms"] for item in best)


def test_without_a_predictor_macs_are_maximised(run) -> None:
    untrained = ("--supernet", "ofa_mbv3_d234_e346_k357_w1.0", "--untrained")
    code, out, _ = run(*SHORT, *untrained)
    assert code == 0
    assert "M MACs better (upper bound)" in out


def test_a_search_out_of_time_says_so(run) -> None:
    code, out, _ = run("search", "--target", "raspberry-pi-4", "--seconds", 1e-6)
    assert code == 0
    assert "INCOMPLETE: stopped after 1e-06 s; this is the best front so far" in out


def test_a_search_out_of_time_may_have_nothing_accurate_enough_yet(run, tmp_path) -> None:
    options = ("--seconds", 1e-6, "--min-accuracy", 0.99)
    code, out, _ = run("search", "--target", "raspberry-pi-4", *options, "--plot", "front.svg")
    assert code == 0
    assert "none of that accuracy yet" in out
    assert "next:" not in out
    assert (tmp_path / "here" / "front.svg").is_file()
    assert json.loads(run("search", "--target", "raspberry-pi-4", *options, "--json")[1])["best"] == []


def test_the_next_command_keeps_what_was_asked_for(run) -> None:
    options = ("--latency-ms", 2.5, "--max-size", "900kB", "--kernels", "3,5", "--also", "pixel-4=2ms", "--seed", 3)
    _, out, _ = run(*SHORT, *options, "--also", "raspberry-pi-5=2", "--outside-key")
    assert out.splitlines()[-1] == (
        "next: ofa-edge build --target raspberry-pi-4 --latency-ms 2.5 --outside-key --max-size 900kB --kernels 3,5 "
        "--also pixel-4=2ms --also raspberry-pi-5=2 --seed 3"
    )


def test_the_picture_shows_the_subnet_that_is_chosen(points) -> None:
    constraints = Constraints(min_accuracy=points[len(points) // 2].accuracy)
    plan = make_plan(replace(OPTIONS, constraints=constraints), claim=False, images=False).search
    front = predicted_search(plan, SearchOptions(evaluations=1200))
    assert search_picture(plan, front).chosen.id == chosen_candidates(plan, front, 1)[0].subnet.id


def test_ctrl_c_prints_the_front_so_far_and_says_so(run, monkeypatch) -> None:
    from ofa_edge.search.archive import Archive

    evaluate, calls = Archive.evaluate, []

    def interrupted(self, genomes):
        calls.append(1)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return evaluate(self, genomes)

    monkeypatch.setattr(Archive, "evaluate", interrupted)
    code, out, _ = run("search", "--target", "raspberry-pi-4")
    assert code == 130
    assert "INCOMPLETE: interrupted; this is the best front so far" in out
    assert "front of " in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--latency-ms", 0.01), "no subnet takes 0.01 ms or less"),
        (("--max-size", "1kB"), "keeps artifact size"),
        (("--min-accuracy", "nan"), "no number to work with"),
        (("--seconds", "nan"), "no number to work with"),
        (("--latency-ms", "nan"), "bad budget"),
        (("--max-size", "big"), "bad quantity for --max-size"),
        (("--kernels", "4"), "has no such kernel"),
        (("--also", "pixel-44=3"), "unknown target 'pixel-44'"),
        (("--min-accuracy", 0.999), "has an accuracy of 0.999"),
        (("--precision", "dynamic", "--max-size", "1MB"), "cannot be predicted"),
    ],
)
def test_what_cannot_be_is_named(run, options, message: str) -> None:
    assert message in check_error(run(*SHORT, *options))


def test_an_accuracy_that_takes_longer_than_allowed_is_a_contradiction(run, points) -> None:
    latency = round(1.1 * points[0].latency_ms, 3)
    options = ("--min-accuracy", points[-1].accuracy, "--latency-ms", latency)
    err = check_error(run(*SHORT, *options))
    assert f"and latency at most {latency:g} ms contradict each other" in err
