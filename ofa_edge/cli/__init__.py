"""The command line: parse and print. Heavy imports stay inside the commands, so that `--help` answers at once."""

import os
import sys
import traceback

import click

from ofa_edge import __version__
from ofa_edge.cli.build import build_command
from ofa_edge.cli.bundle import bundle_command
from ofa_edge.cli.cache import cache_group
from ofa_edge.cli.calibrate import calibrate_command
from ofa_edge.cli.devices import devices_group, doctor_command
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
    with guarded_streams():
        _main(arguments)


def _main(arguments: list[str] | None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    _require_text(arguments)
    # --debug may stand anywhere: people add it at the end of the line that failed.
    ordered = ["--debug", *(item for item in arguments if item != "--debug")] if debug else arguments
    try:
        code = cli.main(args=ordered, prog_name="ofa-edge", standalone_mode=False)
    except click.exceptions.Abort:
        _interrupted(arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        context = error.ctx
        usage = f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}" if context else ""
        what = " ".join(error.format_message().split())
        show_error(what, f"usage: {usage}", f"{context.command_path if context else 'ofa-edge'} --help")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _interrupted(arguments)
    except OfaEdgeError as error:
        if debug:
            traceback.print_exc()
        show_error(error.what, error.why, error.hint)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        lacking = explained(error) if isinstance(error, ModuleNotFoundError) else None
        if (told := lacking or refused(error)) is not None:
            show_error(told.what, told.why, told.hint)
            sys.exit(told.exit_code)
        show_error(
            f"internal error: {type(error).__name__}",
            str(error) or "no message",
            "the same command with --debug, and report what it prints",
        )
        sys.exit(INTERNAL)
    sys.exit(code if isinstance(code, int) else 0)


def _require_text(arguments: list[str]) -> None:
    """Exit where an argument is no text: records and pages could not hold it after all the work."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            show_error(
                f"an argument that is not UTF-8: {argument[:200]}",
                f"its bytes are {os.fsencode(argument)[:200]!r}",
                "rename the file, or reach it through a link with another name",
            )
            sys.exit(UsageError.exit_code)


def show_error(what: str, why: str, hint: str) -> None:
    """Print the three parts of an error; a device or a file may have said some of it."""
    what, why, hint = printable(what), printable(why, keep="\n"), printable(hint)
    plain = False if os.environ.get("NO_COLOR") else None  # None: as the terminal can
    click.echo(f"{click.style('error:', fg='red', bold=True)} {what}", err=True, color=plain)
    click.echo(f"  {why}", err=True)
    click.echo(f"  try: {hint}", err=True)


def _interrupted(arguments: list[str]) -> None:
    command = pasteable("ofa-edge", *(item for item in arguments if item != "--resume"))
    resumable = arguments[:1] in (["build"], ["train"], ["calibrate"])
    show_error(
        "interrupted",
        "finished stages were kept; nothing was left half-written",
        f"{command}{' --resume' if resumable else ''}",
    )
    sys.exit(INTERRUPTED)
