"""The signed APK as a file: signature, alignment, what it asks for, what is in it, and that nothing else is."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import build_apk
import pytest
from demo_app import PRECISIONS, TARGET
from lacking import elf
from toolchain import ANDROID_RUNTIME_SHA256

from ofa_edge.bundle.record import BUNDLE, Bundle
from ofa_edge.errors import ConversionError, UsageError
from ofa_edge.files import sha256_file

LIBRARIES = ("liblitert-lm.so", "libtflite_jni.so")
LARGEST = 16_000_000  # bytes, with three models of the default supernet


def run(*argv: object, code: int = 0) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def badging(demo) -> str:
    return run("aapt", "dump", "badging", demo.apk)


@pytest.fixture(scope="session")
def names(demo) -> set[str]:
    with zipfile.ZipFile(demo.apk) as archive:
        return set(archive.namelist())


def test_it_is_signed_by_scheme_v2_with_the_debug_key_of_this_machine(demo):
    said = run("apksigner", "verify", "-v", "--print-certs", "--min-sdk-version", "26", demo.apk)
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in said
    assert "Number of signers: 1" in said
    assert "DEBUG key of this machine" in said
    assert demo.facts["apk"]["key"] == "debug"
    assert demo.apk.name.endswith("-debug.apk")


def test_a_changed_apk_no_longer_verifies(demo, tmp_path):
    data = bytearray(demo.apk.read_bytes())
    data[len(data) // 3] ^= 1
    (tmp_path / "changed.apk").write_bytes(data)
    run("apksigner", "verify", "--min-sdk-version", "26", tmp_path / "changed.apk", code=1)


def test_it_is_aligned_and_whole(demo):
    run("zipalign", "-c", "-p", "4", demo.apk)
    with zipfile.ZipFile(demo.apk) as archive:
        assert archive.testzip() is None


def test_what_it_says_of_itself(badging):
    assert "package: name='org.ofaedge.demo'" in badging
    assert "sdkVersion:'26'" in badging
    assert "targetSdkVersion:'34'" in badging
    assert "native-code: 'arm64-v8a'\n" in badging
    assert "launchable-activity: name='org.ofaedge.demo" in badging
    assert "application-debuggable" not in badging


def test_the_camera_is_all_that_it_asks_for_and_no_phone_needs_to_have_one(badging, demo):
    permissions = re.findall(r"uses-permission[^:]*: name='([^']*)'", badging)
    assert permissions == ["android.permission.CAMERA"]
    assert "INTERNET" not in run("aapt", "dump", "xmltree", demo.apk, "AndroidManifest.xml")
    assert not re.search(r"^  uses-feature: name='android.hardware.camera", badging, re.MULTILINE)


def test_the_code_has_nothing_that_api_26_lacks(demo, tmp_path):
    with zipfile.ZipFile(demo.apk) as archive:
        (tmp_path / "classes.dex").write_bytes(archive.read("classes.dex"))
    said = run("dexdump", "-d", tmp_path / "classes.dex")
    assert "Lorg/ofaedge/demo/core/TfliteEngine;" in said
    assert "Lorg/ofaedge/demo/BenchmarkActivity;" in said
    for instruction in ("invoke-custom", "invoke-polymorphic", "const-method-handle"):
        assert instruction not in said


def test_every_asset_is_what_the_builds_manifests_say(demo, unpacked):
    bundle = Bundle.model_validate_json((unpacked / "assets" / BUNDLE).read_bytes())
    assert bundle.names == tuple(f"{TARGET}-{precision}" for precision in PRECISIONS)
    for model, precision in zip(bundle.models, PRECISIONS, strict=True):
        manifest = demo.manifest(precision)
        outputs = {record.role: record.sha256 for record in manifest.outputs}
        assert sha256_file(unpacked / "assets" / model.file) == outputs["artifact"] == model.sha256
        assert sha256_file(unpacked / "assets" / model.labels) == outputs["labels"] == model.labels_sha256
        assert sha256_file(demo.build(precision) / "manifest.json") == model.manifest_sha256
        assert model.network == manifest.subnet.id
    for name, digest in bundle.files().items():
        assert sha256_file(unpacked / "assets" / name) == digest


def test_nothing_is_in_it_that_nobody_put_there(names, demo):
    assets = {name.removeprefix("assets/") for name in names if name.startswith("assets/")}
    assert assets == {BUNDLE, *demo.bundle.files(), "licenses/Apache-2.0.txt", "licenses/NOTICE.txt"}
    assert {name for name in names if name.startswith("lib/")} == {f"lib/arm64-v8a/{name}" for name in LIBRARIES}
    others = {name for name in names if not name.startswith(("assets/", "lib/", "res/"))}
    assert others == {"AndroidManifest.xml", "classes.dex", "resources.arsc"}


def test_no_path_of_this_machine_is_in_it(demo, unpacked):
    hidden = [str(Path.home()).encode(), str(demo.folder).encode(), str(demo.toolchain).encode()]
    for path in unpacked.rglob("*"):
        if path.is_file() and path.name != "liblitert-lm.so":
            assert not any(word in path.read_bytes() for word in hidden), path


def test_the_licence_of_the_runtime_ships_with_it(unpacked):
    text = (unpacked / "assets/licenses/Apache-2.0.txt").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "liblitert-lm.so" in (unpacked / "assets/licenses/NOTICE.txt").read_text()


def test_size_by_part(demo):
    facts = demo.facts["apk"]
    assert sum(facts["parts"].values()) == facts["size"] == demo.apk.stat().st_size
    assert facts["parts"]["models"] > 0
    assert facts["size"] < LARGEST


# -- the libraries --


def test_a_library_of_small_pages_is_refused(tmp_path):
    build_apk.check_pages({"lib/arm64-v8a/a.so": elf(tmp_path, "aarch64", 16384).read_bytes(), "b.txt": b""})
    small = elf(tmp_path, "aarch64", 4096).read_bytes()
    with pytest.raises(ConversionError, match=r"b\.so is aligned to pages of 4,096 bytes"):
        build_apk.check_pages({"lib/arm64-v8a/b.so": small})


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_is_for_arm64_with_pages_of_16_kilobytes(unpacked, name):
    path = unpacked / "lib/arm64-v8a" / name
    said = run("readelf", "-h", "-lW", path)
    assert re.search(r"Machine:\s+AArch64", said)
    assert re.search(r"Type:\s+DYN", said)
    alignments = [int(line.split()[-1], 16) for line in said.splitlines() if line.split()[:1] == ["LOAD"]]
    assert alignments
    assert all(alignment % 16384 == 0 for alignment in alignments)
    assert "RWE" not in said


def symbols(path: Path, *, defined: bool) -> set[str]:
    found = set()
    for line in run("readelf", "-W", "--dyn-syms", path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[0].rstrip(":").isdigit() and (fields[6] != "UND") == defined:
            found.add(fields[7].partition("@")[0])
    return found


def test_the_shim_calls_tflite_and_nothing_else(unpacked):
    folder = unpacked / "lib/arm64-v8a"
    imported = symbols(folder / "libtflite_jni.so", defined=False)
    assert imported
    assert all(name.startswith("TfLite") for name in imported)
    assert imported <= symbols(folder / "liblitert-lm.so", defined=True)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", folder / "libtflite_jni.so"))
    assert needed == ["liblitert-lm.so"]


def test_the_shim_has_every_function_that_java_declares_native(unpacked):
    source = Path("android_demo/app/src/main/java/org/ofaedge/demo/core/TfliteEngine.java")
    text = (Path(__file__).parents[2] / source).read_text()
    declared = set(re.findall(r"\bnative\s+\S+\s+(\w+)\(", text))
    exported = symbols(unpacked / "lib/arm64-v8a/libtflite_jni.so", defined=True)
    assert declared
    assert exported == {f"Java_org_ofaedge_demo_core_TfliteEngine_{name}" for name in declared}


def test_the_runtime_is_the_pinned_one(unpacked):
    assert sha256_file(unpacked / "lib/arm64-v8a/liblitert-lm.so") == ANDROID_RUNTIME_SHA256


# -- the builder --


class Own:
    """A copy of the app to change and build."""

    def __init__(self, demo, folder):
        self.demo = demo
        self.app = shutil.copytree(demo.app, folder, ignore=shutil.ignore_patterns("build"))

    def build(self, **environment):
        return self.demo.ofa_edge("bundle", "--apk", "--app", self.app, "--json", **environment)


@pytest.fixture
def own(demo, tmp_path):
    return Own(demo, tmp_path / "app")


def test_the_same_sources_and_assets_give_the_same_apk(own, demo):
    done = own.build()
    assert done.returncode == 0, done.stderr
    assert sha256_file(own.app / "build" / demo.apk.name) == demo.facts["apk"]["sha256"]


def test_a_tampered_asset_is_refused(own):
    model = own.app / f"app/src/main/assets/models/{TARGET}-fp32/model.tflite"
    data = bytearray(model.read_bytes())
    data[1000] ^= 1
    model.write_bytes(data)
    done = own.build()
    assert done.returncode == 2
    assert "the app's assets are not those of bundle.json" in done.stderr


def test_an_app_without_models_is_not_built(own):
    for precision in PRECISIONS:
        done = own.demo.ofa_edge("bundle", "--remove", f"{TARGET}-{precision}", "--app", own.app)
        assert done.returncode == 0, done.stderr
    assert "next: ofa-edge bundle out/pixel-4" in done.stdout
    done = own.build()
    assert done.returncode == 2
    assert "no model is bundled" in done.stderr


@pytest.fixture
def release(tmp_path):
    """A key as the environment names it."""
    store = tmp_path / "release.p12"
    names = ["-alias", "mine", "-dname", "CN=A release", "-keyalg", "RSA", "-keysize", "2048", "-validity", "30"]
    run("keytool", "-genkeypair", "-storetype", "PKCS12", "-keystore", store, "-storepass", "secret-word", *names)
    return {"OFA_EDGE_KEYSTORE": str(store), "OFA_EDGE_KEYSTORE_PASS": "secret-word", "OFA_EDGE_KEY_ALIAS": "mine"}


def test_a_release_key_comes_from_the_environment(own, release):
    done = own.build(**release)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["apk"]["key"] == "release"
    assert "secret-word" not in done.stdout + done.stderr
    said = run("apksigner", "verify", "--print-certs", own.app / "build/ofa-edge-demo-release.apk")
    assert "CN=A release" in said
    assert "DEBUG" not in said


def test_half_a_release_key_is_refused(toolchain, release, monkeypatch, tmp_path):
    for name, value in release.items():
        monkeypatch.setenv(name, value)
    assert build_apk.release_key().password == "env:OFA_EDGE_KEYSTORE_PASS"
    monkeypatch.setenv("OFA_EDGE_KEYSTORE_PASS", "")
    with pytest.raises(UsageError, match="half a release key") as caught:
        build_apk.release_key()
    assert "OFA_EDGE_KEYSTORE_PASS" in caught.value.why
    monkeypatch.setenv("OFA_EDGE_KEYSTORE_PASS", "secret-word")
    monkeypatch.setenv("OFA_EDGE_KEYSTORE", str(tmp_path / "none.p12"))
    with pytest.raises(UsageError, match="no such keystore"):
        build_apk.release_key()


def test_sources_that_do_not_compile_are_named_and_the_last_apk_is_left(own):
    last = own.app / "build/ofa-edge-demo-debug.apk"
    last.parent.mkdir()
    last.write_bytes(b"the last one")
    (own.app / "app/src/main/java/org/ofaedge/demo/core/Broken.java").write_text(
        "package org.ofaedge.demo.core; class {"
    )
    done = own.build()
    assert done.returncode == 4
    assert "javac failed" in done.stderr
    assert "Broken.java" in done.stderr
    assert last.read_bytes() == b"the last one"
