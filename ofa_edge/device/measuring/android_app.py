"""The demo app as the runner of TFLite artifacts on an Android phone: its headless benchmark, one start a pass.

What it is asked for and what it answers with: android_demo/README.md. `runners/android_app_runner.sh` starts it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_edge.device.measuring.model_digest import MODEL_DIGEST
from ofa_edge.device.measuring.raw_outputs import raw_outputs
from ofa_edge.errors import DeviceBusyError, DeviceError, DeviceRunError, ThrottledError, UnsupportedError
from ofa_edge.files import sha256_file

APP_FILES = PurePosixPath("/sdcard/Android/data/org.ofaedge.demo/files")
_PACKAGE, _SCHEMA = "org.ofaedge.demo", 1
_RUNNER = "android_app_runner.sh"
_INSTALL = "make apk, then adb install -r android_demo/build/ofa-edge-demo-debug.apk"
_UNFIT = ("battery-low", "too-hot", "busy")


@dataclass(frozen=True)
class AndroidAppProgram:
    """See the module; a `programs.Program`."""

    artifact: Path
    classes: int
    app_files: PurePosixPath = APP_FILES
    suffix: str = ".f32"
    tells_memory: bool = False

    def files(self) -> Mapping[str, Path]:
        """See `Program`."""
        runner = resources.files("ofa_edge.device.runners").joinpath(_RUNNER)
        if not isinstance(runner, Path):
            raise UnsupportedError("ofa-edge runs from an archive", "its runner must be a file", "pip install ofa-edge")
        return {_RUNNER: runner, "model.tflite": self.artifact}

    def environment(self, work: PurePosixPath) -> dict[str, str]:
        """See `Program`."""
        del work
        return {}

    def command(self, work: PurePosixPath, inputs: str, outputs: str) -> list[str]:
        """See `Program`."""
        paths = [str(work / name) for name in ("model.tflite", inputs, outputs)]
        return ["sh", str(work / _RUNNER), str(self.app_files), sha256_file(self.artifact), *paths]

    def write_inputs(self, images: NDArray[np.float32], path: Path) -> None:
        """See `Program`. Raw little-endian float32, [N, H, W, C]."""
        np.ascontiguousarray(images.transpose(0, 2, 3, 1), "<f4").tofile(path)

    def read_outputs(self, path: Path) -> NDArray[np.float32]:
        """See `Program`."""
        values = raw_outputs(path)
        return values.reshape(-1, self.classes) if values.size % self.classes == 0 else values

    def facts(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """What the other runners would have printed, from the app's report.

        Raises:
            DeviceBusyError: the phone was not fit to be measured: battery, heat, another run.
            ThrottledError: it was slowed down.
            DeviceRunError: no app, another app, or a run that failed; the app's code is named.
        """
        if (report.get("tool"), report.get("schema")) != (_PACKAGE, _SCHEMA):
            found = f"tool {report.get('tool')!r:.80}, schema {report.get('schema')!r:.40}"
            raise DeviceRunError(
                "the demo app on the phone is of another version", f"{found}; expected {_PACKAGE}, {_SCHEMA}", _INSTALL
            )
        if report.get("status") != "ok":
            raise _failure(report.get("error"))
        try:
            return self._facts(report)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise DeviceRunError("the demo app's result is not readable", repr(error)[:300], _INSTALL) from error

    def _facts(self, report: Mapping[str, Any]) -> dict[str, Any]:
        said = report["measurement"]["runner"]
        operators, delegated = int(said["operators"]), int(said["delegated_operators"])
        facts: dict[str, Any] = {
            MODEL_DIGEST: str(report["artifact"]["sha256"]),
            "version": str(said["version"]),
            "app": str(report["version"]),
            "threads": int(said["threads"]),
            "operators": operators,
            "delegated_operators": delegated,
            "undelegated": {"not named by the app": operators - delegated} if operators > delegated else {},
        }
        latency = report["latency"]
        if latency is not None:
            facts["latency_ns"] = latency["samples_ns"][0]
            facts["load_ns"] = round(latency["load_ms"] * 1e6)
            facts["first_ns"] = round(latency["first_ms"] * 1e6)
            facts["warmup_runs"] = latency["warmup_runs"][0]
            facts["settled"] = latency["settled"]
        return facts


def _failure(error: object) -> DeviceError:
    """The error class for the app's code."""
    said = error if isinstance(error, Mapping) else {}
    code, reason = str(said.get("code", "none"))[:80], str(said.get("reason", "no reason given"))[:500]
    if code == "no-app":
        return DeviceRunError("the demo app is not on the phone", reason, _INSTALL)
    if code in _UNFIT:
        hint = "charge it, let it cool, close other apps"
        return DeviceBusyError("the phone is not fit to be measured", f"{code}: {reason}", hint, code)
    if code == "throttled":
        return ThrottledError("the phone was slowed down while it was measured", reason, "let it cool, run it again")
    hint = "keep the phone unlocked and the app in front" if code in ("interrupted", "ended") else "adb logcat -d"
    return DeviceRunError(f"the demo app answered {code}", reason, hint)
