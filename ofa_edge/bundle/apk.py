"""The APK, built by the app's own tool in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ofa_edge.bundle.app import app_assets
from ofa_edge.errors import ToolMissingError

BUILDER = "tools/build_apk.py"


def build_apk(app: Path) -> tuple[int, dict[str, Any]]:
    """Run the app's builder; what it says on stderr, errors too, goes to ours.

    Returns:
        Its exit code, and what it says about the APK (empty where it failed).

    Raises:
        ConfigError: `app` is not the app's project.
        ToolMissingError: the builder cannot be started, or speaks no JSON.
    """
    app_assets(app)
    argv = [sys.executable, str(app / BUILDER), "--json"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return done.returncode, {}
    try:
        facts: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise ToolMissingError(
            "the app's builder printed no result", f"{app / BUILDER}: {error}", f"python {app / BUILDER}"
        ) from error
    return 0, facts
