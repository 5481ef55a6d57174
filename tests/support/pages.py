"""Pages of documentation as their readers use them: commands typed in order, files written, output compared.

A page is made of fenced blocks. ```sh is typed, ```toml title="NAME" is written to that file, and ```text is what the
commands before it print. Lines of it are sought in that output with all figures left out; `...` stands for what is cut.
"""

import contextlib
import io
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ENDS_WITH = re.compile(r"#.*\bexit code (\d+)")
FIGURE = re.compile(r"\b[0-9a-f]{12}\b|[+-]?\d[\d.,:]*")


@dataclass(frozen=True)
class Block:
    """What a fence holds: its language, the file that it is to be written to, its text."""

    language: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(language, file or None, text) for language, file, text in BLOCK.findall(page.read_text())]


def follow(page: Path, **values: str) -> None:
    """Do in the current folder what a page says.

    Args:
        page: the page.
        values: what a reader puts in place of words of the page, by word.
    """
    printed = ""
    fresh = True
    for block in blocks(page):
        text = block.text
        for word, value in values.items():
            text = text.replace(word, value)
        if block.language == "sh":
            printed = ("" if fresh else printed) + "".join(_typed(line) for line in _lines(text))
            fresh = False
        elif block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(text)
        elif block.language == "text":
            _compare(text, printed)
            fresh = True


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def _typed(line: str) -> str:
    """What a line prints; ours are run in this process, which has torch loaded already."""
    wanted = int(found[1]) if (found := ENDS_WITH.search(line)) else 0
    words = shlex.split(line, comments=True)
    if words[0] == "ofa-edge" and not set(words) & {">", "|", "&&", ">>"}:
        status, printed = _ours(words[1:])
    else:
        done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=False)
        status, printed = done.returncode, done.stdout + done.stderr
    assert status == wanted, f"$ {line}\n{printed}"
    return printed


def _ours(arguments: list[str]) -> tuple[int, str]:
    from ofa_edge.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0), out.getvalue()


def _compare(shown: str, printed: str) -> None:
    found = _without_figures(printed)
    missing = [line for line in shown.splitlines() if line.strip(" .") and _without_figures(line) not in found]
    assert not missing, "\n".join([*missing, "is not in:", printed])


def _without_figures(text: str) -> str:
    return re.sub(r"\s+", " ", FIGURE.sub("#", text)).strip()
