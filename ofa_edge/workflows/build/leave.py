"""What a build leaves for those who run it without ofa-edge: golden photos, examples, and a README.md."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ofa_edge.builds import MODEL
from ofa_edge.data.dataset import Images, Samples
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.example.golden import GOLDEN, Golden, write_golden
from ofa_edge.example.readme import plain, write_readme
from ofa_edge.example.write import EXAMPLE, Programs, write_programs
from ofa_edge.network import Network
from ofa_edge.records.manifest import FileRecord, Manifest
from ofa_edge.runtimes import Artifact
from ofa_edge.verify.ladder import conversion_tolerance, device_tolerance
from ofa_edge.workflows.build.account import Built, file_record
from ofa_edge.workflows.build.images import BuildData
from ofa_edge.workflows.build.random_inputs import varied_images

_DRAWN = 16  # images that golden photos are chosen from where no other may be


@dataclass(frozen=True)
class Left:
    """What was written: its files, the programs among them, and what the photos of golden/ are made of."""

    files: tuple[FileRecord, ...]
    programs: Programs
    golden: str

    def write_readme(self, folder: Path, manifest: Manifest, built: Built) -> None:
        """Write README.md, which shows the manifest's figures."""
        write_readme(folder, manifest, built.artifact.runtime, self.programs, self.golden)


def leave(folder: Path, built: Built, data: BuildData[Samples], *, photos: bool = True) -> Left:
    """Write golden/ and example/ into a build's folder, where its network takes an image.

    Args:
        folder: of the build.
        built: what was made.
        data: that it was judged on.
        photos: whether golden/ may be made of them.
    """
    artifact, preprocessing = built.artifact, built.network.preprocessing
    programs = Programs.of(built.interface, artifact.runtime)
    if programs.why_not or preprocessing is None:
        return Left((), programs, "")
    images, words = golden_images(data, preprocessing, photos)
    golden = Golden.of(images, preprocessing)
    found, of = _answers(artifact, built.network, golden.inputs)
    tolerance = conversion_tolerance if of == MODEL else device_tolerance
    least = tolerance(artifact.precision).snr_db
    assert least is not None
    facts = write_golden(folder / GOLDEN, golden, found, artifact.sha256, of, least)
    write_programs(folder / EXAMPLE, built.interface, artifact.runtime, programs, facts)
    files = [
        file_record(path.relative_to(folder).as_posix(), role, path)
        for name, role in ((EXAMPLE, "example"), (GOLDEN, "golden"))
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    ]
    return Left(tuple(files), programs, words)


def golden_images(data: BuildData[Samples], preprocessing: Preprocessing, photos: bool) -> tuple[Images, str]:
    """What golden photos are made of, which may be none of the data where `photos` is not set; and that in words."""
    if not photos or not isinstance(data.test, Images):  # private, or inputs that were prepared elsewhere
        return varied_images(_DRAWN, preprocessing.shape, preprocessing.channels, 0), "made of random images"
    if data.own:
        return data.test, "made of your own images, those after `--data` or `--samples`: as private as they are"
    return data.test, f"made of the images that the build was judged on ({plain(data.source)})"


def _answers(artifact: Artifact, network: Network, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
    """Of the very file, where this machine runs it; else of the fp32 network that it was made from."""
    from ofa_edge.export.onnx.run import run_onnx

    found = artifact.runtime.answers(artifact.path, inputs)
    return (run_onnx(network.onnx, inputs), MODEL) if found is None else (found, artifact.path.name)
