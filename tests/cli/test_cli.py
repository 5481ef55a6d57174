"""The command line: exit codes, the three parts of every error, what is printed where, and what is not imported."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_errors import check_error
from manifests import manifest
from tiny_package import RECIPE, copied_package
from tiny_runs import image_folder

from ofa_edge.cli import show_error
from ofa_edge.errors import ConversionError, DeviceLostError
from ofa_edge.records.manifest import Verdict
from ofa_edge.search.predictor import AccuracyPredictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.targets import builtin_folder, list_targets
from ofa_edge.workflows import verify as verifying
from ofa_edge.workflows.build import run as pipeline

PUBLISHED = "ofa_mbv3_d234_e346_k357_w1.0"
BUILD = ("build", "--target", "raspberry-pi-4", "--device", "none")


# -- bad input --


def test_an_unknown_target(run):
    err = check_error(run("build", "--target", "rasberry-pi4"))
    assert "unknown target 'rasberry-pi4'" in err
    assert "raspberry-pi-4" in err.splitlines()[1]
    assert "try: ofa-edge targets list" in err


def target_file(folder: Path, old: str, new: str) -> Path:
    """The Raspberry Pi 4's file under another name, with a change."""
    text = (builtin_folder() / "raspberry-pi-4.toml").read_text()
    assert old in text
    shutil.copy(builtin_folder() / "raspberry-pi-4.latency.json", folder)
    path = folder / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("threads = 4", "treads = 4", "unknown key 'runtime.treads'; nearest known key: 'runtime.threads'"),
        ("cores = 4", 'cores = "four"', 'hardware.cores = "four"'),
        ('cpu = "cortex-a72"\n', "", "missing key 'hardware.cpu'"),
        ("[hardware]", "[hardware", "cannot read target file"),
    ],
)
def test_a_target_file_that_does_not_fit(run, tmp_path, old, new, words):
    path = target_file(tmp_path, old, new)
    for command in (("build", "--target", path), ("targets", "validate", path), ("search", "--target", path)):
        err = check_error(run(*command))
        assert words in err
        assert str(path) in err


def test_a_target_file_that_fits(run, tmp_path):
    path = target_file(tmp_path, "threads = 4", "threads = 4")
    code, out, _ = run("targets", "validate", path)
    assert code == 0
    assert f"--target {path}" in out


def test_damaged_weights(run, package, tmp_path):
    folder = copied_package(package, tmp_path / "package")
    weights = folder / zoo.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:5000])
    err = check_error(run(*BUILD, "--supernet", folder))
    assert "damaged" in err
    assert str(weights) in err


def test_a_predictor_of_another_space(run, package, tmp_path):
    folder = copied_package(package, tmp_path / "package")
    other = Space("other", 0.25, 1, 3, (2, 2, 2, 2, 1, 1), (28,))
    genomes = other.sample(np.random.default_rng(0), 30)
    AccuracyPredictor.fit(other, genomes, np.linspace(0.5, 0.9, 30)).save(folder / zoo.PREDICTOR)
    err = check_error(run(*BUILD, "--supernet", folder))
    assert "predictor of another search space" in err
    assert other.hash[:12] in err


def test_a_latency_table_of_another_space(run, package, tmp_path):
    path = target_file(tmp_path, "raspberry-pi-4.latency.json", "mine.latency.json")
    facts = json.loads((builtin_folder() / "raspberry-pi-4.latency.json").read_text())
    (tmp_path / "mine.latency.json").write_text(json.dumps({**facts, "space": "a" * 64}))
    err = check_error(run("build", "--target", path, "--supernet", package, "--device", "none"))
    assert "latency file mine.latency.json was made for another search space" in err


@pytest.mark.parametrize("command", ["build", "search"])
def test_an_impossible_budget_names_the_fastest_subnet(run, package, command):
    device = ("--device", "none") if command == "build" else ()
    options = ("--target", "raspberry-pi-4", "--supernet", package, *device)
    status, _, err = run(command, *options, "--latency-ms", "0.0001")
    assert status == 2
    assert "no subnet takes 0.0001 ms or less" in err
    assert "the fastest of space 'tiny'" in err
    hint = err.splitlines()[-1].split("--latency-ms ")[1].split(",")[0]
    assert float(hint) > 0.0001
    assert not Path("out").exists()


