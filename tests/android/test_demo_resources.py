"""The app's manifest, layouts and texts, read as they are: what a reviewer would look for."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

MAIN = Path(__file__).resolve().parents[2] / "android_demo/app/src/main"
ANDROID = "{http://schemas.android.com/apk/res/android}"
LAYOUTS = sorted(MAIN.glob("res/layout*/*.xml"))
JAVA = "\n".join(path.read_text() for path in sorted(MAIN.rglob("*.java")))
TEXTS = {item.get("name"): item.text for item in ElementTree.parse(MAIN / "res/values/strings.xml").getroot()}
NODES = [(path.stem, node) for path in LAYOUTS for node in ElementTree.parse(path).getroot().iter()]


def test_the_camera_is_all_that_is_asked_for():
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    permissions = [node.get(ANDROID + "name") for node in root.iter("uses-permission")]
    assert permissions == ["android.permission.CAMERA"]
    required = {node.get(ANDROID + "name"): node.get(ANDROID + "required") for node in root.iter("uses-feature")}
    assert set(required.values()) == {"false"}
    assert "android.hardware.camera" in required


def test_only_the_launcher_and_adb_come_in():
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    parts = [*root.iter("activity"), *root.iter("service")]
    assert all(node.get(ANDROID + "exported") in ("true", "false") for node in parts)
    doors = {
        node.get(ANDROID + "name"): node.get(ANDROID + "permission")
        for node in parts
        if node.get(ANDROID + "exported") == "true"
    }
    assert doors == {".ui.MainActivity": None, ".BenchmarkActivity": "android.permission.DUMP"}
    for node in parts:
        name = node.get(ANDROID + "name").lstrip(".").replace(".", "/")
        assert (MAIN / f"java/org/ofaedge/demo/{name}.java").is_file()


@pytest.mark.parametrize("attribute", ["text", "contentDescription"])
def test_texts_stand_in_one_file(attribute):
    given = [node.get(ANDROID + attribute) for _, node in NODES if node.get(ANDROID + attribute)]
    assert given
    assert all(text.startswith("@string/") and text[8:] in TEXTS for text in given)


def test_texts_scale_with_the_users_setting():
    sizes = [node.get(ANDROID + "textSize") for _, node in NODES if node.get(ANDROID + "textSize")]
    styles = ElementTree.parse(MAIN / "res/values/styles.xml").getroot()
    sizes += [item.text for item in styles.iter("item") if item.get("name") == "android:textSize"]
    assert sizes
    assert all(size.endswith("sp") for size in sizes)


def test_pictures_are_described_or_said_to_be_decoration():
    pictures = [(name, node) for name, node in NODES if node.tag in ("ImageView", "TextureView", "Spinner")]
    assert len(pictures) >= 4
    for name, node in pictures:
        decoration = node.get(ANDROID + "importantForAccessibility") == "no"
        assert decoration or node.get(ANDROID + "contentDescription"), name


def test_both_ways_up_have_the_same_parts():
    upright, sideways = (MAIN / "res" / folder / "main.xml" for folder in ("layout", "layout-land"))
    parts = [re.findall(r'(?:android:id|layout)="@[+a-z]+/(\w+)"', path.read_text()) for path in (upright, sideways)]
    assert sorted(parts[0]) == sorted(parts[1])


def test_every_text_is_used_and_every_text_used_is_there():
    resources = "\n".join(path.read_text() for path in [*LAYOUTS, MAIN / "AndroidManifest.xml"])
    used = set(re.findall(r"R\.string\.(\w+)", JAVA)) | set(re.findall(r"@string/(\w+)", resources))
    assert used == set(TEXTS)


def test_texts_get_the_values_that_they_show():
    """Each getString(R.string.NAME, a, b...) has as many values as the text has places."""
    calls = list(re.finditer(r"getString\(\s*R\.string\.(\w+)", JAVA))
    assert len(calls) > 20
    for match in calls:
        places = {int(number) for number in re.findall(r"%(\d)\$", TEXTS[match[1]])}
        assert len(places) == _values(match.end()), match[1]
        assert places == set(range(1, len(places) + 1))


def _values(start: int) -> int:
    """Arguments after the first one of the call that begins before `start`."""
    depth, commas = 1, 0
    for character in JAVA[start:]:
        depth += (character in "([{") - (character in ")]}")
        commas += character == "," and depth == 1
        if depth == 0:
            return commas
    raise AssertionError("a call that does not end")


def test_night_has_its_own_colours():
    for folder in ("values", "values-night"):
        styles = (MAIN / f"res/{folder}/styles.xml").read_text()
        assert ("Theme.Material.Light" in styles) == (folder == "values")
    day, night = (
        {item.get("name"): item.text for item in ElementTree.parse(MAIN / f"res/{folder}/colors.xml").getroot()}
        for folder in ("values", "values-night")
    )
    for name in ("accent", "warning", "picture_background"):
        assert day[name] != night[name]


@pytest.mark.parametrize(("folder", "ground"), [("values", "#FAFAFA"), ("values-night", "#303030")])
def test_coloured_text_can_be_read(folder, ground):
    """WCAG 2.1, 1.4.3: a contrast of 4.5 to 1 at least."""
    root = ElementTree.parse(MAIN / f"res/{folder}/colors.xml").getroot()
    colours = {item.get("name"): item.text for item in root}
    for name in ("accent", "warning"):
        bright, dark = sorted((_luminance(colours[name]), _luminance(ground)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, name


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_lambdas():
    """dx passes invoke-custom through, and javac stumbles over lambdas against this android.jar."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"", "", JAVA, flags=re.DOTALL)
    assert "->" not in code
    assert not re.search(r"\w::\w", code)
