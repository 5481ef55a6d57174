"""Names for hosts and serial numbers in what is published: the same device has the same name, nobody can guess whose.

A serial number is short enough to try them all, so its plain hash hides nothing. The hash is keyed by a secret of the
user's, made once and kept beside the devices file.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_config_path

from ofa_edge.errors import OutputError
from ofa_edge.files import private_folder, read_regular, write_bytes

_SECRET_BYTES = 32
_DIGITS = 12


def pseudonym(identity: str) -> str:
    """A name for a serial number, host or boot id: `device-3fa9c1d20b7e`.

    Stable for one user on one machine, and unlike anybody else's for the same device.

    Raises:
        OutputError: the user's secret cannot be written.
    """
    digest = hmac.digest(_secret(), identity.encode(errors="surrogateescape"), "sha256")
    return f"device-{digest.hex()[:_DIGITS]}"


def _secret() -> bytes:
    path = secret_path()
    for _ in range(2):
        try:
            known = read_regular(path)
        except FileNotFoundError:
            known = b""
        except OSError as error:
            raise OutputError(
                "cannot read the key of device names", f"{path}: {error.strerror}", "chmod u+r it"
            ) from error
        if len(known) == _SECRET_BYTES:
            return known
        _make(path)
    raise OutputError("the key of device names is damaged", str(path), "remove the file; names will change")


def secret_path() -> Path:
    """Where the user's secret lies."""
    return user_config_path("ofa-edge") / "pseudonyms.key"


def _make(path: Path) -> None:
    """Whoever is first makes it; `link` fails where it is there already."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    private_folder(path.parent)
    write_bytes(part, secrets.token_bytes(_SECRET_BYTES), private=True)
    try:
        if path.exists() and path.stat().st_size != _SECRET_BYTES:
            return
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


def scrub(text: str, identities: Iterable[str]) -> str:
    """`text` with each of these serials and hosts replaced by its pseudonym, for messages that are published."""
    # The longest first: one may be the beginning of another.
    for identity in sorted({name for name in identities if name}, key=lambda name: (-len(name), name)):
        text = text.replace(identity, pseudonym(identity))
    return text
