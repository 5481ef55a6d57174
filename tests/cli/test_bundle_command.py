"""`ofa-edge bundle` as people type it; what it checks is tested in tests/bundle."""

import json

import pytest
from app_folder import make_app, make_build, untrained
from cli_errors import check_error

from ofa_edge.bundle.record import BUNDLE

BUILDER = """
import json, sys
if "fail" in open(sys.argv[0]).read().splitlines()[-1]:
    print("error: javac failed\\n  why\\n  try: mend it", file=sys.stderr)
    sys.exit(4)
facts = {"apk": "android_demo/build/x-debug.apk", "size": 3, "sha256": "0" * 64, "key": "debug", "parts": {"code": 3}}
print(json.dumps(facts))
"""


@pytest.fixture
def here(tmp_path, run):
    """The folder that commands run in, with an app and a build in it."""
    folder = tmp_path / "here"
    app = make_app(folder / "android_demo")
    (app / "tools/build_apk.py").write_text(BUILDER)
    make_build(folder / "out/pi")
    return folder


def check_refused(result, words, code=2):
    lines = check_error(result, code).splitlines()
    assert words in lines[-3]
    return lines


def test_a_build_goes_in_and_the_next_command_is_told(run, here):
    status, out, _ = run("bundle", "out/pi")
    assert status == 0
    assert "added raspberry-pi-4-fp32" in out
    assert "91.80" in out
    assert "18.6 (16.9 .. 20.4)" in out
    assert "note: raspberry-pi-4-fp32: no sample images" in out
    assert out.splitlines()[-1] == "next: make apk"
    status, again, _ = run("bundle", "out/pi")
    assert status == 0
    assert "unchanged: raspberry-pi-4-fp32" in again


def test_list_and_remove(run, here):
    run("bundle", "out/pi", "--name", "mine")
    status, out, _ = run("bundle", "--list")
    assert status == 0
    assert out.splitlines()[0] == "android_demo holds"
    assert "mine" in out
    status, out, _ = run("bundle", "--remove", "mine")
    assert status == 0
    assert "removed mine" in out
    assert "android_demo holds no models" in out
    assert out.splitlines()[-1] == "next: ofa-edge bundle out/pixel-4"
    lines = check_refused(run("bundle", "--remove", "mine"), "unknown bundled model 'mine'")
    assert lines[-1] == "  try: ofa-edge bundle --list --app android_demo"


def test_json_is_the_bundle_itself(run, here):
    _, out, _ = run("bundle", "out/pi", "--json")
    value = json.loads(out)
    assert value["bundle"] == json.loads((here / "android_demo/app/src/main/assets" / BUNDLE).read_bytes())
    assert value["added"] == ["raspberry-pi-4-fp32"]


def test_what_is_not_verified_is_labelled(run, here):
    make_build(here / "out/bad", quantised=True, **untrained())
    check_refused(run("bundle", "out/bad"), "not verified: out/bad", code=1)
    _, out, _ = run("bundle", "out/bad", "--allow-unverified")
    (row,) = (line for line in out.splitlines() if line.startswith("  raspberry-pi-4-int8"))
    assert row.endswith("NOT VERIFIED, UNTRAINED")
    assert " 91.80" not in row


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to bundle"),
        (("out/pi", "--list"), "OUT and --list together"),
        (("out/pi", "--remove", "x"), "OUT and --remove together"),
        (("out/none",), "no build in"),
        (("out/pi", "out/pi"), "two models of the name"),
        (("out/pi", "--name", "../x"), "not a name for a bundled model"),
        (("out/pi", "--name", ""), "not a name for a bundled model"),
        (("out/pi", "out/pi", "--name", "x"), "--name fits one build"),
        (("out/pi", "--app", "out"), "not the Android demo's folder"),
    ],
)
def test_wrong_usage(run, here, arguments, words):
    check_refused(run("bundle", *arguments), words)
    assert not (here / "android_demo/app/src/main/assets").exists()


def test_the_apk(run, here):
    status, out, _ = run("bundle", "out/pi", "--apk")
    assert status == 0
    assert "next: adb install -r android_demo/build/x-debug.apk" in out
    status, out, _ = run("bundle", "--apk", "--json")
    assert json.loads(out)["apk"]["key"] == "debug"


def test_a_builder_that_fails_gives_its_exit_code(run, here):
    with (here / "android_demo/tools/build_apk.py").open("a") as file:
        file.write("# fail")
    status, out, _ = run("bundle", "out/pi", "--apk", "--json")
    assert status == 4
    assert json.loads(out)["error"]["code"] == 4
    assert run("bundle", "out/pi", "--apk")[0] == 4
