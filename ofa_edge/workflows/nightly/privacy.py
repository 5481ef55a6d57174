"""What a record may not say: hosts and serial numbers, which are published only as pseudonyms."""

from collections.abc import Mapping
from typing import Any

from ofa_edge.device.connections.plain_text import one_line
from ofa_edge.device.connections.privacy import pseudonym, scrub
from ofa_edge.device.registry.devices_file import load_devices

_CHANGES_AT_EACH_START = frozenset({"boot_id"})
_PRIVATE_FACTS = frozenset({"serial", "host", "hostname", "user"})
_LEAST_LENGTH = 3  # shorter words would be found everywhere


class Pseudonyms:
    """Hides the addresses of the devices file wherever a message repeats them."""

    def __init__(self, secrets: tuple[str, ...] | None = None) -> None:
        """Args: words to hide; left out, those of the devices file."""
        found = _addresses() if secrets is None else secrets
        self._secrets = [word for word in found if len(word) >= _LEAST_LENGTH]

    def hide(self, text: str) -> str:
        """A message as one line, with every secret replaced."""
        return one_line(scrub(text, self._secrets))

    def hide_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """`lasting_facts` with every secret replaced."""
        lasting = lasting_facts(facts)
        return {key: self.hide(value) if isinstance(value, str) else value for key, value in lasting.items()}


def lasting_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A device's facts without those that change at each start, serials and hosts replaced."""
    return {
        key: pseudonym(str(value)) if key in _PRIVATE_FACTS else value
        for key, value in facts.items()
        if key not in _CHANGES_AT_EACH_START
    }


def _addresses() -> tuple[str, ...]:
    """Hosts and serials of the devices file, whatever kinds of devices it knows."""
    found = [getattr(device, key, None) for device in load_devices().values() for key in ("host", "serial", "user")]
    return tuple(str(word) for word in found if word)
