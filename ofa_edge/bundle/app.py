"""The app's folder: models put in and taken out. All assets change at once, `bundle.json` last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofa_edge.bundle.check import CheckedBuild, check_build
from ofa_edge.bundle.project import begin_project
from ofa_edge.bundle.record import BUNDLE, Bundle, ModelEntry, SampleEntry, read_bundle
from ofa_edge.bundle.samples import DEFAULT_IMAGES, SampleSet, samples_of
from ofa_edge.errors import ConfigError, UnknownNameError, UsageError
from ofa_edge.files import sha256_bytes, write_bytes
from ofa_edge.output import MARKER, folder_inside, locked_folder, output_folder
from ofa_edge.schema import changed
from ofa_edge.shown import pasteable

ASSETS = Path("app/src/main/assets")
_LARGE = 8_000_000  # bytes of sample images, which an APK should not grow by unasked
_APP_FILES = ("app/src/main/AndroidManifest.xml", "tools/build_apk.py")


@dataclass(frozen=True)
class Bundled:
    """What a call left in the app.

    Attributes:
        bundle: all that the app holds now.
        added, removed, unchanged: names of models.
        notes: what a user may want to know, a sentence each.
    """

    bundle: Bundle
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def app_assets(app: Path) -> Path:
    """The assets' folder of an app.

    Raises:
        ConfigError: `app` is not the app's project.
        OutputError: a link stands between `app` and its assets.
    """
    missing = next((name for name in _APP_FILES if not (app / name).is_file()), None)
    if missing is not None:
        raise ConfigError(
            f"not the Android demo's folder: {app}",
            f"no {missing} in it",
            "--app of a folder that is not there yet: bundling a build writes the project",
        )
    return folder_inside(app, ASSETS.as_posix())


def add_models(
    app: Path,
    builds: Sequence[Path],
    *,
    name: str | None = None,
    images: int = DEFAULT_IMAGES,
    allow_unverified: bool = False,
    replace: bool = False,
) -> Bundled:
    """Put built models into the app; all of them or none. The same call twice leaves the same bytes.

    Where there is no app's folder, the project is written first.

    Args:
        app: the app's folder.
        builds: folders that `ofa-edge build` made.
        name: of the model, where there is one build.
        images: labelled test images to bundle for each supernet.
        allow_unverified: see `check_build`.
        replace: let a build take the place of another one of the same name.

    Raises:
        UsageError: duplicates, a bad name, an artifact that is refused (see `check_build`).
        OutputError: the assets hold files of somebody else, or cannot be written.
    """
    if name is not None and len(builds) != 1:
        raise UsageError("--name fits one build", f"{len(builds)} were given", "bundle them one by one")
    candidates = [check_build(build, name, allow_unverified=allow_unverified) for build in builds]
    _refuse_duplicates(builds, candidates)
    begun = begin_project(app)
    assets = app_assets(app)
    with locked_folder(app):
        old = _standing(assets)
        new = [item for item in candidates if _is_new(item.entry, old, replace)]
        content, notes = _content(candidates, images, old)
        replaced = {item.entry.name for item in candidates}
        models = [model for model in old.models if model.name not in replaced]
        samples = {item.name: item for item in old.samples}
        for candidate, chosen in content:
            models.append(changed(candidate.entry, samples=chosen.entry.name if chosen else None))
            if chosen is not None:
                samples[chosen.entry.name] = chosen.entry
        fresh = _fresh(content)
        bundle = _bundle(models, samples)
        _publish(assets, bundle, fresh)
    added = tuple(item.entry.name for item in new)
    unchanged = tuple(item.entry.name for item in candidates if item not in new)
    if begun:
        notes = (f"the app's project was written to {app}", *notes)
    return Bundled(bundle, added=added, unchanged=unchanged, notes=notes)


def remove_models(app: Path, names: Sequence[str]) -> Bundled:
    """Take models out of the app, and the samples that no other model uses. All of them or none.

    Raises:
        UnknownNameError: a name that is not bundled.
    """
    assets = app_assets(app)
    with locked_folder(app):
        old = _standing(assets)
        for name in names:
            if name not in old.names:
                raise UnknownNameError.of(
                    "bundled model", name, old.names, pasteable("ofa-edge", "bundle", "--list", "--app", app)
                )
        models = [model for model in old.models if model.name not in names]
        bundle = _bundle(models, {item.name: item for item in old.samples})
        _publish(assets, bundle, {})
    return Bundled(bundle, removed=tuple(dict.fromkeys(names)))


def _standing(assets: Path) -> Bundle:
    """What is bundled. Files without a `bundle.json` are what a call left that was killed while it moved them in."""
    if (assets / MARKER).is_file() and not (assets / BUNDLE).is_file():
        raise ConfigError(
            "the last bundling was cut off",
            f"{assets} has files and no {BUNDLE}",
            f"{pasteable('rm', '-r', assets)}, and bundle again",
        )
    return read_bundle(assets)


def _refuse_duplicates(builds: Sequence[Path], candidates: Sequence[CheckedBuild]) -> None:
    for index, later in enumerate(candidates):
        for build, earlier in zip(builds, candidates[:index], strict=False):
            same_name, same_model = (
                getattr(earlier.entry, key) == getattr(later.entry, key) for key in ("name", "sha256")
            )
            if same_name or same_model:
                raise UsageError(
                    f"two models of the name '{later.entry.name}'" if same_name else "the same model twice",
                    f"{build} and {builds[index]}",
                    "bundle each once; --name NAME, one build at a time, gives another name",
                )


def _is_new(entry: ModelEntry, old: Bundle, replace: bool) -> bool:
    """Whether the model is not bundled yet; refuses what would be there twice."""
    for there in old.models:
        if there.name == entry.name:
            if _same_build(there, entry):
                return False
            if not replace:
                raise UsageError(
                    f"'{entry.name}' is already bundled",
                    f"from another build (network {there.network}, SHA-256 {there.sha256[:12]}...)",
                    f"--replace, --name ANOTHER, or first: {pasteable('ofa-edge', 'bundle', '--remove', entry.name)}",
                )
        elif there.sha256 == entry.sha256:
            raise UsageError(
                "the same model twice",
                f"'{there.name}' in the app is this very file",
                f"keep it, or first: {pasteable('ofa-edge', 'bundle', '--remove', there.name)}",
            )
    return True


def _same_build(there: ModelEntry, entry: ModelEntry) -> bool:
    return (there.sha256, there.manifest_sha256) == (entry.sha256, entry.manifest_sha256)


def _content(
    candidates: Sequence[CheckedBuild], images: int, old: Bundle
) -> tuple[list[tuple[CheckedBuild, SampleSet | None]], tuple[str, ...]]:
    """Each candidate with its sample images. Sets of one name that differ are kept apart by their digests."""
    ours = {candidate.entry.name for candidate in candidates}
    used = {model.samples for model in old.models if model.name not in ours}
    taken = {item.name: (item.sha256, item.labels_sha256) for item in old.samples if item.name in used}
    found, notes = [], []
    for candidate in candidates:
        chosen, reason = samples_of(candidate.manifest, images, candidate.class_names)
        if chosen is None:
            notes.append(f"{candidate.entry.name}: no sample images ({reason})")
        else:
            digests = (chosen.entry.sha256, chosen.entry.labels_sha256)
            if taken.setdefault(chosen.entry.name, digests) != digests:
                chosen = chosen.renamed(f"{chosen.entry.name[:50]}-{sha256_bytes(''.join(digests).encode())[:12]}")
                taken[chosen.entry.name] = digests
            if chosen.entry.size > _LARGE:
                notes.append(
                    f"samples {chosen.entry.name} take {chosen.entry.size / 1e6:.0f} MB: --images N takes fewer"
                )
        found.append((candidate, chosen))
    return found, tuple(dict.fromkeys(notes))


def _fresh(content: Sequence[tuple[CheckedBuild, SampleSet | None]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for candidate, chosen in content:
        files |= {candidate.entry.file: candidate.model, candidate.entry.labels: candidate.labels}
        files |= chosen.files() if chosen else {}
    return files


def _bundle(models: Sequence[ModelEntry], samples: Mapping[str, SampleEntry]) -> Bundle:
    used = {model.samples for model in models}
    return Bundle(
        models=tuple(sorted(models, key=lambda model: model.name)),
        samples=tuple(samples[name] for name in sorted(samples) if name in used),
    )


def _publish(assets: Path, bundle: Bundle, fresh: Mapping[str, bytes]) -> None:
    """Lay all assets out anew: fresh files as they are, the others copied if they are still what they were."""
    with output_folder(assets, last=BUNDLE) as folder:
        for name, digest in sorted(bundle.files().items()):
            data = fresh[name] if name in fresh else _kept(assets, name)
            if sha256_bytes(data) != digest:
                raise ConfigError(
                    f"a bundled file was changed: {name}",
                    f"{assets / name}: another SHA-256 than in {BUNDLE}",
                    _again(name),
                )
            write_bytes(folder / name, data)
        write_bytes(folder / BUNDLE, bundle.to_bytes())


def _again(file: str) -> str:
    """What to do about a file that is not what was bundled."""
    return f"{pasteable('ofa-edge', 'bundle', '--remove', Path(file).parent.name)}, and bundle that build again"


def _kept(assets: Path, name: str) -> bytes:
    try:
        return (assets / name).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"a bundled file is missing: {name}",
            f"{assets / name}: {error.strerror}",
            _again(name),
        ) from error
