"""What a record may not say: hosts and serial numbers, which are published only as pseudonyms."""

from collections.abc import Mapping
from typing import Any

from ofa_edge.device.devices_file import load_devices
from ofa_edge.files import sha256_bytes

_PRIVATE_FACTS = frozenset({"serial", "host", "hostname", "user"})
_LEAST_LENGTH = 3  # shorter words would be found everywhere


def pseudonym(secret: str) -> str:
    """The same short name for the same secret; a digest, so that it cannot be read back."""
    return "device-" + sha256_bytes(b"ofa-edge\0" + secret.encode())[:8]


class Pseudonyms:
    """Hides the addresses of the devices file wherever a message repeats them."""

    def __init__(self, secrets: tuple[str, ...] | None = None) -> None:
        """Args: words to hide; left out, those of the devices file."""
        found = _addresses() if secrets is None else secrets
        self._secrets = sorted({word for word in found if len(word) >= _LEAST_LENGTH}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """A message with every secret replaced."""
        for secret in self._secrets:
            text = text.replace(secret, pseudonym(secret))
        return text

    def hide_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Facts of a device with its serial and host replaced."""
        return {
            key: pseudonym(str(value))
            if key in _PRIVATE_FACTS
            else self.hide(value)
            if isinstance(value, str)
            else value
            for key, value in facts.items()
            if key != "boot_id"
        }


def _addresses() -> tuple[str, ...]:
    """Hosts and serials of the devices file, whatever kinds of devices it knows."""
    found = []
    for device in load_devices().values():
        given = device.model_dump()
        found += [str(given[key]) for key in ("host", "serial", "user") if given.get(key)]
    return tuple(found)