def test_int8_for_jetson_nano_is_refused_before_any_work(run, package, tmp_path):
    err = check_error(run("build", "--target", "jetson-nano", "--precision", "int8", "--supernet", package))
    assert "DP4A" in err  # the reason, in terms of the hardware
    assert "--precision fp32" in err
    assert not (tmp_path / "cache").exists()
    assert not list(Path.cwd().iterdir())


def test_an_output_folder_of_somebody_elses(run, package, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "model.tflite").write_text("years of work")
    err = check_error(run(*BUILD, "--supernet", package, "--out", out))
    assert "not an output folder of ofa-edge" in err
    assert {path.name: path.read_text() for path in out.iterdir()} == {"model.tflite": "years of work"}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("budget", ["0", "-3", "nan", "inf"])
def test_a_budget_that_is_none(run, package, budget):
    assert "bad budget" in check_error(run(*BUILD, "--supernet", package, "--latency-ms", budget))


def test_a_published_name_needs_untrained(run):
    err = check_error(run(*BUILD, "--supernet", PUBLISHED))
    assert "--untrained" in err
    assert PUBLISHED in check_error(run(*BUILD, "--supernet", "fashion-mnist", "--untrained"))


def test_an_unknown_supernet_or_device(run, package, tmp_path):
    assert "fashion-mnist" in check_error(run(*BUILD, "--supernet", "fashion-minst"))
    err = check_error(run("build", "--target", "raspberry-pi-4", "--supernet", package, "--device", "my-pi"))
    assert "unknown device 'my-pi'" in err
    assert str(tmp_path / "devices.toml") in err
    assert not (tmp_path / "cache").exists()
    assert "unknown device" in check_error(run("devices", "probe", "my-pi"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "--target", "pixel-4", "--precision", "fp8"),
        ("build", "--target", "pixel-4", "--latency-ms", "soon"),
        ("build", "--target", "pixel-4", "--seed", "-1"),
        ("search", "--target", "pixel-4", "--seed", "-1"),
        ("bild",),
        ("train",),
        ("train", "--recipe", "ofa", "--preset", "smoke", "--threads", "0"),
        ("train", "--recipe", "ofa", "--preset", "smoke", "--pairs", "5"),
        ("finetune", "--subnet", "smallest", "--seed", "-1"),
        ("predictor", "train", "--seed", "-1", "--out", "nowhere"),
        ("cache", "prune", "--keep-mb", "-1"),
        ("cache", "prune", "--keep-mb", "nan"),
    ],
)
def test_options_that_are_refused_at_once(run, arguments):
    assert "ofa-edge" in check_error(run(*arguments)) or arguments == ("build",)


def test_verify_takes_sizes_as_search_does(run):
    said = check_error(run("verify", "out", "--device", "local", "--max-size", "nan"))
    assert "bad quantity for --max-size" in said


def test_every_command_stands_in_one_section_of_the_help_with_a_whole_sentence(run):
    from ofa_edge.cli import cli
    from ofa_edge.cli.sections import SECTIONS

    names = [name for _, section in SECTIONS for name in section]
    assert sorted(names) == sorted(cli.commands)
    _, out, _ = run("--help")
    assert all(f"{title}:" in out for title, _ in SECTIONS)
    assert "..." not in out.partition("Networks for devices")[2]


def test_fine_tuning_for_ever_is_refused(run, package, tmp_path):
    command = ("finetune", "--supernet", package, "--subnet", "smallest", "--data", image_folder(tmp_path / "data"))
    assert "bad --epochs" in check_error(run(*command, "--epochs", "inf"))


# -- train --


def test_an_unknown_or_bad_recipe(run, tmp_path):
    assert "ofa-edge" in check_error(run("train", "--recipe", "ofa-egde"))
    path = tmp_path / "bad.toml"
    path.write_text(RECIPE.replace("batch = 32", "batch = 0"))
    assert "batch" in check_error(run("train", "--recipe", path))
    assert "no such recipe file" in check_error(run("train", "--recipe", tmp_path / "nowhere.toml"))


