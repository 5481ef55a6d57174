"""What `ofa-edge zoo import` was given: files by what they are, and spaces by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ofa_edge.errors import ConfigError, UnknownNameError, UsageError
from ofa_edge.files import open_regular, parse_json, read_regular
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.header import read_weights_file
from ofa_edge.supernet.importing.fetch import OnBytes, fetch, is_url, name_of
from ofa_edge.supernet.published import not_here, published

NET_CONFIG, RUN_CONFIG, INIT = "net.config", "run.config", "init"
WEIGHTS = "weights file"
Wanted = Literal["auto", "supernet", "network"]


@dataclass(frozen=True)
class ImportOptions:
    """What the user asked for; None means the default.

    Attributes:
        sources: a weights file, its net.config and run.config, a folder with these three, or one https address.
        out: output folder; by default `imported/` and the name of the weights.
        wanted: what to make of it; by default a network where there is a net.config, else a supernet.
        space: a published name, a folder of `--supernet`, or a space as JSON; by default found by shapes.
        sha256: of the weights file; an address needs one.
        labels: a file with one class name a line.
        mean, std: pixel statistics, 0..255, one each channel.
        predictor: a published accuracy predictor's file.
        predictor_sizes: the resolutions of its inputs, where the file does not say.
        resolution: of a network without a run.config.
    """

    sources: tuple[str, ...]
    out: Path | None = None
    wanted: Wanted = "auto"
    space: str | None = None
    sha256: str | None = None
    labels: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    predictor: Path | None = None
    predictor_sizes: tuple[int, ...] | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class Sources:
    """The files behind the sources, by what they are."""

    name: str
    weights: Path | None
    net_config: Path | None = None
    run_config: Path | None = None


def find_sources(options: ImportOptions, temporary: Path, on_bytes: OnBytes = lambda done, total: None) -> Sources:
    """Tell the sources apart, and fetch what is to be fetched.

    Raises:
        UsageError: a source does not exist, or two are of one kind.
    """
    found: dict[str, Path] = {}
    for source in options.sources:
        if is_url(source):
            path = temporary / name_of(source)
            fetch(source, options.sha256, path, on_bytes=on_bytes)
            files = [path]
        else:
            files = _files_of(Path(source))
        for file in files:
            kind = _kind_of(file)
            if kind in found:
                raise UsageError(f"two sources are a {kind}", f"{found[kind]} and {file}", "import one at a time")
            found[kind] = file
    weights = found.get(WEIGHTS)
    named = weights or found.get(NET_CONFIG)
    if named is None:
        raise UsageError("nothing to import", f"{', '.join(options.sources)}: no weights", "give the weights file too")
    # The published folders of specialised networks say in their own names what they are; `init` does not.
    folder = named.absolute().parent.name
    name = folder if named.name in (INIT, NET_CONFIG) and not is_url(options.sources[0]) else bare_name(named.name)
    return Sources(name or "network", weights, found.get(NET_CONFIG), found.get(RUN_CONFIG))


def bare_name(name: str) -> str:
    """A file's name without an ending of weights; published names end in numbers (`..._w1.0`), which stay."""
    path = Path(name)
    return path.stem if path.suffix in (".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors", ".config") else name


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        known = published(str(path))
        if known is not None:
            raise not_here(known)
        raise UsageError(f"no such file: {path}", "it is neither a file nor a folder", "check the path")
    files = [path / name for name in (NET_CONFIG, RUN_CONFIG, INIT) if (path / name).is_file()]
    if not files:
        raise UsageError(
            f"nothing to import in {path}", f"it has no {NET_CONFIG}, {RUN_CONFIG} or {INIT}", "name the file itself"
        )
    return files


def _kind_of(path: Path) -> str:
    """By content: a net.config has blocks, a run.config an image size, all else is weights."""
    with open_regular(path) as file:
        if file.read(64).lstrip()[:1] != b"{":
            return WEIGHTS
    try:
        value = parse_json(read_regular(path))
    except (ValueError, RecursionError):
        return WEIGHTS
    return NET_CONFIG if "blocks" in value else RUN_CONFIG


def find_space(name: str) -> Space:
    """A space by a published name, a supernet's folder, or as JSON. Raises UnknownNameError or ConfigError."""
    if name in zoo.UNTRAINED:
        return zoo.UNTRAINED[name]
    path = Path(name)
    if name in zoo.shipped() or path.is_dir():
        return zoo.open_supernet(name).space
    if not path.is_file():
        raise UnknownNameError.of("space", name, zoo.UNTRAINED, "a published name, a supernet's folder, or a JSON file")
    if path.suffix == ".safetensors":
        return read_weights_file(path).space
    try:
        return Space.from_json(parse_json(read_regular(path)))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "not a search space", f"{path}: {error}", "a space as JSON, as import.json holds one"
        ) from error
