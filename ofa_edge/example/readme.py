"""A build's README.md: what it is, its figures with their labels, how to run it and how to check it."""

import re
from collections.abc import Iterator
from pathlib import Path

from ofa_edge.example.golden import GOLDEN
from ofa_edge.example.write import EXAMPLE, Programs
from ofa_edge.files import write_bytes
from ofa_edge.records.interface import INTERFACE, InterfaceRecord
from ofa_edge.records.manifest import Manifest
from ofa_edge.runtimes import Runtime

README = "README.md"
_MARKS = re.compile(r"([\\`*_\[\]<>|~&])")


def plain(text: str) -> str:
    r"""Text of somebody else's in a line of Markdown, where none of it is a mark.

    >>> print(plain("a|b\n<b>"))
    a\|b \<b\>
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def write_readme(folder: Path, manifest: Manifest, runtime: Runtime, programs: Programs, golden: str) -> None:
    """Write a build's README.md.

    Args:
        folder: of the build.
        manifest: what it says.
        runtime: of the artifact.
        programs: that were written.
        golden: what the photos of golden/ are made of, in words; none where there are none.
    """
    interface = manifest.interface
    assert interface is not None
    parts = [*_what(manifest, runtime, interface), *_figures(manifest)]
    if programs.why_not:
        parts += ["## Run it", f"No example was written: {programs.why_not}. `{INTERFACE}` says what goes in and out."]
    if programs.python:
        parts += _python(manifest, runtime)
    if programs.cpp:
        parts += _cpp(manifest, runtime)
    if programs.java:
        parts += _java()
    if golden:
        parts += _check(golden, programs)
    licences = manifest.network.licences
    parts += [
        "## Where it came from",
        "`manifest.json` has everything that went in, and `report.html` shows it.",
        f"Licence of the weights: {plain(licences.weights)}; of their training data: {plain(licences.data)}.",
    ]
    write_bytes(folder / README, ("\n\n".join(parts) + "\n").encode())


def _what(manifest: Manifest, runtime: Runtime, interface: InterfaceRecord) -> Iterator[str]:
    target, network = manifest.target, manifest.network
    yield f"# {plain(network.source)} for {plain(target.description)}"
    warning = "" if network.trained else " **Its weights are random: its answers mean nothing.**"
    yield (
        f"`{interface.file}` is a network of {network.macs / 1e6:.1f} million multiply-accumulates and "
        f"{network.params / 1e6:.2f} million weights, in {target.precision}, for {plain(runtime.title)} on "
        f"{plain(target.cpu)} ({plain(target.arch)}). It {_TASKS[interface.task]}.{warning}"
    )
    goes_in = "How a photo becomes its input" if interface.picture is not None else "What its inputs are"
    yield f"{goes_in}, and what its outputs mean, is in `{INTERFACE}`, for programs."


_TASKS = {
    "classify": "says of a photo which of its classes it shows",
    "detect": "finds objects in a photo",
    "segment": "says of every pixel of a photo which class it is of",
    "features": "turns its input into features",
}


def _figures(manifest: Manifest) -> Iterator[str]:
    rows = ["| what | figure | how it is known |", "|---|---|---|"]
    artifact = next(each for each in manifest.outputs if each.role == "artifact")
    rows.append(f"| size | {artifact.size:,} bytes | counted |")
    rung = next((each for each in reversed(manifest.ladder) if each.accuracy is not None), None)
    if rung is not None and rung.accuracy is not None:
        low, images = 100 * rung.accuracy_low95, plain(manifest.network.dataset or f"{rung.images} test images")
        how = f"measured on {images}, at the rung '{plain(rung.name)}'; lower end at 95 %: {low:.1f} %"
        rows.append(f"| {rung.metric} | {100 * rung.accuracy:.1f} % | {how} |")
    for each in manifest.measurements:
        if each.latency_ms is not None:
            how = f"measured on {plain(each.name)}, {each.latency_ms.runs} runs"
            rows.append(f"| latency, median | {each.latency_ms.p50:.3g} ms | {how} |")
        elif each.kind == "emulated":
            rows.append("| latency | not measured | the device was emulated, and an emulator gives no times |")
    if manifest.prediction is not None:
        found = manifest.prediction
        interval = f"90 % interval {found.low90:.3g} to {found.high90:.3g}"
        how = f"predicted, {found.provenance}; {interval}; from: {plain(found.source)}"
        rows.append(f"| latency | {found.ms:.3g} ms | {how} |")
    yield "## Figures"
    yield "\n".join(rows)
    gates = [f"- {each.gate}: **{each.outcome}**, {plain(each.reason)}" for each in manifest.verdicts]
    yield "\n".join(gates)


def _code(*lines: str) -> str:
    return "\n".join(["```", *lines, "```"])


def _python(manifest: Manifest, runtime: Runtime) -> Iterator[str]:
    here = f"{EXAMPLE}/python/classify.py"
    yield "## In Python"
    yield "In this folder, here or on the board; NumPy and Pillow of any version will do:"
    yield _code(
        "python3 -m venv venv",
        f"venv/bin/pip install {_packages(manifest, runtime)} numpy pillow",
        f"venv/bin/python {here} PHOTO.jpg",
        f"venv/bin/python {here} --check",
    )
    yield "To a board, over ssh:"
    yield _code("scp -r . USER@BOARD:model", "ssh USER@BOARD", "cd model    # and go on as above")
    yield f"`{here}` is the whole program; `pixels.py` beside it is the arithmetic from pixels to the input."


def _packages(manifest: Manifest, runtime: Runtime) -> str:
    said = manifest.versions
    return " ".join(f"{each}=={said[each]}" if each in said else each for each in runtime.packages)


def _cpp(manifest: Manifest, runtime: Runtime) -> Iterator[str]:
    yield "## In C++"
    yield (
        f"`{EXAMPLE}/cpp/ofa_classifier.h` is one struct and three functions: create, classify (red, green and blue "
        "bytes in, scores out), destroy. No image library: decoding a photo is yours, and `main.cc` reads PPM."
    )
    yield _code(
        "python3 -m venv venv",
        f"venv/bin/pip install {_packages(manifest, runtime)}    # brings the library",
        f"make -C {EXAMPLE}/cpp PYTHON=$PWD/venv/bin/python",
        f"{EXAMPLE}/cpp/classify . PHOTO.ppm",
        f"{EXAMPLE}/cpp/classify . --check",
    )


def _java() -> Iterator[str]:
    yield "## On Android"
    yield (
        f"`{EXAMPLE}/android/` has `OfaClassifier.java`, which reads the model and `{INTERFACE}` from the app's assets "
        "and the classes that it needs. Copy both files into `src/main/assets`, the folder `org` into `src/main/java`, "
        "and add to `build.gradle`:"
    )
    yield _code('implementation "com.google.ai.edge.litert:litert:1.4.0"')
    yield _code("OfaClassifier model = new OfaClassifier(getAssets());", "String label = model.classify(bitmap).label;")
    yield (
        f"To check it, copy `{GOLDEN}/` into the assets as well, save what `model.check(getAssets(), 8)` returns, "
        f"and give that to `{EXAMPLE}/python/classify.py --check FILE`."
    )


def _check(golden: str, programs: Programs) -> Iterator[str]:
    answers = "`--check FILE` takes answers from elsewhere, your app's for instance: one line of numbers an image"
    tools = [*(["Python"] if programs.python else []), *(["C++"] if programs.cpp else [])]
    yield "## Check it"
    yield (
        f"`{GOLDEN}/` holds photos and what the artifact says of them. `--check` ({' and '.join(tools)}) compares, and "
        "where the answers differ it names the mistake that they look like: the order of channels, a missing "
        f"normalisation, another resize filter, a missing crop, a swapped layout, wrong integers. {answers}."
    )
    yield f"The photos of `{GOLDEN}/` are {golden}."
    yield f"Copy `{EXAMPLE}/` before you change it: the next build into this folder writes it again."
