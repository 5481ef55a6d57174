"""A night as workflow commands of GitHub Actions: one annotation for each series that is not GREEN."""

from ofa_edge.records.night import NightRecord

_COMMANDS = {"RED": "error", "YELLOW": "warning", "INCONCLUSIVE": "notice"}


def annotations(night: NightRecord) -> list[str]:
    """Lines for stdout; no text of a device can end a line or begin a command."""
    lines = []
    for item in night.series:
        command = _COMMANDS.get(item.colour)
        if command:
            title = _property(f"{item.colour}: {item.key}")
            lines.append(f"::{command} title={title}::{_data(f'{item.reason} [{item.code}]')}")
    return lines


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
