"""The app's own Java and C on this machine's JVM: what it feeds a network and what it gets, against Python's."""

import shutil
import subprocess

import numpy as np
import pytest
from demo_app import PRECISIONS, TARGET, model_inputs, sample_pixels

from ofa_edge.bundle.record import BUNDLE, read_bundle
from ofa_edge.bundle.samples import DEFAULT_IMAGES
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.files import sha256_file, write_bytes


@pytest.fixture(scope="session")
def run_bundle(toolchain, core_classes, host_shim):
    """Runs the app's core over a folder of assets; the lines that it printed, split."""

    def run(assets, out, threads=1, images=3):
        out.mkdir(exist_ok=True)
        argv = ["java", "-cp", core_classes, "RunBundle", toolchain / "linux/liblitert-lm.so", host_shim, assets, out]
        done = subprocess.run([*map(str, argv), str(threads), str(images)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    return run


@pytest.fixture(scope="session")
def answers(run_bundle, unpacked, tmp_path_factory):
    """All models of the APK over all its images: (folder of results, printed lines)."""
    out = tmp_path_factory.mktemp("jvm")
    return out, run_bundle(unpacked / "assets", out, images=DEFAULT_IMAGES)


def test_every_model_of_the_apk_runs(answers):
    expected = [[f"{TARGET}-{precision}", str(DEFAULT_IMAGES)] for precision in PRECISIONS]
    assert [line[:2] for line in answers[1]] == expected


def test_no_operator_is_left_to_the_slow_path(answers):
    assert all(int(operators) > 0 and undelegated == "0" for _, _, operators, undelegated in answers[1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_network_is_fed_what_python_feeds_it_bit_for_bit(demo, unpacked, answers, precision):
    model = unpacked / f"assets/models/{TARGET}-{precision}/model.tflite"
    size = demo.manifest(precision).subnet.resolution
    expected = model_inputs(model, sample_pixels(unpacked / "assets", "fashion-mnist"), size).transpose(0, 2, 3, 1)
    fed = np.fromfile(answers[0] / f"{TARGET}-{precision}.inputs", "<f4")
    assert fed.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_answers_as_python_does_image_by_image(demo, unpacked, answers, precision):
    model = unpacked / f"assets/models/{TARGET}-{precision}/model.tflite"
    size = demo.manifest(precision).subnet.resolution
    expected = run_tflite(model, model_inputs(model, sample_pixels(unpacked / "assets", "fashion-mnist"), size))
    logits = np.fromfile(answers[0] / f"{TARGET}-{precision}.logits", "<f4").reshape(expected.shape)
    assert np.array_equal(logits.argmax(1), expected.argmax(1))
    if precision == "int8":
        assert np.array_equal(logits, expected)
    else:
        np.testing.assert_allclose(logits, expected, atol=2e-5)


def test_two_threads_answer_the_same(run_bundle, unpacked, answers, tmp_path):
    run_bundle(unpacked / "assets", tmp_path / "two", threads=2, images=100)
    for name in (f"{TARGET}-fp32", f"{TARGET}-int8"):
        one, two = (np.fromfile(folder / f"{name}.logits", "<f4") for folder in (answers[0], tmp_path / "two"))
        assert two.size
        np.testing.assert_allclose(one[: two.size], two, atol=1e-5)


class Assets:
    """A copy of the APK's assets to damage."""

    def __init__(self, source, folder):
        self.folder = shutil.copytree(source, folder)
        self.victim = f"{TARGET}-fp32"

    def path(self, name):
        return self.folder / "models" / self.victim / name

    def accept(self):
        """Make `bundle.json` agree with the damaged files: what somebody does who wants to fool the digests."""
        bundle = read_bundle(self.folder)
        models = []
        for model in bundle.models:
            facts = {
                "sha256": sha256_file(self.folder / model.file),
                "size": (self.folder / model.file).stat().st_size,
                "labels_sha256": sha256_file(self.folder / model.labels),
            }
            models.append(model.model_copy(update=facts))
        write_bytes(self.folder / BUNDLE, bundle.model_copy(update={"models": tuple(models)}).to_bytes())


@pytest.fixture
def assets(unpacked, tmp_path):
    return Assets(unpacked / "assets", tmp_path / "assets")


def outcome(lines, name):
    """The one word that a fault has, or "runs"."""
    found = next(line for line in lines if line[0] == name)
    return found[1] if len(found) == 2 else "runs"


def check_only_the_victim(run_bundle, assets, tmp_path, code):
    lines = run_bundle(assets.folder, tmp_path / "out")
    assert outcome(lines, assets.victim) == code
    assert {outcome(lines, f"{TARGET}-{precision}") for precision in ("fp16", "int8")} == {"runs"}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt"])
def test_a_tampered_file_is_damaged_and_the_others_run(run_bundle, assets, tmp_path, name):
    flip(assets.path(name), 40)
    check_only_the_victim(run_bundle, assets, tmp_path, "damaged")


@pytest.mark.parametrize("name", ["model.tflite", "labels.txt"])
def test_a_missing_file_is_damaged_and_the_others_run(run_bundle, assets, tmp_path, name):
    assets.path(name).unlink()
    check_only_the_victim(run_bundle, assets, tmp_path, "damaged")


@pytest.mark.parametrize("keep", [0, 7, 5000, -1, -2000])
def test_a_truncated_model_is_refused_even_where_its_digest_fits(run_bundle, assets, tmp_path, keep):
    model = assets.path("model.tflite")
    model.write_bytes(model.read_bytes()[:keep])
    check_only_the_victim(run_bundle, assets, tmp_path, "damaged")  # the digest
    if keep == 0:
        return  # a size of 0 is no entry of a bundle
    assets.accept()
    lines = run_bundle(assets.folder, tmp_path / "out")
    assert outcome(lines, assets.victim) in ("no-metadata", "unsupported-model")


@pytest.mark.parametrize("text", ["one\ntwo\n", "".join(f"{index}\n" for index in range(11))])
def test_a_wrong_number_of_labels_is_refused_even_where_its_digest_fits(run_bundle, assets, tmp_path, text):
    assets.path("labels.txt").write_text(text)
    assets.accept()
    check_only_the_victim(run_bundle, assets, tmp_path, "damaged")


def test_damaged_samples_are_refused(run_bundle, assets, tmp_path):
    flip(assets.folder / "samples/fashion-mnist/images.bin", 0)
    assert {line[1] for line in run_bundle(assets.folder, tmp_path / "out")} <= {"damaged", "bad-samples"}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 2}', b"\xff\xfe", b"[" * 100_000])
def test_a_bundle_that_cannot_be_read_is_no_crash(run_bundle, assets, tmp_path, content):
    (assets.folder / BUNDLE).write_bytes(content)
    assert run_bundle(assets.folder, tmp_path / "out") == [["-", "bad-bundle"]]
