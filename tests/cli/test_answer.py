"""Every command can answer with one JSON object, and with nothing else on stdout."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_errors import check_error

from ofa_edge.cli import cli
from ofa_edge.cli.answer import OPTION, Answer, AnswerCommand, print_json


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(leaves(cli))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_answers_in_json_errors_too(run, path):
    assert isinstance(LEAVES[path], AnswerCommand)
    code, out, err = run(*path, OPTION, "--no-such-option")
    assert code == 2
    error = json.loads(out)["error"]
    assert "--no-such-option" in error["what"]
    assert error["code"] == 2
    assert error["kind"] == "NoSuchOption"
    assert error["why"].startswith(f"usage: ofa-edge {' '.join(path)}")
    assert err.splitlines()[-1] == f"  try: {error['try']}"


def test_an_argument_that_is_no_text_is_refused_in_json_too(run):
    code, out, err = run("inspect", "a\udcff.onnx", OPTION)
    assert code == 2
    error = json.loads(out)["error"]
    assert "not UTF-8" in error["what"]
    assert r"a\xff.onnx" in error["why"]
    assert err.isascii()


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("targets", "list"), {"targets"}),
        (("devices", "list"), {"built_in", "own", "file"}),
        (("cache", "list"), {"folder", "bytes", "stages"}),
        (("cache", "prune"), {"entries", "bytes"}),
        (("zoo", "list"), {"supernets", "files", "licence"}),
        (("zoo", "net-config", "smallest"), {"blocks", "classifier"}),
        (("train", "--list"), {"recipes", "presets"}),
        (("train", "--keys"), {"page"}),
        (("targets", "validate", "pixel-4"), {"target", "path"}),
        (("build", "--target", "raspberry-pi-4", "--device", "none", "--dry-run"), {"dry_run", "budget_ms", "search"}),
        (("calibrate", "--target", "pixel-4", "--device", "local", "--dry-run"), {"dry_run", "estimated_s", "items"}),
    ],
)
def test_stdout_is_one_object(run, arguments, keys):
    code, out, _ = run(*arguments, OPTION)
    assert code == 0
    assert keys <= json.loads(out).keys()


def test_an_error_of_ours_and_an_interrupt_are_objects(run, monkeypatch):
    code, out, _ = run("build", "--target", "rasberry-pi-4", OPTION)
    error = json.loads(out)["error"]
    assert (code, error["code"], error["kind"]) == (2, 2, "UnknownNameError")
    assert "raspberry-pi-4" in error["why"]
    monkeypatch.setattr(cli.commands["doctor"], "callback", interrupt)
    code, out, _ = run("doctor", OPTION)
    assert (code, json.loads(out)["error"]["what"]) == (130, "interrupted")


def interrupt() -> Answer:
    raise KeyboardInterrupt


def chatty() -> Answer:
    print("a library's word")
    os.write(1, b"a program's word\n")
    return Answer({"found": 1.5, "nothing": float("nan")}, "for people", 7)


def test_what_others_print_is_not_on_stdout(monkeypatch, capfd):
    from ofa_edge.cli import main

    monkeypatch.setattr(cli.commands["doctor"], "callback", chatty)
    with pytest.raises(SystemExit) as caught:
        main(["doctor", OPTION])
    out, err = capfd.readouterr()
    assert caught.value.code == 7
    assert json.loads(out) == {"found": 1.5, "nothing": None}
    assert "a library's word" in err
    assert "a program's word" in err
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert capfd.readouterr().out.splitlines() == ["a library's word", "a program's word", "for people"]


def test_what_is_no_number_is_null(capsys):
    print_json({"a": [float("inf"), (1.0, float("-inf"))], "path": "x"})
    assert json.loads(capsys.readouterr().out) == {"a": [None, [1.0, None]], "path": "x"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("train", "--recipe", "ofa", "--device", "cuda"), "--on cuda"),
        (("finetune", "--subnet", "smallest", "--device", "cuda"), "--on cuda"),
        (("nightly", "--fleet", "fleet.toml"), "--config fleet.toml"),
        (("baseline", "show", "--fleet", "fleet.toml"), "--config fleet.toml"),
        (("latency", "import", "x.yaml", "--device", "A phone"), "--measured-on A phone"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(run, arguments, word):
    assert word in check_error(run(*arguments))


def test_one_name_of_an_option_means_one_thing():
    for name, text in (("--device", "devices list"), ("--fleet", "Several targets with their budgets")):
        found = [each for command in LEAVES.values() for each in command.params if name in each.opts]
        shown = [each for each in found if not each.hidden]
        assert shown
        assert all(text in each.help for each in shown), name


def test_help_names_the_option(run):
    assert "one JSON object" in " ".join(run("cache", "list", "--help")[1].split())
    assert not list(Path.cwd().iterdir())
