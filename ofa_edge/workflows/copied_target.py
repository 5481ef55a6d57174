"""A target for another accelerator: a copy to be changed, for no figure of a CPU carries cycles over to one."""

import json
import re
from pathlib import Path

from ofa_edge.errors import ConfigError
from ofa_edge.files import read_regular, write_bytes
from ofa_edge.latency.target_file import check_name
from ofa_edge.targets import Target, load_target, read_target


def is_accelerator(target: Target) -> bool:
    """Whether it is described by an accelerator's own table."""
    return target.npu is not None or target.array is not None


def copied_target(name: str, like: str, folder: Path, description: str | None = None) -> list[Path]:
    """Write `folder/NAME.toml` and copies of the files that it names; the target's file first.

    Args:
        name: of the new target.
        like: an accelerator's target.
        folder: made where it is missing.
        description: in words; by default the other's.

    Raises:
        ConfigError: a bad name, or one of the files is there already.
        OutputError: a file cannot be written.
    """
    check_name(name)
    base = load_target(like)
    text, copies = read_regular(base.path).decode(), {}
    for file in _named(base):
        source = base.path.parent / file
        if source.is_file():  # Vela's own configuration comes with Vela
            stem = f"{base.path.stem}."
            copies[file] = f"{name}.{file.removeprefix(stem)}"
            text = text.replace(json.dumps(file), json.dumps(copies[file]))
    if description is not None:
        said = f"description = {json.dumps(description, ensure_ascii=False)}"
        text = re.sub(r"^description = .*$", lambda _: said, text, count=1, flags=re.MULTILINE)
    path = folder / f"{name}.toml"
    written = [path, *(folder / copy for copy in copies.values())]
    if taken := [each for each in written if each.exists()]:
        raise ConfigError(f"{taken[0]} is there already", "a target is not overwritten", "another NAME, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    for file, copy in copies.items():
        write_bytes(folder / copy, read_regular(base.path.parent / file))
    write_bytes(path, text.encode())
    read_target(path)
    return written


def _named(target: Target) -> list[str]:
    """Files beside the target's that it names, each once."""
    files = [target.latency_model.file]
    if target.npu is not None:
        files.append(target.npu.config)
    if target.array is not None:
        files += [target.array.pointwise, target.array.depthwise]
    return list(dict.fromkeys(files))
