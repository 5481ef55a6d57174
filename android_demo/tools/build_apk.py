#!/usr/bin/env python3
"""Build the signed APK on this machine, with no Android SDK: javac and dx, aapt, clang, zipalign, apksigner.

    python android_demo/tools/build_apk.py            # what `make apk` and `ofa-edge bundle --apk` run

Signed with a debug key that is made here on the first build, and named so. A release key comes only from the
environment: OFA_EDGE_KEYSTORE (a PKCS #12 or JKS file), OFA_EDGE_KEYSTORE_PASS, OFA_EDGE_KEY_ALIAS.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apk_zip import read_zip, sizes_by_part, write_zip
from fetch_toolchain import ensure_toolchain
from toolchain import ANDROID_RUNTIME_SHA256, APP, JNI_HEADERS, RUNTIME_LIBRARY, toolchain_file, toolchain_folder

from ofa_edge.bundle.record import BUNDLE, read_bundle
from ofa_edge.elf import LARGE_PAGE, image
from ofa_edge.errors import ConfigError, ConversionError, OfaEdgeError, UsageError
from ofa_edge.files import atomic_path, sha256_file

MAIN = APP / "app/src/main"
LICENCES = APP / "app/src/licences"  # assets that are the same in every build: not `bundle`'s to write
SHIM = "libtflite_jni.so"
MIN_SDK = 26
NAME = "ofa-edge-demo"
KEYSTORE, PASSWORD, ALIAS = "OFA_EDGE_KEYSTORE", "OFA_EDGE_KEYSTORE_PASS", "OFA_EDGE_KEY_ALIAS"
_DEBUG_PASSWORD = "android"  # noqa: S105  (of a key that proves nothing, as in Android's own tools)
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Key:
    """What signs: a keystore, and where its password comes from in apksigner's own words."""

    kind: str
    keystore: Path
    password: str
    alias: str


def build(out: Path) -> dict[str, Any]:
    """Build the APK into the folder `out`.

    Returns:
        `apk`, `size`, `sha256`, `key` ("debug" or "release"), `parts` (bytes by part) and `unsigned_sha256`, which
        is the same wherever the same sources, assets and tools are.

    Raises:
        ToolMissingError: a tool cannot be had.
        ConfigError: the assets are not those of `bundle.json`.
        UsageError: a release key that is only half given.
        ConversionError: a tool refused the sources; its words are in the error.
    """
    ensure_toolchain("build")
    key = release_key() or debug_key()
    check_assets(MAIN / "assets")
    with tempfile.TemporaryDirectory(prefix="ofa-edge-apk-") as scratch:
        work = Path(scratch)
        files = resources(work) | {"classes.dex": dex(work).read_bytes()}
        files[f"lib/arm64-v8a/{SHIM}"] = shim(work).read_bytes()
        files[f"lib/arm64-v8a/{RUNTIME_LIBRARY}"] = runtime().read_bytes()
        check_pages(files)
        unaligned, aligned, signed = (work / f"{name}.apk" for name in ("unaligned", "aligned", "signed"))
        write_zip(unaligned, files, toolchain_folder())
        run(["zipalign", "-f", "-p", "4", unaligned, aligned])
        sign(aligned, signed, key)
        run(["zipalign", "-c", "-p", "4", signed])
        run(["apksigner", "verify", "--min-sdk-version", str(MIN_SDK), signed])
        path = out / f"{NAME}-{key.kind}.apk"
        with atomic_path(path) as part:
            shutil.copyfile(signed, part)
        return {
            "apk": _shown(path),
            "size": path.stat().st_size,
            "sha256": sha256_file(path),
            "unsigned_sha256": sha256_file(aligned),
            "key": key.kind,
            "parts": sizes_by_part(path),
        }


def check_assets(assets: Path) -> None:
    """Every asset as `bundle.json` has it, and at least one model. Raises ConfigError naming the first that is not."""
    bundle = read_bundle(assets)
    if not bundle.models:
        raise ConfigError("no model is bundled", f"{assets} has none", "ofa-edge bundle out/pixel-4")
    for name, digest in bundle.files().items():
        if not (assets / name).is_file() or sha256_file(assets / name) != digest:
            raise ConfigError(
                f"the app's assets are not those of {BUNDLE}",
                f"{assets / name} is missing or was changed after it was bundled",
                f"ofa-edge bundle --remove {Path(name).parent.name}, and bundle that build again",
            )


def runtime() -> Path:
    """The pinned runtime library for arm64."""
    path = toolchain_file(f"android/{RUNTIME_LIBRARY}")
    if sha256_file(path) != ANDROID_RUNTIME_SHA256:
        raise ConfigError(f"{path.name} was changed", f"{path}: not the pinned SHA-256", f"rm -r {path.parent}")
    return path


def shim(work: Path) -> Path:
    """The JNI shim for arm64 Android: it calls only JNI and TfLite*, so neither the NDK nor a libc is needed."""
    out = work / SHIM
    builtin = run(["clang", "-print-resource-dir"]).strip()
    compile_options = ["-O2", "-fPIC", "-ffreestanding", "-fvisibility=hidden", "-nostdlib", "-nostdinc", "-g0"]
    link_options = [
        f"-Wl,-soname,{SHIM}",
        f"-Wl,-z,max-page-size={LARGE_PAGE}",
        "-Wl,--no-undefined",
        "-Wl,--build-id=none",
    ]
    run(
        [
            "clang",
            f"--target=aarch64-linux-android{MIN_SDK}",
            *compile_options,
            f"-isystem{builtin}/include",
            f"-isystem{JNI_HEADERS}",
            *("-Wall", "-Wextra", "-Werror", "-shared", "-fuse-ld=lld"),
            *link_options,
            *("-Wl,--hash-style=both", "-Wl,--strip-all"),
            *sorted((MAIN / "cpp").glob("*.c")),
            f"-L{runtime().parent}",
            f"-l:{RUNTIME_LIBRARY}",
            f"-o{out}",
        ]
    )
    return out


