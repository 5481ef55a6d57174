"""`ofa-edge zoo import`: a checkpoint of the reference as a folder that `--supernet` takes."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_edge import __version__
from ofa_edge.data.labels import listed_labels
from ofa_edge.data.preprocess import asked_statistics
from ofa_edge.errors import UsageError
from ofa_edge.files import sha256_file, write_bytes, write_json
from ofa_edge.names import require_plain
from ofa_edge.output import claim_output_folder, output_folder
from ofa_edge.search.published_predictor import PublishedPredictor
from ofa_edge.space import Space
from ofa_edge.supernet import zoo
from ofa_edge.supernet.importing.fetch import OnBytes, check_digest, is_url, name_of, require_digest
from ofa_edge.workflows.zoo_import.sources import ImportOptions, Sources, bare_name, find_sources, find_space

if TYPE_CHECKING:
    from ofa_edge.space import Subnet
    from ofa_edge.supernet.importing.matching import Match
    from ofa_edge.supernet.importing.reading import Checkpoint
    from ofa_edge.supernet.network import Supernet
    from ofa_edge.supernet.static import StaticNet

FACTS = "import.json"  # published last: a folder that has one is complete


@dataclass(frozen=True)
class _Imported:
    """A network and what is to be said about it."""

    net: "Supernet | StaticNet"
    kind: str
    match: "Match"
    notes: tuple[str, ...]
    subnet: "Subnet | None" = None


def import_package(options: ImportOptions, on_bytes: OnBytes = lambda done, total: None) -> tuple[Path, dict[str, Any]]:
    """Import, and write the package; return its folder and the facts that stand in its import.json.

    Raises:
        UsageError: in one of its forms; nothing has been written.
    """
    with tempfile.TemporaryDirectory(prefix="ofa-edge-") as temporary:
        if any(is_url(source) for source in options.sources):
            claim_output_folder(options.out or _default_out(bare_name(name_of(options.sources[0]))), FACTS)
        sources = find_sources(options, Path(temporary), on_bytes)
        out = options.out or _default_out(sources.name)
        claim_output_folder(out, FACTS)
        checkpoint, digest = _read_weights(sources, options)
        imported = _import(checkpoint, sources, options)
        space = imported.net.space
        labels = (
            tuple(f"class {number}" for number in range(space.num_classes))
            if options.labels is None
            else listed_labels(options.labels, space.num_classes)
        )
        mean, std = _statistics(options, space)
        predictor = _predictor(options, space) if options.predictor else None
        facts = _facts(imported, checkpoint, sources, digest, predictor)
        if options.labels is None:
            facts["notes"].append("its classes have no names: give --labels FILE to build with a folder of your images")
        header = {
            "labels": json.dumps(labels),
            "mean": json.dumps(mean),
            "std": json.dumps(std),
            "dataset": f"unknown (imported from {sources.name})",
            "source": sources.name,
            "source_sha256": digest,
        }
        _write(out, imported, header, labels, predictor, facts)
    return out, facts


def _default_out(name: str) -> Path:
    """`imported/NAME`. Raises ConfigError for a source whose name cannot be a folder's."""
    return Path("imported") / require_plain("folder", name, "the source's own name, without --out", "--out FOLDER")


def import_subnet(options: ImportOptions) -> dict[str, Any]:
    """A net.config as a subnet's configuration, for one's own supernet where `space` names it. Raises ConfigError."""
    from ofa_edge.supernet.importing.net_config import read_net_config
    from ofa_edge.supernet.importing.subnets import choose, place

    with tempfile.TemporaryDirectory(prefix="ofa-edge-") as temporary:
        sources = find_sources(options, Path(temporary))
        if sources.net_config is None:
            raise UsageError(
                "no net.config", f"{', '.join(options.sources)}: none of them is one", "give the JSON file"
            )
        config, size = read_net_config(sources.net_config), _image_size(sources, options)
    published = list(zoo.UNTRAINED.values())
    if options.space is None:
        placed = place(config, size, published)
    else:
        placed = choose(config, find_space(options.space), published, size)
    return {
        "space": placed.space.name,
        "space_hash": placed.space.hash,
        "subnet": placed.subnet.config(),
        "notes": list(placed.notes),
    }


