"""A run's folder, and whose it is: a run goes on only where its marker says that all that decides it is the same."""

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ofa_edge.cache import source_digest
from ofa_edge.data.dataset import Images
from ofa_edge.errors import OutputError
from ofa_edge.files import canonical_json, parse_json, read_regular, sha256_bytes, write_json

IDENTITY = "identity"  # key of the marker
ACCEPT_CODE = "--accept-changed-code"
# Of the package's source, what decides the result of training.
_DECIDING = (
    "data",
    "space",
    "supernet",
    "training",
    "workflows/train.py",
    "workflows/finetune.py",
    "workflows/new_head.py",
    "workflows/out_of_fold.py",
    "workflows/teacher.py",
    "metrics.py",
)


@dataclass(frozen=True)
class ImageSet:
    """How many images, and the SHA-256 of their pixels and labels."""

    count: int
    sha256: str

    @classmethod
    def of(cls, images: Images) -> "ImageSet":
        """Of these images, in their order."""
        return cls(len(images), images.digest)


@dataclass(frozen=True)
class RunIdentity:
    """All that decides what a run produces.

    Attributes:
        recipe: what is done, as JSON values.
        classes: their names, by class number.
        train, held_out: the training images as they were split.
        test: the test images.
        code: digest of the source files that decide training.
        torch: its version. It is recorded and does not decide: versions differ in rounding, which "bit for bit" does
            not survive, but a long run is not lost to an update.
    """

    recipe: Mapping[str, Any]
    classes: tuple[str, ...]
    train: ImageSet
    held_out: ImageSet
    test: ImageSet
    code: str
    torch: str

    @classmethod
    def of(
        cls, recipe: Mapping[str, Any], classes: tuple[str, ...], train: Images, held_out: Images, test: Images
    ) -> "RunIdentity":
        """Of a run about to start: its code is the code at hand."""
        return cls(
            recipe,
            classes,
            ImageSet.of(train),
            ImageSet.of(held_out),
            ImageSet.of(test),
            training_code(),
            version("torch"),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        value: dict[str, Any] = json.loads(canonical_json(asdict(self)))
        return value

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked for: everything but the code and torch."""
        return sha256_bytes(canonical_json({key: self.facts[key] for key in _ASKED}))


_ASKED = ("recipe", "classes", "train", "held_out", "test")


@functools.cache
def training_code() -> str:
    """Digest of the package's source files that decide what training makes."""
    folder = Path(__file__).parent.parent
    files = [folder / name for name in _DECIDING if name.endswith(".py")]
    return source_digest([*files, *(path for name in _DECIDING for path in (folder / name).rglob("*.py"))])


def claim_run(
    folder: Path,
    marker: str,
    facts: Mapping[str, Any],
    identity: RunIdentity,
    *,
    dry: bool = False,
    accept_code: bool = False,
) -> dict[str, Any]:
    """Make a run's folder and its marker, or check that the marker there is of the same run.

    Args:
        folder: the run's folder; missing, empty, or with a marker.
        marker: a file name.
        facts: what else a new marker holds, as JSON values.
        identity: of the run.
        dry: only check.
        accept_code: go on with a run that other code began, and record that.

    Returns:
        What the marker holds as the run's identity: versions that had a part in it earlier are under `earlier`.

    Raises:
        OutputError: it holds another run (which part of the identity differs is said), a damaged marker, a link,
            or files and no marker.
    """
    file, hint = folder / marker, "choose another folder with --out"
    link = next((path for path in folder.iterdir() if path.is_symlink()), None) if folder.is_dir() else None
    if link is not None:
        raise OutputError(f"refused: {link} is a link", "a run writes plain files, and would write elsewhere", hint)
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder} is not ours", f"it has files, and no {marker} of a run", hint)
        if not dry:
            write_json(file, {**facts, IDENTITY: identity.facts})
        return identity.facts
    try:
        known = parse_json(read_regular(file))
        found = dict(known[IDENTITY])
        reasons = list(_differences(found, identity.facts))
        earlier = {key: found[key] for key in ("code", "torch") if found[key] != getattr(identity, key)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{marker} is damaged or of an older version", f"{folder}: {type(error).__name__}: {error}", hint
        ) from error
    if reasons:
        raise OutputError(f"{folder} holds another run", "; ".join(reasons), hint)
    if "code" in earlier and not accept_code:
        raise OutputError(
            f"{folder} holds a run that other code began",
            f"the code that trains has changed since: {found['code'][:12]} then, {identity.code[:12]} now",
            f"{ACCEPT_CODE} to go on all the same, which is recorded; or {hint}",
        )
    if earlier:
        found = {**found, **identity.facts, "earlier": [*found.get("earlier", ()), earlier]}
        if not dry:
            write_json(file, {**known, IDENTITY: found})
    return found


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterable[str]:
    """What differs between two identities, in words; nothing on code and versions."""
    if then["recipe"] != now["recipe"]:
        changed = list(_changed("", then["recipe"], now["recipe"]))
        yield f"what is to be done is not the same: {', '.join(changed[:4])}{', ...' if changed[4:] else ''}"
    if then["classes"] != now["classes"]:
        yield _class_words(then["classes"], now["classes"])
    for part, words in (("train", "training"), ("held_out", "held-out"), ("test", "test")):
        if then[part] != now[part]:
            yield f"the {words} images are others: {_counts(then[part], now[part])}"
    wholes = [one["train"]["count"] + one["held_out"]["count"] for one in (then, now)]
    if wholes[0] == wholes[1] and then["train"] != now["train"] and then["held_out"] != now["held_out"]:
        yield f"they are {wholes[0]:,} together both times, so they may only be split otherwise"


def _class_words(then: list[str], now: list[str]) -> str:
    if sorted(then) == sorted(now):
        place = next(index for index, (one, other) in enumerate(zip(then, now, strict=True)) if one != other)
        return f"the classes are in another order: number {place} was '{then[place]}' then, is '{now[place]}' now"
    gone, new = ([f"'{name}'" for name in one if name not in other] for one, other in ((then, now), (now, then)))
    words = [f"{', '.join(names[:4])} {what}" for names, what in ((gone, "gone"), (new, "new")) if names]
    return f"the classes are others: {'; '.join(words) or 'one is named twice'}"


def _counts(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if then["count"] != now["count"]:
        return f"{then['count']:,} then, {now['count']:,} now"
    return f"{now['count']:,} then and now, but not the same pixels and labels in the same order"


def _changed(name: str, then: Any, now: Any) -> Iterable[str]:
    """Values that differ, by the dotted name of their keys."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _changed(f"{name}.{key}" if name else key, then.get(key), now.get(key))
    elif _tables(then) and _tables(now) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True), start=1):
            yield from _changed(f"{name}[{number}]", one, other)
    elif then != now:
        yield f"{name} {_short(then)} then, {_short(now)} now"


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
