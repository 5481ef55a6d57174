"""How every command ends: with an answer, which is text for people or, with `--json`, one object for programs.

The option is added here, to all commands; a command knows nothing of it. With it, whatever else a command or a library
would print on stdout goes to stderr.
"""

import contextlib
import ctypes
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

OPTION = "--json"
_META = "ofa_edge.cli.json"


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        facts: for programs; an object of JSON.
        text: for people; nothing is printed for "".
        code: the exit code.
    """

    facts: Mapping[str, Any]
    text: str = ""
    code: int = 0


class AnswerCommand(click.Command):
    """A command whose function returns an `Answer`, or None where another process speaks for it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        text = "Print one JSON object on stdout and nothing else there; an error is one too."
        self.params.append(click.Option([OPTION], is_flag=True, expose_value=False, callback=_remember, help=text))

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, print its answer, return the exit code."""
        with _stdout_kept_free() if wants_json(ctx) else contextlib.nullcontext():
            answer: Answer | None = super().invoke(ctx)
        if answer is None:
            return 0
        if wants_json(ctx):
            print_json(answer.facts)
        elif answer.text:
            click.echo(answer.text)
        return answer.code


class AnswerGroup(click.Group):
    """A group of such commands."""

    command_class = AnswerCommand
    group_class = type


command: Callable[..., Callable[[Callable[..., Answer | None]], click.Command]] = partial(
    click.command, cls=AnswerCommand
)
group: Callable[..., Callable[[Callable[..., Any]], click.Group]] = partial(click.group, cls=AnswerGroup)


def wants_json(context: click.Context | None = None) -> bool:
    """Whether the command was asked for JSON: then it need not tell people how it goes."""
    return bool((context or click.get_current_context()).meta.get(_META))


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_META] = value


@contextlib.contextmanager
def _stdout_kept_free() -> Iterator[None]:
    """What libraries and programs that they start print on stdout goes to stderr inside."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C code has not written yet
        os.dup2(kept, 1)
        os.close(kept)


def print_json(value: Any) -> None:
    """An object as JSON on stdout; what is no number (JSON has no word for it) is null."""
    click.echo(json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
