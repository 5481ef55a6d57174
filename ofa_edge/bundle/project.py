"""The app's project, which the package brings: written where somebody bundles outside a checkout."""

import os
import shutil
import tempfile
from pathlib import Path

from ofa_edge.errors import OutputError
from ofa_edge.files import shipped_folder

# What the project consists of; pyproject.toml puts the same into the wheel.
PARTS = (
    "BUNDLE.md",
    "README.md",
    "app/build.gradle",
    "app/src/licences",
    "app/src/main/AndroidManifest.xml",
    "app/src/main/cpp",
    "app/src/main/java",
    "app/src/main/res",
    "build.gradle",
    "gradle",
    "settings.gradle",
    "tools",
)


def begin_project(app: Path) -> bool:
    """Write the project where there is nothing yet, whole or not at all; whether it was written.

    Raises:
        OutputError: the folder cannot be written.
    """
    if app.exists() or app.is_symlink():
        return False
    source = shipped_folder("android_demo")
    try:
        app.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{app.name}.", dir=app.parent) as folder:
            staging = Path(folder) / "project"
            for part in PARTS:
                target = staging / part
                target.parent.mkdir(parents=True, exist_ok=True)
                if (source / part).is_dir():
                    shutil.copytree(source / part, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copyfile(source / part, target)
            os.replace(staging, app)  # noqa: PTH105  (fails, as it should, where somebody was quicker)
    except OSError as error:
        raise OutputError(f"cannot write the app's project to {app}", str(error), "--app another folder") from error
    return True
