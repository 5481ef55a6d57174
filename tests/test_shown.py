"""What others chose is shown, and offered to be pasted, without steering a terminal or a shell."""

import doctest
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ofa_edge.shown as module
from ofa_edge.shown import pasteable, printable

LETTERS = st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])
SIGNS = st.sampled_from([*"$`\"'\\;&|<>(){}[]*?~!#%^-= \n\t\r\x1b\x7f", "$(touch x)", "\u202e", "\u2066", "\x9b"])
WORDS = st.lists(st.lists(SIGNS | LETTERS, max_size=8).map("".join), min_size=1, max_size=4)
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def test_examples() -> None:
    assert doctest.testmod(module).failed == 0


@needs_bash
@settings(max_examples=60, deadline=None)
@given(words=WORDS)
@example(words=["$(touch x)", "a b", "", "'", "\x1b'\\", "\u202e.txt", "`id`"])
def test_what_is_pasted_is_what_was_meant(words: list[str]) -> None:
    line = pasteable("printf", r"%s\0", *words)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == "".join(f"{word}\0" for word in words)


@needs_bash
def test_a_file_name_that_is_no_text_is_pasted_too() -> None:
    line = pasteable("printf", "%s", b"a\xff\x1b".decode(errors="surrogateescape"))
    assert line.isprintable()
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=60).stdout == b"a\xff\x1b"


def test_a_path_is_no_option() -> None:
    assert pasteable("rm", "-r", Path("-rf")) == "rm -r ./-rf"


@given(text=st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    assert printable(text).isprintable()
    assert not set(printable(text, keep="\n")) & set("\x1b\r\u202e\u2066\u200f\x9b")


# Words of ours only: names of published spaces, and what is no command but a title.
OURS = {"zoo.py", "search.py", "junit.py", "sysroot.py", "connections.py"}
BY_HAND = re.compile(r'f"[^"]*ofa-edge [a-z]+(?: [a-z]+)*(?: --[a-z-]+(?: [A-Za-z0-9-]+)?)* \{(?!pasteable|next_step)')


def test_no_command_is_put_together_by_hand() -> None:
    """A line that somebody will paste goes through `pasteable`, which quotes."""
    assert BY_HAND.search('f"next: ofa-edge build --target raspberry-pi-4 --supernet {folder}"')
    found = [
        f"{path.name}: {line.strip()}"
        for path in Path(module.__file__).parent.rglob("*.py")
        for line in path.read_text().splitlines()
        if BY_HAND.search(line) and path.name not in OURS
    ]
    assert found == []
