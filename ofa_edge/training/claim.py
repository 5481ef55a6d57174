"""A run's folder, and whose it is: a run is continued only where its own marker says what was to be done."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ofa_edge.errors import OutputError
from ofa_edge.files import parse_json, write_json


def claim_run(
    folder: Path, marker: str, facts: Mapping[str, Any], deciding: Collection[str], *, dry: bool = False
) -> None:
    """Make a run's folder and its marker, or check that the marker there is of the same run.

    Args:
        folder: the run's folder; missing, empty, or with a marker.
        marker: a file name.
        facts: what is to be done, as JSON values: what a new marker holds.
        deciding: keys of `facts`; a run in which one of them differs is another run.
        dry: only check.

    Raises:
        OutputError: it holds another run, a damaged marker, a link, or files and no marker.
    """
    file, hint = folder / marker, "choose another folder with --out"
    link = next((path for path in folder.iterdir() if path.is_symlink()), None) if folder.is_dir() else None
    if link is not None:
        raise OutputError(f"refused: {link} is a link", "a run writes plain files, and would write elsewhere", hint)
    if file.is_file():
        try:
            known = parse_json(file.read_bytes())
            other = [key for key in deciding if known[key] != json.loads(json.dumps(facts[key]))]
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{marker} is damaged", f"{folder}: {error}", hint) from error
        if other:
            theirs = ", ".join(f"{key} {str(known[key])[:40]}" for key in other)
            raise OutputError(f"{folder} holds another run", f"{marker} says: {theirs}", hint)
    elif folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not ours", f"it has files, and no {marker} of a run", hint)
    elif not dry:
        write_json(file, dict(facts))