def _read_weights(sources: Sources, options: ImportOptions) -> tuple["Checkpoint", str]:
    """The tensors and the file's SHA-256, which is checked before anything is parsed."""
    from ofa_edge.supernet.importing.reading import read_checkpoint

    if sources.weights is None:
        raise UsageError("no weights", "only configuration files were given", "give the weights too, or --subnet")
    digest = sha256_file(sources.weights)
    if options.sha256 is not None:
        require_digest(digest, check_digest(options.sha256), sources.weights.name)
    return read_checkpoint(sources.weights), digest


def _import(checkpoint: "Checkpoint", sources: Sources, options: ImportOptions) -> _Imported:
    from ofa_edge.supernet.importing.net_config import read_net_config
    from ofa_edge.supernet.importing.networks import import_network
    from ofa_edge.supernet.importing.supernets import import_supernet

    named = options.space is not None and options.space not in zoo.UNTRAINED
    spaces = [find_space(options.space)] if options.space is not None else list(zoo.UNTRAINED.values())
    if options.wanted == "network" or (options.wanted == "auto" and sources.net_config):
        if sources.net_config is None:
            raise UsageError("no net.config", "a network's weights do not say what it is", "give its net.config too")
        config = read_net_config(sources.net_config)
        network = import_network(checkpoint, config, _image_size(sources, options), spaces)
        return _Imported(network.net, "network", network.match, network.notes, network.net.subnet)
    supernet = import_supernet(checkpoint, spaces, free=not named)
    return _Imported(supernet.net, supernet.kind, supernet.match, supernet.notes)


def _image_size(sources: Sources, options: ImportOptions) -> int:
    from ofa_edge.supernet.importing.net_config import read_image_size

    if options.resolution is not None:
        return options.resolution
    if sources.run_config is None:
        raise UsageError(
            "no image size", "a net.config does not say it", "give the run.config published beside it, or --resolution"
        )
    return read_image_size(sources.run_config)


def _statistics(options: ImportOptions, space: Space) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = space.in_channels
    if options.mean is None and options.std is None and channels == len(zoo.IMAGENET_MEAN):
        return zoo.IMAGENET_MEAN, zoo.IMAGENET_STD
    return asked_statistics(options.mean, options.std, channels)


def _predictor(options: ImportOptions, space: Space) -> PublishedPredictor:
    from ofa_edge.supernet.importing.reading import read_checkpoint

    assert options.predictor is not None
    tensors = read_checkpoint(options.predictor).tensors
    state = {key: value.float().numpy() for key, value in tensors.items()}
    return PublishedPredictor.from_state(state, space, options.predictor_sizes)


def _facts(
    imported: _Imported,
    checkpoint: "Checkpoint",
    sources: Sources,
    digest: str,
    predictor: PublishedPredictor | None,
) -> dict[str, Any]:
    """What import.json says: no paths, no dates."""
    space = imported.net.space
    facts: dict[str, Any] = {
        "version": __version__,
        "source": sources.name,
        "sha256": digest,
        "container": checkpoint.container,
        "kind": imported.kind,
        "space": space.to_json(),
        "space_hash": space.hash,
        "parameters": sum(value.numel() for value in imported.net.parameters()),
        "keys": len(checkpoint.tensors),
        "dialect": dict(imported.match.dialect),
        "notes": list(imported.notes),
        "predictor": None,
    }
    if imported.subnet is not None:
        facts["subnet"] = imported.subnet.config()
    if predictor is not None:
        facts["predictor"] = {
            "form": predictor.form,
            "sizes": list(predictor.sizes),
            "interpolated_sizes": list(predictor.interpolated),
            "rmse": predictor.rmse,
            "rmse_source": predictor.rmse_source,
        }
        facts["notes"].append(
            f"the predictor's file does not say for which network it was fitted; it is taken for '{space.name}'"
        )
    return facts


def _write(
    out: Path,
    imported: _Imported,
    header: Mapping[str, str],
    labels: Sequence[str],
    predictor: PublishedPredictor | None,
    facts: Mapping[str, Any],
) -> None:
    from ofa_edge.supernet.network import Supernet
    from ofa_edge.supernet.weights import save_static, save_supernet

    with output_folder(out, FACTS) as folder:
        if isinstance(imported.net, Supernet):
            save_supernet(folder / zoo.WEIGHTS, imported.net, header)
        else:
            save_static(folder / zoo.NETWORK, imported.net, header)
        write_bytes(folder / zoo.LABELS, ("\n".join(labels) + "\n").encode())
        if predictor is not None:
            predictor.save(folder / zoo.PREDICTOR)
        write_json(folder / FACTS, facts)
