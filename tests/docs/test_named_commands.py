"""What the pages name exists: each `ofa-edge COMMAND`, each `--option` behind it, and each that stands alone."""

import re
from pathlib import Path

import click
import pytest
from places import ROOT

from ofa_edge.cli import cli

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "android_demo").glob("*.md")])
CODE = re.compile(r"^```.*?\n(.*?)^```|^    ( *\S[^\n]*)$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?<![\w./-])ofa-edge[ \t]+([a-z][\w-]*[^\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OF_OTHERS = {"--check", "--no-deps", "--no-compile", "--es", "--ei", "--ez"}  # of examples, of pip, of Android's am


def options(command: click.Command) -> set[str]:
    found = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help"}


def all_options(command: click.Command = cli) -> set[str]:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return options(command).union(*(all_options(each) for each in below))


def command_of(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command that words name, and the words behind it; None where there is no such command."""
    found: click.Command = cli
    while isinstance(found, click.Group) and words and re.fullmatch(r"[a-z-]+", words[0]):
        if words[0] not in found.commands:
            return None, words
        found, words = found.commands[words[0]], words[1:]
    return found, words


def code(page: Path) -> list[str]:
    """What stands in fences, in indented blocks and between backticks, comments left out."""
    found = "\n".join("".join(groups) for groups in CODE.findall(page.read_text()))
    return [re.sub(r"\s#.*", "", line) for line in found.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    unknown = []
    for line in code(page):
        for found in COMMAND.findall(line):
            typed = re.split(r"&&|[|`;]", found)[0]
            command, words = command_of(typed.split())
            known = options(command) if command else set()
            if command is None or set(OPTION.findall(" ".join(words))) - known:
                unknown.append(typed)
        if re.match(r"--[a-z]", line):  # an option in a sentence
            unknown += sorted({line.split()[0]} - all_options() - OF_OTHERS)
    assert unknown == []
