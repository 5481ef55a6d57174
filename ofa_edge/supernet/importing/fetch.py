"""Bring a file from an https address, and only if its SHA-256 is known beforehand."""

import errno
import hashlib
import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ofa_edge.errors import UsageError, WeightsError
from ofa_edge.files import atomic_path

LIMIT = 2 << 30  # bytes; the largest published file, ResNet-50's supernet, is a tenth of this
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20
_LONGEST_NAME = 200  # letters; a file's name has 255 bytes
OnBytes = Callable[[int, int | None], None]  # bytes so far, bytes in all where the server says


def is_url(source: str) -> bool:
    """Whether a source names an address, of whatever scheme, and no path."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", source) is not None


def name_of(url: str) -> str:
    """The file name in an address; no host and no query."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return name if name not in ("", "..") and name.isprintable() and len(name) <= _LONGEST_NAME else "download"


def fetch(
    url: str,
    sha256: str | None,
    path: Path,
    *,
    limit: int = LIMIT,
    context: ssl.SSLContext | None = None,
    on_bytes: OnBytes = lambda done, total: None,
) -> None:
    """Download `url` to `path`; nothing is left there unless the digest is the wanted one.

    Args:
        url: https only; redirects are followed to https only.
        sha256: the digest that the file must have.
        path: where to.
        limit: most bytes that are taken.
        context: which certificates are trusted; by default this machine's.
        on_bytes: told of progress.

    Raises:
        UsageError: no digest was given, or the address is not https; nothing is fetched then.
        WeightsError: the server cannot be reached, sends too much, or sends another file.
    """
    if sha256 is None:
        raise UsageError(
            "no SHA-256 for a download",
            f"{url}: nothing is fetched without knowing what it must be",
            "--sha256 HEX, from whom you trust; or download the file yourself and give its path",
        )
    wanted = check_digest(sha256)
    _require_https(url)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _HttpsRedirects())
    request = urllib.request.Request(url, headers={"User-Agent": "ofa-edge"})  # noqa: S310 - https, checked above
    with atomic_path(path) as part:
        try:
            with opener.open(request, timeout=TIMEOUT) as answer, part.open("wb") as file:
                found = _stream(answer, file, limit, on_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise  # said in its own words
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            reason = getattr(error, "reason", None) or error
            raise WeightsError(
                "cannot download", f"{url}: {reason}", "download it with another tool and give the file's path"
            ) from error
        require_digest(found, wanted, url)


def check_digest(sha256: str) -> str:
    """The digest in lower case. Raises UsageError for what is none."""
    digest = sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError("not a SHA-256", f"--sha256 {sha256}: wanted 64 hex digits", "sha256sum FILE prints one")
    return digest


def require_digest(found: str, wanted: str, where: str) -> None:
    """Raise WeightsError where a file is not the one that was named."""
    if found != wanted:
        raise WeightsError(
            "not the file that was named",
            f"{where}: its SHA-256 is {found}, wanted {wanted}; nothing of it was read",
            "check the digest with whoever published the file",
        )


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            _require_https(newurl)
        except UsageError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _require_https(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(
            "not an https address",
            f"{url}: only https is fetched, and followed",
            "the file's https address, or download it yourself and give its path",
        )


def _stream(answer: Any, file: IO[bytes], limit: int, on_bytes: OnBytes) -> str:
    """Copy in pieces; return the SHA-256. Raises WeightsError above the limit."""
    length = answer.headers.get("Content-Length")
    total = int(length) if length is not None and length.isdecimal() else None
    digest, done = hashlib.sha256(), 0
    while True:
        if max(done, total or 0) > limit:
            raise WeightsError(
                "download too large",
                f"more than {limit} bytes",
                "download it yourself if it is the right file, and give its path",
            )
        piece = answer.read(_CHUNK)
        if not piece:
            break
        digest.update(piece)
        file.write(piece)
        done += len(piece)
        on_bytes(done, total)
    if total is not None and done != total:
        raise ValueError(f"the connection ended after {done} of {total} bytes")
    return digest.hexdigest()
