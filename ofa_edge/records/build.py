"""What makes a manifest one of a build: it makes sense as a whole, and its files are those that it names.

A manifest comes with the folder, so it may have been written by anybody. The schema (`manifest.py`) refuses what no
manifest holds; here is what no *build* is: a subnet outside its space, no artifact, a verdict given twice.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ofa_edge import cost
from ofa_edge.errors import ConfigError
from ofa_edge.files import pretty_json, read_regular, sha256_file
from ofa_edge.records.interface import INTERFACE
from ofa_edge.records.manifest import FileRecord, Manifest, read_manifest
from ofa_edge.records.network import SubnetRecord, SupernetRecord
from ofa_edge.space import Space, Subnet

RUNNER = "runner"  # folder of the program that travels with an artifact
_FREE = ("example", "readme")  # roles of files that a user may change: nothing is made of them
_MOST_THREADS = 1024


def read_built(folder: Path) -> Manifest:
    """The manifest of a build that is to be used, checked with its files.

    Raises:
        ConfigError: the folder is no build, or was changed after it.
    """
    manifest = read_manifest(folder)
    check_built(folder, manifest)
    return manifest


def check_built(folder: Path, manifest: Manifest) -> None:
    """Check a manifest for contradictions, and every output against it.

    Raises:
        ConfigError: it is no build's manifest, or an output was changed; names the first fault.
    """
    for what, why in _faults(manifest):
        raise ConfigError(f"not a build: {what}", f"{folder}: {why}", "run ofa-edge build again")
    for record in manifest.outputs:
        if record.role in _FREE:
            continue
        path = folder / record.path
        if not path.is_file() or path.stat().st_size != record.size or sha256_file(path) != record.sha256:
            state = "was changed" if path.is_file() else "is missing"
            raise ConfigError(f"{record.path} {state}", f"{folder}: not the file of the manifest", "build again")
    _check_interface(folder, manifest)
    listed = {record.path for record in manifest.outputs}
    for path in sorted((folder / RUNNER).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (not path.is_dir() and name not in listed):
            raise ConfigError(f"{name} is not of the build", f"{folder}: its manifest does not name it", "build again")


def _check_interface(folder: Path, manifest: Manifest) -> None:
    """What the manifest says of inputs and outputs has to be what the interface's own file says, which is whole."""
    if manifest.interface is None or not has_output(manifest, INTERFACE):
        return
    if read_regular(folder / INTERFACE) != pretty_json(manifest.interface.model_dump(mode="json")):
        raise ConfigError(f"manifest.json and {INTERFACE} differ", f"{folder}: in the interface", "build again")


def artifact_of(manifest: Manifest) -> FileRecord:
    """The file that devices run, of a build that was checked."""
    return next(record for record in manifest.outputs if record.role == "artifact")


def has_output(manifest: Manifest, name: str) -> bool:
    """Whether a build has an output of that name; another file of that name in its folder counts for nothing."""
    return any(record.path == name for record in manifest.outputs)


def runner_of(folder: Path, manifest: Manifest) -> Path | None:
    """The folder of the program that travels with the artifact, if the build has one."""
    return folder / RUNNER if any(record.path.startswith(f"{RUNNER}/") for record in manifest.outputs) else None


def subnet_of(said: SubnetRecord) -> Subnet:
    """The subnet that a record describes."""
    return Subnet(said.stages, said.resolution, said.widths)


def _faults(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What is wrong with a manifest as a whole, and where."""
    if manifest.supernet is not None and manifest.subnet is not None:
        yield from _wrong_subnet(manifest.supernet, manifest.subnet)
    artifacts = [record.path for record in manifest.outputs if record.role == "artifact"]
    if len(artifacts) != 1:
        yield "no single artifact", f"outputs of role 'artifact': {artifacts}"
    for role in ("labels", "onnx"):
        if sum(record.role == role for record in manifest.outputs) > 1:
            yield f"several outputs of role '{role}'", "each build has one"
    if not manifest.ladder or not manifest.verdicts:
        yield "nothing was verified", "no ladder or no verdicts"
    gates = Counter(verdict.gate for verdict in manifest.verdicts)
    if gates and gates.most_common(1)[0][1] > 1:
        yield f"two verdicts on {gates.most_common(1)[0][0]}", "each gate is judged once"
    if manifest.target.threads > _MOST_THREADS or manifest.seed < 0:
        yield "impossible figures", f"threads = {manifest.target.threads}, seed = {manifest.seed}"


def _wrong_subnet(supernet: SupernetRecord, said: SubnetRecord) -> Iterator[tuple[str, str]]:
    subnet = subnet_of(said)
    try:
        space = Space.from_json(supernet.space)
        if space.hash != supernet.space_hash:
            yield "another search space", f"supernet.space hashes to {space.hash[:12]}, not to supernet.space_hash"
        space.check(subnet)
    except ConfigError as error:
        yield error.what, error.why
        return
    counted = (subnet.id, cost.macs(space, subnet), cost.params(space, subnet))
    if counted != (said.id, said.macs, said.params):
        yield "another subnet", f"subnet.id, macs and params are {said.id}, {said.macs}, {said.params}, not {counted}"
