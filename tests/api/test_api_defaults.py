"""The functions of `import ofa_edge` have the arguments of the commands, with the same defaults."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import click
import pytest

import ofa_edge as oe
from ofa_edge.cli.build import build_command
from ofa_edge.cli.finetune import finetune_command
from ofa_edge.cli.inspect import inspect_command
from ofa_edge.cli.predict import predict_command
from ofa_edge.cli.run import run_command
from ofa_edge.cli.search import search_command
from ofa_edge.cli.train import train_command
from ofa_edge.cli.verify import verify_command

FOR_A_TERMINAL = {"dry_run", "resume", "list_only", "keys_only", "plot", "threads", "camera"}
OF_A_FLEET = {"fleet", "max_models"}
OTHER_NAMES = {"file": "network", "chosen": "subnet", "folder": "build"}
LIMITS = {field.name: field.default for field in dataclasses.fields(oe.Constraints)}


@pytest.mark.parametrize(
    ("command", "function"),
    [
        (build_command, oe.build),
        (search_command, oe.search_front),
        (train_command, oe.train),
        (finetune_command, oe.finetune),
        (predict_command, oe.predict),
        (verify_command, oe.verify_build),
        (inspect_command, oe.inspect),
        (run_command, oe.run),
    ],
)
def test_arguments_and_defaults_are_the_commands(command: click.Command, function: Callable[..., Any]) -> None:
    arguments = inspect.signature(function).parameters
    options = {
        OTHER_NAMES.get(each.name or "", each.name): each.to_info_dict()["default"]
        for each in command.params
        if each.expose_value and each.name not in FOR_A_TERMINAL | OF_A_FLEET
    }
    for name, wanted in options.items():
        if name in LIMITS and "constraints" in arguments:
            assert not wanted
            assert not LIMITS[name]
            continue
        default = arguments[name].default
        if default is not inspect.Parameter.empty:
            assert default == wanted, name
    added = set(arguments) - set(options) - {"constraints", "changes", "step", "supernet", "example"}
    assert {name for name in added if not name.startswith("on_")} == set()