def test_training_data_that_do_not_fit(run, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(RECIPE)
    assert "no data folder" in check_error(run("train", "--recipe", own))
    (tmp_path / "data" / "train" / "only").mkdir(parents=True)
    (tmp_path / "data" / "val").mkdir()
    assert "too few classes" in check_error(run("train", "--recipe", own, "--data", tmp_path / "data"))
    err = check_error(run("train", "--recipe", "ofa", "--preset", "smoke", "--data", tmp_path / "data"))
    assert "not a Fashion-MNIST folder" in err
    assert "train-images-idx3-ubyte.gz" in err
    assert not list(Path.cwd().iterdir())


# -- what a build prints, and its exit code --


@pytest.mark.parametrize(("outcome", "code"), [("pass", 0), ("unverified", 0), ("fail", 1), ("inconclusive", 3)])
def test_the_exit_code_is_the_outcome(run, package, monkeypatch, outcome, code):
    verdict = Verdict(gate="parity", outcome=outcome, code="a-code", reason="the reason in words")
    made = manifest(verdicts=(verdict,))
    monkeypatch.setattr(pipeline, "run_build", lambda *_: made)
    status, out, err = run(*BUILD, "--supernet", package)
    assert status == code
    assert "the reason in words" in out
    assert made.subnet.id in out
    assert "60 % of the largest subnet's latency" in err
    status, out, err = run(*BUILD, "--supernet", package, "--json")
    assert status == code
    assert json.loads(out)["verdicts"][0]["code"] == "a-code"
    assert err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(DeviceLostError("lost", "the pi", "again"), 3), (ConversionError("node", "Conv", "another"), 4)],
)
def test_errors_carry_their_exit_code(run, package, monkeypatch, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr(pipeline, "run_build", fail)
    status, out, err = run(*BUILD, "--supernet", package)
    assert (status, out) == (code, "")
    assert err.splitlines()[-3:] == [f"error: {error.what}", f"  {error.why}", f"  try: {error.hint}"]


def test_a_fault_of_ours_asks_for_a_report(run, package, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(pipeline, "run_build", fail)
    status, _, err = run(*BUILD, "--supernet", package)
    assert status == 4
    assert "internal error: ZeroDivisionError" in err
    assert "--debug" in err
    assert "Traceback" not in err


def test_debug_shows_a_traceback_wherever_it_stands(run):
    for arguments in (("--debug", "build", "--target", "nope"), ("build", "--target", "nope", "--debug")):
        status, _, err = run(*arguments)
        assert status == 2
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("  try: ")


def test_ctrl_c_says_how_to_go_on(run, package, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run_build", interrupt)
    out = "my out"
    status, printed, err = run(*BUILD, "--supernet", package, "--out", out)
    assert (status, printed) == (130, "")
    assert "interrupted" in err
    hint = err.splitlines()[-1]
    assert hint.endswith("--resume")
    assert "'my out'" in hint  # it can be pasted
    assert run(*BUILD, "--supernet", package, "--out", out, "--resume")[2].count("--resume") == 1
    monkeypatch.setattr(verifying, "verify", interrupt)
    status, _, err = run("verify", "out", "--device", "local")
    assert status == 130
    assert "--resume" not in err


def test_a_dry_run_writes_nothing(run, package, tmp_path):
    status, out, err = run(*BUILD, "--supernet", package, "--dry-run")
    assert (status, err) == (0, "")
    assert "build for raspberry-pi-4: tflite fp32" in out
    assert "60 % of the largest subnet's latency" in out
    assert not list(Path.cwd().iterdir())
    assert not (tmp_path / "cache").exists()
    assert "jetson-nano" in check_error(run("build", "--target", "jetson-nano", "--precision", "int8", "--dry-run"))


def test_an_untrained_build_says_so(run):
    status, out, _ = run(*BUILD, "--supernet", PUBLISHED, "--untrained", "--dry-run")
    assert status == 0
    assert "UNTRAINED" in out
    assert "random images" in out


def test_verify_prints_the_verdicts_and_refuses_what_is_no_build(run, tmp_path):
    assert "no build in" in check_error(run("verify", tmp_path, "--device", "local"))
    assert "no build in" in check_error(run("report", tmp_path))


# -- search, lists --


def test_search_writes_nothing(run, package, tmp_path):
    Path("out/raspberry-pi-4").mkdir(parents=True)
    Path("out/raspberry-pi-4/mine.txt").write_text("not ofa-edge's: no matter, nothing is written")
    status, out, _ = run("search", "--target", "raspberry-pi-4", "--supernet", package, "--json")
    assert status == 0
    found = json.loads(out)
    assert all(row["latency_ms"] <= found["budget_ms"] for row in found["best"])
    assert {"subnet", "latency_ms", "score"} <= set(found["front"][0])
    assert not (tmp_path / "cache").exists()


def test_targets_list_ends_in_the_flag_to_paste(run):
    status, out, _ = run("targets", "list")
    assert status == 0
    header, *rows = out.splitlines()
    assert header.split()[0] == "target"
    named = [row.split() for row in rows if f"--target {row.split()[0]}" in row]
    assert [row[0] for row in named] == [target.name for target in list_targets()]
    assert [row[-2:] for row in named] == [["--target", target.name] for target in list_targets()]
    flags = [f"--target {each.name} --runtime {name}" for each in list_targets() for name in each.runtimes[1:]]
    assert [
        row.partition("--target ")[1] + row.partition("--target ")[2] for row in rows if "--runtime" in row
    ] == flags
    status, out, _ = run("targets", "list", "--json")
    assert [target["name"] for target in json.loads(out)["targets"]] == [target.name for target in list_targets()]


def test_targets_show(run):
    status, out, _ = run("targets", "show", "raspberry-pi-4")
    assert status == 0
    assert 'cpu = "cortex-a72"' in out
    assert "tflite fp32, 4 threads: published" in out
    facts = json.loads(run("targets", "show", "raspberry-pi-4", "--json")[1])
    assert facts["hardware"]["cpu"] == "cortex-a72"
    assert facts["latency_models"]


def test_devices_list_ends_in_the_flag_to_paste(run, tmp_path):
    (tmp_path / "devices.toml").write_text('schema = 1\n[devices.my-pi]\nkind = "ssh"\nhost = "pi.local"\n')
    status, out, _ = run("devices", "list")
    assert status == 0
    flags = [line.split()[-2:] for line in out.splitlines() if "--device" in line]
    assert flags == [
        ["--device", name] for name in ("local", "emulated", "emulated-ssh", "emulated-adb", "none", "my-pi")
    ]


def test_cache_list_and_prune(run, tmp_path):
    assert run("cache", "list")[0] == 0
    entry = tmp_path / "cache" / "onnx" / "a"
    entry.mkdir(parents=True)
    (entry / "index.json").write_text("{}")
    assert "onnx" in run("cache", "list")[1]
    assert "removed 1 entries" in run("cache", "prune")[1]
    assert not entry.exists()


# -- processes of their own --


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    "action",
    [
        "import ofa_edge",
        "import ofa_edge.cli; ofa_edge.cli.main(['--help'])",
        "import ofa_edge.cli; ofa_edge.cli.main(['build', '--help'])",
        "import ofa_edge.cli; ofa_edge.cli.main(['targets', 'list'])",
    ],
)
def test_nothing_heavy_is_imported_to_answer(action):
    heavy = ["torch", "tensorflow", "tvm", "onnx", "onnxruntime", "matplotlib", "scipy", "jinja2", "ai_edge_litert"]
    if "help" in action:
        heavy += ["numpy", "pydantic"]
    script = f"""
import sys
try:
    {action}
except SystemExit as stop:
    assert not stop.code, stop.code
print(*(name for name in {heavy} if name in sys.modules), "END", sep=",")
"""
    assert python("-c", script).stdout.splitlines()[-1] == "END"


def test_help_names_every_command():
    out = python("-m", "ofa_edge", "--help").stdout
    for name in ["build", "search", "train", "verify", "report", "targets", "devices", "zoo", "doctor", "cache"]:
        assert f"\n  {name} " in out
    assert python("-m", "ofa_edge", "--version").stdout.startswith("ofa-edge, version ")


def on_terminal(*arguments: str, **environment: str) -> str:
    """What a terminal is given."""
    master, slave = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ofa_edge", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**env, "TERM": "xterm", **environment},
    )
    os.close(slave)
    read = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux's way to say that the other side was closed
            break
        if not part:
            break
        read += part
    os.close(master)
    process.wait()
    return read.decode()


def test_no_color_is_respected_on_a_terminal():
    assert "\x1b[" in on_terminal("build", "--target", "nope")
    for arguments in (("build", "--target", "nope"), ("doctor",)):
        assert "\x1b" not in on_terminal(*arguments, NO_COLOR="1")


def test_lines_of_a_hint_are_lines_and_nothing_in_them_steers_the_terminal(capsys):
    show_error("what", "why", 'labels.toml says it:\n    a = "b"\x1b[31m')
    assert capsys.readouterr().err.splitlines()[2:] == ["  try: labels.toml says it:", '    a = "b"\\x1b[31m']
