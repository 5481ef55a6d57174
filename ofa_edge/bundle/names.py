"""Names of bundled models and sample sets: they become folders of the app, so what they may hold is narrow."""

import re
import unicodedata

from ofa_edge.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# The Android packager leaves assets of these names out without a word (aapt's default ignore pattern).
_DROPPED = re.compile(r"cvs|thumbs\.db|picasa\.ini|.*\.scc")


def check_name(name: str) -> str:
    """`name`, if a model may be called so: 1 to 64 of a-z, 0-9, dot, underscore and dash, first a letter or digit.

    Raises:
        UsageError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"not a name for a bundled model: {name!r}",
            "it becomes a folder of the app: 1 to 64 of a-z, 0-9, '.', '_' and '-', first a letter or a digit",
            f"--name {slug(name)}",
        )
    if _DROPPED.fullmatch(name):
        raise UsageError(
            f"not a name for a bundled model: {name!r}",
            "the Android packager leaves files and folders of that name out of an APK",
            f"--name {slug(name)}",
        )
    return name


def slug(text: str) -> str:
    """The nearest name to `text` that `check_name` lets pass."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    joined = re.sub(r"[^a-z0-9._-]+", "-", plain)
    name = re.sub(r"^[^a-z0-9]+", "", joined)[:64].rstrip("-.") or "model"
    return f"{name[:58]}-model" if _DROPPED.fullmatch(name) else name
