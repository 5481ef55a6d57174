"""Whatever a name or a value is, the device's shell passes it on as it was and runs nothing of it."""

import doctest
import shlex
import subprocess
import sys

import adb_rig
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ssh_rig import Server, needs_sshd

import ofa_edge.device.connections.shell_line as module
from ofa_edge.device.connections.local import LocalConnection
from ofa_edge.device.connections.shell_line import shell_line
from ofa_edge.device.connections.ssh import SshConnection
from ofa_edge.testing.connection_kit import WORDS

# Any text that can be an argument at all: no NUL, no half characters; shells' own signs are drawn often.
SIGNS = st.sampled_from([*"$`\"'\\;&|<>(){}[]*?~!#%^-= \n\t\r\x1b", "$(", "${", "&&", "\n-", "é", "🦆", "\u202e"])
LETTERS = st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])
TEXT = st.lists(SIGNS | LETTERS, max_size=12).map("".join)
WORD_LISTS = st.lists(TEXT, min_size=1, max_size=6)
needs_adb = pytest.mark.skipif(adb_rig.WHY_NOT is not None, reason=str(adb_rig.WHY_NOT))


def sh(line, folder):
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd=folder, timeout=60, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


@settings(max_examples=60, deadline=None)
@given(words=WORD_LISTS, value=TEXT)
@example(words=list(WORDS), value="$(touch broken)")
def test_words_and_values_pass_a_real_shell_unchanged(folder, words, value):
    line = shell_line(["printf", r"%s\0", *words], {"V": value}, 30)
    assert sh(line, folder).decode() == "".join(f"{word}\0" for word in words)
    line = shell_line(["printenv", "V"], {"V": value}, 30)
    assert sh(line, folder).decode() == f"{value}\n"
    assert list(folder.iterdir()) == []  # nothing was run or redirected


@settings(max_examples=300, deadline=None)
@given(words=WORD_LISTS, value=TEXT)
def test_the_line_is_these_words_and_no_others(words, value):
    parts = shlex.split(shell_line(["prog", *words], {"V": value}, 2.5))
    assert parts == ["timeout", "-k", "5", "3", "env", f"V={value}", "prog", *words]


@pytest.fixture(
    scope="module", params=["local", pytest.param("ssh", marks=needs_sshd), pytest.param("adb", marks=needs_adb)]
)
def device(request, tmp_path_factory):
    if request.param == "local":
        yield LocalConnection()
        return
    if request.param == "ssh":
        host = Server(tmp_path_factory.mktemp("sshd"))
        connection = SshConnection("bench", host.address())
    else:
        host = adb_rig.Phone(tmp_path_factory.mktemp("adb-home"))
        connection = host.connect()
    yield connection
    connection.close()
    host.stop()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORD_LISTS, value=TEXT)
@example(words=list(WORDS), value="$(touch broken); `id`\n&& x")
def test_words_and_values_pass_a_real_connection_unchanged(device, words, value):
    # Hexadecimal on the way back: what comes back is text, in which a shell's signs need no protection.
    code = "import os, sys; print([os.fsencode(word).hex() for word in sys.argv[1:]], os.environb[b'V'].hex())"
    said = device.run([sys.executable, "-c", code, *words], 60, {"V": value}).stdout
    assert said == f"{[word.encode().hex() for word in words]} {value.encode().hex()}\n"


NAMES = TEXT.filter(lambda name: name not in ("", ".", "..") and "/" not in name and len(name.encode()) < 200)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(NAMES, min_size=1, max_size=12))
@example(names={"-rf", "$(touch broken)", "two words", "line\nbreak", "\n", "'", '"', "*", "ünï"})
def test_any_file_name_is_one_file_there(device, names):
    with device.workdir() as work:
        paths = [f"{work}/{name}" for name in names]
        device.run(["mkdir", "--", *paths], 60)
        listed = device.run(["ls", "-A", "-b", str(work)], 60).stdout.splitlines()
        assert len(listed) == len(names)  # none was split, read as an option, expanded or run
        device.run(["rmdir", "--", *paths], 60)
        assert device.run(["ls", "-A", str(work)], 60).stdout == ""


def test_examples():
    assert doctest.testmod(module).failed == 0
