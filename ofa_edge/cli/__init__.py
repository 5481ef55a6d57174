"""The command line: parse and print. Heavy imports stay inside the commands, so that `--help` answers at once."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import NamedTuple

import click

from ofa_edge import __version__
from ofa_edge.cli.answer import OPTION, print_json
from ofa_edge.cli.build import build_command
from ofa_edge.cli.bundle import bundle_command
from ofa_edge.cli.cache import cache_group
from ofa_edge.cli.calibrate import calibrate_command
from ofa_edge.cli.codesign import codesign_command
from ofa_edge.cli.devices import devices_group, doctor_command
from ofa_edge.cli.diff import diff_command
from ofa_edge.cli.finetune import finetune_command
from ofa_edge.cli.inspect import inspect_command
from ofa_edge.cli.latency import latency_group
from ofa_edge.cli.nightly import baseline_group, nightly_command
from ofa_edge.cli.predict import explain_command, predict_command
from ofa_edge.cli.predictor import predictor_group
from ofa_edge.cli.run import run_command
from ofa_edge.cli.runner import runner_kit_command
from ofa_edge.cli.search import search_command
from ofa_edge.cli.sections import SectionedGroup
from ofa_edge.cli.streams import guarded_streams
from ofa_edge.cli.sustain import sustain_command
from ofa_edge.cli.targets import targets_group
from ofa_edge.cli.train import train_command
from ofa_edge.cli.verify import profile_command, report_command, verify_command
from ofa_edge.cli.zoo import zoo_group
from ofa_edge.errors import OfaEdgeError, UsageError
from ofa_edge.extras import explained
from ofa_edge.shown import pasteable, printable
from ofa_edge.system import refused

INTERRUPTED = 130
INTERNAL = 4


@click.group(cls=SectionedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ofa-edge")
@click.option("--debug", is_flag=True, help="Show a traceback with errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """One Once-For-All supernet, one verified network for every edge device."""
    context.obj = {"debug": debug}
    if os.environ.get("NO_COLOR"):
        context.color = False


for command in (
    build_command,
    search_command,
    predict_command,
    explain_command,
    latency_group,
    calibrate_command,
    train_command,
    finetune_command,
    predictor_group,
    run_command,
    verify_command,
    profile_command,
    sustain_command,
    runner_kit_command,
    report_command,
    codesign_command,
    diff_command,
    nightly_command,
    baseline_group,
    bundle_command,
    inspect_command,
    targets_group,
    devices_group,
    zoo_group,
    doctor_command,
    cache_group,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: run a command, turn errors into three lines and an exit code."""
    with guarded_streams(), _ended_as_by_ctrl_c():
        _main(arguments)


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM interrupts the work as Ctrl-C does: leases are given back, programs and folders on devices removed."""
    before = signal.getsignal(signal.SIGTERM)
    if before != signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _main(arguments: list[str] | None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # --debug may stand anywhere: people add it at the end of the line that failed.
    ordered = ["--debug", *(item for item in arguments if item != "--debug")] if debug else arguments
    try:
        _require_text(arguments)
        code = cli.main(args=ordered, prog_name="ofa-edge", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, (click.exceptions.Abort, click.ClickException, KeyboardInterrupt)):
            traceback.print_exc()
        told = _told(error, arguments)
        show_error(told.what, told.why, told.hint)
        if OPTION in arguments:
            kind = type(error).__name__
            facts = {"what": told.what, "why": told.why, "try": told.hint, "code": told.code, "kind": kind}
            print_json({"error": facts})
        sys.exit(told.code)
    sys.exit(code if isinstance(code, int) else 0)


class _Told(NamedTuple):
    """The three parts of an error, and the exit code."""

    what: str
    why: str
    hint: str
    code: int


def _told(error: BaseException, arguments: list[str]) -> _Told:
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return _interrupted(arguments)
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        usage = "of the command line"
        if context is not None:
            usage = f"usage: {context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"
        what = " ".join(error.format_message().split())
        return _Told(what, usage, f"{context.command_path if context else 'ofa-edge'} --help", error.exit_code)
    if isinstance(error, OfaEdgeError):
        return _Told(error.what, error.why, error.hint, error.exit_code)
    lacking = explained(error) if isinstance(error, ModuleNotFoundError) else None
    if (known := lacking or refused(error)) is not None:
        return _Told(known.what, known.why, known.hint, known.exit_code)
    what, hint = f"internal error: {type(error).__name__}", "the same command with --debug, and report what it prints"
    return _Told(what, str(error) or "no message", hint, INTERNAL)


def _require_text(arguments: list[str]) -> None:
    """Raise UsageError where an argument is no text: records and pages could not hold it after all the work."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"an argument that is not UTF-8: {printable(argument[:200])}",
                f"its bytes are {os.fsencode(argument)[:200]!r}",
                "rename the file, or reach it through a link with another name",
            ) from error


def show_error(what: str, why: str, hint: str) -> None:
    """Print the three parts of an error; a device or a file may have said some of it."""
    what, why, hint = printable(what), printable(why, keep="\n"), printable(hint, keep="\n")
    plain = False if os.environ.get("NO_COLOR") else None  # None: as the terminal can
    click.echo(f"{click.style('error:', fg='red', bold=True)} {what}", err=True, color=plain)
    click.echo(f"  {why}", err=True)
    click.echo(f"  try: {hint}", err=True)


def _interrupted(arguments: list[str]) -> _Told:
    command = pasteable("ofa-edge", *(item for item in arguments if item != "--resume"))
    resumable = arguments[:1] in (["build"], ["train"], ["calibrate"])
    why = "finished stages were kept; nothing was left half-written"
    return _Told("interrupted", why, f"{command}{' --resume' if resumable else ''}", INTERRUPTED)
