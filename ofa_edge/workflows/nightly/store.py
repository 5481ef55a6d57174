"""Golden artifacts: whole build folders, kept by the artifact's digest. Nothing in the store ever changes."""

import tempfile
from pathlib import Path

from ofa_edge.builds import Build
from ofa_edge.errors import ConfigError
from ofa_edge.files import copy_file, fsync_folder
from ofa_edge.output import MANIFEST, file_inside


class Store:
    """A folder with one folder for each golden artifact, named by its SHA-256."""

    def __init__(self, folder: Path) -> None:
        """Args: where the store lies; it is made when something is kept."""
        self.folder = folder

    def keep(self, build: Build) -> Build:
        """Copy what a build's manifest names into the store, all or nothing; one that is there already stays."""
        place = self.folder / build.file.sha256
        if not place.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=self.folder) as scratch:
                part = Path(scratch) / "build"
                for name in (MANIFEST, *(record.path for record in build.manifest.outputs)):
                    (part / name).parent.mkdir(parents=True, exist_ok=True)
                    copy_file(file_inside(build.folder, name), part / name)
                part.rename(place)
            fsync_folder(self.folder)
        return self.open(build.file.sha256)

    def open(self, sha256: str) -> Build:
        """The build of a digest, checked.

        Raises:
            ConfigError: it is not in the store, or is not what was kept.
        """
        place = self.folder / sha256
        if not place.is_dir():
            raise ConfigError(
                f"golden artifact {sha256[:12]} is missing", f"{self.folder}", "ofa-edge baseline accept, or restore it"
            )
        build = Build.open(place)
        if build.file.sha256 != sha256 or build.artifact.sha256 != sha256:
            raise ConfigError(f"golden artifact {sha256[:12]} was changed", f"{place}", "restore it from a copy")
        return build