def resources(work: Path) -> dict[str, bytes]:
    """The manifest, the compiled resources and the assets; R.java goes to `work/gen`."""
    (work / "gen").mkdir()
    packed = work / "resources.apk"
    assets = [folder for folder in (MAIN / "assets", LICENCES) if folder.is_dir()]
    run(
        [
            *("aapt", "package", "-f", "-m", "-J", work / "gen"),
            *("-M", MAIN / "AndroidManifest.xml", "-S", MAIN / "res", "-I", toolchain_file("android.jar")),
            *(part for folder in assets for part in ("-A", folder)),
            *("--no-version-vectors", "--ignore-assets", "!.*:!*~", "-F", packed),
        ]
    )
    return read_zip(packed)


def dex(work: Path) -> Path:
    """Java to class files to one dex file. Java 8 without lambdas: dx passes invoke-custom on, which API 26 lacks."""
    classes, out = work / "classes", work / "classes.dex"
    classes.mkdir()
    sources = sorted([*(MAIN / "java").rglob("*.java"), *(work / "gen").rglob("*.java")])
    run(
        [
            *("javac", "-encoding", "UTF-8", "-source", "8", "-target", "8", "-g:source,lines"),
            *("-Xlint:all,-options,-deprecation", "-Werror", "-proc:none"),
            *("-bootclasspath", toolchain_file("android.jar"), "-d", classes, *sources),
        ]
    )
    dx = ["java", "-cp", toolchain_file("dx.jar"), "com.android.dx.command.Main"]
    run([*dx, "--dex", f"--min-sdk-version={MIN_SDK}", f"--output={out}", classes])
    return out


def release_key() -> Key | None:
    """The key that the environment names, or None. Its password never stands on a command line.

    Raises:
        UsageError: only a part of it is given, or there is no such file.
    """
    given = {name: os.environ.get(name, "") for name in (KEYSTORE, PASSWORD, ALIAS)}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise UsageError(
            "half a release key", f"not in the environment: {', '.join(missing)}", "set all three, or none: a debug key"
        )
    if not Path(given[KEYSTORE]).is_file():
        raise UsageError("no such keystore", f"{KEYSTORE}={given[KEYSTORE]}", "name a PKCS #12 or JKS file")
    return Key("release", Path(given[KEYSTORE]), f"env:{PASSWORD}", given[ALIAS])


def debug_key() -> Key:
    """The debug key of this machine, made on the first build. An APK signed with it is not for distribution."""
    path = toolchain_folder() / "debug.p12"
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="ofa-edge-key-") as scratch:
            made = Path(scratch) / "debug.p12"
            names = ["-alias", "debug", "-dname", "CN=ofa-edge DEBUG key of this machine, O=not for distribution"]
            numbers = ["-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"]
            store = ["-storetype", "PKCS12", "-keystore", made, "-storepass", _DEBUG_PASSWORD]
            run(["keytool", "-genkeypair", *store, *names, *numbers])
            with atomic_path(path) as part:
                shutil.copyfile(made, part)
            path.chmod(0o600)
    return Key("debug", path, f"pass:{_DEBUG_PASSWORD}", "debug")


def check_pages(files: Mapping[str, bytes]) -> None:
    """Raise ConversionError for a library that a system with pages of 16 KB does not load."""
    for name, data in files.items():
        page = image(data).page if name.endswith(".so") else None
        if page is not None and page < LARGE_PAGE:
            raise ConversionError(
                f"{Path(name).name} is aligned to pages of {page:,} bytes",
                f"{name}: Android 15 and later load libraries in pages of {LARGE_PAGE:,}",
                f"link it with -Wl,-z,max-page-size={LARGE_PAGE}, or take a newer release of it",
            )


def sign(aligned: Path, signed: Path, key: Key) -> None:
    """Signature schemes v2 and v3; v1 is for Androids before 7, which the app does not run on."""
    options = ["--ks", key.keystore, "--ks-pass", key.password, "--ks-key-alias", key.alias]
    schemes = ["--v1-signing-enabled", "false", "--v2-signing-enabled", "true", "--v3-signing-enabled", "true"]
    run(["apksigner", "sign", *options, *schemes, "--min-sdk-version", str(MIN_SDK), "--out", signed, aligned])


def run(argv: Sequence[object]) -> str:
    """Run a tool, each argument as its text; what it printed.

    Raises:
        ConversionError: it failed; its last words are in the error.
    """
    words = [str(item) for item in argv]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", "SOURCE_DATE_EPOCH": "347155262"}
    done = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}")[-2000:]
        raise ConversionError(f"{words[0]} failed", said, "mend what it names, and build again")
    return done.stdout


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def main() -> int:
    """Build and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=APP / "build", help="folder (default: android_demo/build)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    try:
        facts = build(options.out.resolve())
    except OfaEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(facts, indent=2) if options.json else _report(facts))
    return 0


def _report(facts: dict[str, Any]) -> str:
    rows = [*facts["parts"].items(), ("APK", facts["size"])]
    lines = [f"  {name:<34} {size / 1e6:8.3f} MB" for name, size in rows]
    return "\n".join([*lines, f"wrote {facts['apk']} ({facts['key']} key)", f"next: adb install -r {facts['apk']}"])


if __name__ == "__main__":
    sys.exit(main())
