"""The list of commands under a few headings, each with its whole first sentence."""

import click

from ofa_edge.cli.answer import AnswerGroup

SECTIONS = (
    (
        "Networks for devices",
        ("build", "search", "codesign", "run", "verify", "profile", "sustain", "bundle", "report", "diff", "inspect"),
    ),
    ("Latency", ("predict", "explain", "calibrate", "latency")),
    ("Supernets", ("train", "finetune", "predictor", "zoo")),
    ("Targets and devices", ("targets", "devices", "runner-kit", "doctor")),
    ("Nights", ("nightly", "baseline")),
    ("Housekeeping", ("cache",)),
)
_WHOLE = 400  # characters: no first sentence is longer


class SectionedGroup(AnswerGroup):
    """A group whose help has sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group`."""
        for title, names in SECTIONS:
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in commands if command is not None]
            with formatter.section(title):
                formatter.write_dl(rows)
