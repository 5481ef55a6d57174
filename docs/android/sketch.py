#!/usr/bin/env python3
"""Sketches of the app's screens, drawn from its own layouts, strings and colours: SVG, 360 dp wide, one unit a dp.

    python docs/android/sketch.py            # after `ofa-edge bundle`; writes docs/android/*.svg

They show what stands where and what it says. They are no screenshots: a phone has its own fonts and margins. Models,
facts, images and answers are those of the bundle, run here; what only a phone can know is drawn as a dash.
"""

import argparse
import base64
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ofa_edge.bundle.record import Bundle, ModelEntry, read_bundle
from ofa_edge.data.preprocess import Preprocessing
from ofa_edge.export.tflite.convert import run_tflite
from ofa_edge.export.tflite.metadata import read_metadata

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "android_demo/app/src/main"
ANDROID = "{http://schemas.android.com/apk/res/android}"
WIDTH, BAR = 360.0, 56.0
NOTE = "a sketch drawn from the layout, not a screenshot"
CHARACTER, LINE = 0.51, 1.35  # of the text size: a sans serif's mean width, and a line's height
THEMES = {
    False: {"ground": "#FAFAFA", "text": "#212121", "second": "#616161", "bar": "#00695C", "bar_text": "#FFFFFF"},
    True: {"ground": "#303030", "text": "#FFFFFF", "second": "#BDBDBD", "bar": "#212121", "bar_text": "#FFFFFF"},
}


@dataclass(frozen=True)
class Screen:
    """What the code has put into the views: by id, within a row by "row/id"."""

    texts: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    progress: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    rows: tuple[Mapping[str, str], ...] = ()  # of the list


class Sketch:
    """One screen of one layout."""

    def __init__(self, screen: Screen, night: bool) -> None:
        self.screen, self.theme = screen, THEMES[night]
        self.strings = _values("values/strings.xml", "string")
        self.colours = _values("values/colors.xml", "color")
        if night:
            self.colours |= _values("values-night/colors.xml", "color")
        self.sizes = {"Demo.Label": 16.0, "Demo.Small": 14.0, "Demo.Title": 18.0, "Demo.Button": 14.0}
        self.out: list[str] = []

    def draw(self, layout: str, title: str) -> str:
        """The SVG of a layout under an app bar."""
        height = BAR + self._view(_layout(layout), 0.0, BAR, WIDTH, "", True) + 28
        self.out.append(_text(NOTE, WIDTH / 2, height - 10, 11, self.theme["second"], "middle"))
        bar = f'<rect width="{WIDTH:g}" height="{BAR:g}" fill="{self.theme["bar"]}"/>'
        head = _text(title, 16, BAR / 2 + 7, 20, self.theme["bar_text"], "start")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:.0f}" width="{WIDTH:g}" '
            f'font-family="Roboto, sans-serif" role="img" aria-label="{escape(title)}, a sketch">'
            f'<rect width="100%" height="100%" fill="{self.theme["ground"]}"/>{bar}{head}{"".join(self.out)}</svg>\n'
        )

    def _view(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        """Draw one view (or only measure it); its height."""
        if node.tag == "include":
            row = f"{_id(node)}/" if _id(node) else row
            node = _layout(_get(node, "layout", "") or node.get("layout", ""))
        if self._gone(node, row):
            return 0.0
        inner_x, inner_width = (
            x + self._space(node, "Start"),
            width - self._space(node, "Start") - self._space(node, "End"),
        )
        top, bottom = self._space(node, "Top"), self._space(node, "Bottom")
        kinds: Mapping[str, Callable[..., float]] = {
            "LinearLayout": self._linear,
            "TextView": self._text,
            "Button": self._button,
            "CheckBox": self._check,
            "ImageView": self._image,
            "TextureView": self._image,
            "ProgressBar": self._bar,
            "Spinner": self._spinner,
            "ListView": self._list,
            "org.ofaedge.demo.ui.SquareFrame": self._square,
        }
        draw = kinds.get(node.tag, self._column)
        height = top + draw(node, inner_x, y + top, inner_width, row, paint) + bottom
        return max(height, self._length(node, "minHeight"), self._length(node, "layout_height"))

    def _gone(self, node: ElementTree.Element, row: str) -> bool:
        key = row + _id(node)
        return key in self.screen.hidden or (_get(node, "visibility", "") == "gone" and key not in self.screen.shown)

    def _column(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        """Children below each other: a vertical layout, a scroll view, a merge."""
        used = 0.0
        for child in node:
            used += self._view(child, x, y + used, width, row, paint)
        return used

    def _linear(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        if _get(node, "orientation", "horizontal") == "vertical":
            return self._column(node, x, y, width, row, paint)
        children = [child for child in node if not self._gone(child, row)]
        widths = [self._wanted(child, row) for child in children]
        weights = [float(_get(child, "layout_weight", "0")) for child in children]
        left = max(0.0, width - sum(widths))
        widths = [own + left * weight / (sum(weights) or 1) for own, weight in zip(widths, weights, strict=True)]
        heights = [self._view(child, x, y, own, row, False) for child, own in zip(children, widths, strict=True)]
        most, at = max(heights, default=0.0), x
        for child, own, height in zip(children, widths, heights, strict=True):
            middle = (most - height) / 2 if "center" in _get(node, "gravity", "") else 0.0
            self._view(child, at, y + middle, own, row, paint)
            at += own
        return most

    def _wanted(self, node: ElementTree.Element, row: str) -> float:
        given = _get(node, "layout_width", "")
        if given.endswith("dp"):
            return float(given[:-2])
        text = self._words(node, row)
        return len(text) * self._size(node) * CHARACTER + (32 if node.tag == "Button" else 2)

    def _text(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        words, size = self._words(node, row), self._size(node)
        if not words:
            return 0.0
        small = node.get("style", "").endswith("Small")
        given = _get(node, "textColor", "")
        colour = self._colour(given) if given else self.theme["second" if small else "text"]
        lines = _wrap(words, width / (size * CHARACTER))
        centred = "center" in _get(node, "gravity", "")
        for index, line in enumerate(lines):
            place = x + width / 2 if centred else x
            if paint:
                base = y + (index + 1) * size * LINE - 0.3 * size
                self.out.append(_text(line, place, base, size, colour, "middle" if centred else "start"))
        return len(lines) * size * LINE

    def _button(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        if paint:
            words = self._words(node, row).upper()
            self.out.append(_text(words, x + width / 2, y + 29, 14, self.colours["accent"], "middle", "500"))
        return 48.0

    def _check(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        lines = _wrap(self._words(node, row), (width - 40) / (14 * CHARACTER))
        if paint:
            box = f'<rect x="{x + 8:g}" y="{y + 15:g}" width="18" height="18" rx="2" fill="{self.colours["accent"]}"/>'
            tick = f'<path d="M{x + 12:g} {y + 24:g}l4 4l7 -8" stroke="#fff" stroke-width="2" fill="none"/>'
            self.out.append(box + tick)
            for index, line in enumerate(lines):
                self.out.append(_text(line, x + 40, y + 22 + index * 19, 14, self.theme["text"], "start"))
        return max(48.0, 10 + len(lines) * 19)

    def _image(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        pixels = self.screen.images.get(row + _id(node))
        side = self._length(node, "layout_height") or width
        if paint and pixels is not None:
            place = f'x="{x:g}" y="{y:g}" width="{min(width, side):g}" height="{side:g}"'
            self.out.append(f'<image {place} image-rendering="pixelated" href="{_png(pixels)}"/>')
        return side

    def _bar(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        share = self.screen.progress.get(row + _id(node), 0.0)
        for part, name in ((1.0, "picture_background"), (share, "accent")):
            place = f'x="{x:g}" y="{y:g}" width="{width * part:.1f}" height="10" rx="4"'
            if paint:
                self.out.append(f'<rect {place} fill="{self.colours[name]}"/>')
        return 10.0

    def _spinner(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        height = self._view(_layout("model_row"), x, y, width - 24, "model/", paint)
        if paint:
            middle = y + height / 2
            self.out.append(f'<path d="M{x + width - 20:g} {middle:g}h12l-6 6z" fill="{self.theme["second"]}"/>')
        return height

    def _list(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        used = self._view(_layout("benchmark_head"), x, y, width, "", paint)
        for index in range(len(self.screen.rows)):
            used += self._view(_layout("mistake_row"), x, y + used, width, f"{index}/", paint)
        return used

    def _square(self, node: ElementTree.Element, x: float, y: float, width: float, row: str, paint: bool) -> float:
        if paint:
            colour = self.colours["picture_background"]
            self.out.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{width:g}" fill="{colour}"/>')
        for child in _layout("main_view"):
            if not self._gone(child, row) and child.tag == "LinearLayout":  # the notice stands in the middle
                height = self._view(child, x, y, width, row, False)
                self._view(child, x, y + (width - height) / 2, width, row, paint)
            else:
                self._view(child, x, y, width, row, paint)
        return width

    def _words(self, node: ElementTree.Element, row: str) -> str:
        key = row + _id(node)
        if key in self.screen.texts:
            return self.screen.texts[key]
        if "/" in key and key.split("/")[0].isdigit():
            return self.screen.rows[int(key.split("/")[0])].get(_id(node), "")
        given = _get(node, "text", "")
        return self.strings[given.split("/")[1]] if given.startswith("@string/") else given

    def _size(self, node: ElementTree.Element) -> float:
        given = _get(node, "textSize", "")
        return float(given[:-2]) if given else self.sizes.get(node.get("style", "").removeprefix("@style/"), 14.0)

    def _colour(self, given: str) -> str:
        return self.colours[given.split("/")[1]]

    def _space(self, node: ElementTree.Element, side: str) -> float:
        return self._length(node, f"padding{side}") or self._length(node, "padding")

    def _length(self, node: ElementTree.Element, name: str) -> float:
        given = _get(node, name, "")
        return float(given[:-2]) if given.endswith("dp") else 0.0


def screens(assets: Path) -> dict[str, str]:
    """The sketches by file name."""
    bundle = read_bundle(assets)
    model = next((item for item in bundle.models if item.precision == "int8"), bundle.models[0])
    images, truths = _samples(assets, bundle, model)
    labels, logits = _answers(assets, model, images)
    facts = {"model/name": model.name, "model/facts": _facts(model)}
    wrong = np.flatnonzero(logits.argmax(1) != truths)
    return {
        "main.svg": Sketch(_main(facts, images, truths, labels, logits, int(wrong[0])), False).draw(
            "main", "ofa-edge demo"
        ),
        "camera.svg": Sketch(_camera(facts), True).draw("main", "ofa-edge demo"),
        "benchmark.svg": Sketch(_benchmark(model, images, truths, labels, logits, wrong), False).draw(
            "benchmark", "Benchmark"
        ),
    }


def _main(
    facts: Mapping[str, str],
    images: NDArray[np.uint8],
    truths: NDArray[np.int64],
    labels: tuple[str, ...],
    logits: NDArray[np.float32],
    index: int,
) -> Screen:
    strings = _values("values/strings.xml", "string")
    shares = np.exp(logits[index] - logits[index].max())
    shares /= shares.sum()
    best = np.argsort(-shares, kind="stable")[:3]
    texts = {**facts, "truth": _format(strings["sample_truth"], index + 1, len(images), labels[truths[index]])}
    progress = {}
    for place, label in enumerate(best, 1):
        texts[f"answer{place}/label"] = labels[label]
        texts[f"answer{place}/share"] = f"{100 * shares[label]:.1f} %"
        progress[f"answer{place}/bar"] = float(shares[label])
    texts["latency"] = re.sub(r"%\d\$\.2f", "\u2013", strings["latency_line"]).replace("%3$d", "50")
    shown = frozenset({"picture", "sample_bar"})
    return Screen(texts, frozenset({"preview"}), shown, progress, {"picture": images[index]})


def _camera(facts: Mapping[str, str]) -> Screen:
    strings = _values("values/strings.xml", "string")
    texts = {**facts, "notice_text": strings["camera_why"], "notice_button": strings["camera_allow"]}
    return Screen(texts, frozenset({"preview", "answers"}), frozenset({"notice"}))


def _benchmark(
    model: ModelEntry,
    images: NDArray[np.uint8],
    truths: NDArray[np.int64],
    labels: tuple[str, ...],
    logits: NDArray[np.float32],
    wrong: NDArray[np.int64],
) -> Screen:
    strings = _values("values/strings.xml", "string")
    answers = logits.argmax(1)
    right = len(images) - len(wrong)
    found = _format(strings["result_accuracy"], 100 * right / len(images), right, len(images))
    latency = re.sub(r"%\d\$(\.3f|d)", "\u2013", strings["result_latency"]).replace("%%", "%")
    texts = {
        "name": model.name,
        "facts": _facts(model),
        "result": f"{found}\n{latency}",
        "mistakes": _format(strings["mistakes_title"], len(wrong)),
    }
    rows = tuple(
        {"text": _format(strings["mistake_row"], index + 1, labels[truths[index]], labels[answers[index]])}
        for index in wrong[:3]
    )
    pictures = {f"{place}/picture": images[index] for place, index in enumerate(wrong[:3])}
    return Screen(texts, images=pictures, rows=rows)


def _samples(assets: Path, bundle: Bundle, model: ModelEntry) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    entry = next(item for item in bundle.samples if item.name == model.samples)
    shape = (entry.count, entry.height, entry.width, entry.channels)
    kind = "<u2" if entry.classes > 256 else np.uint8
    labels = np.frombuffer((assets / entry.labels_file).read_bytes(), kind)
    return np.frombuffer((assets / entry.file).read_bytes(), np.uint8).reshape(shape), labels.astype(np.int64)


def _answers(assets: Path, model: ModelEntry, images: NDArray[np.uint8]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    metadata = read_metadata(assets / model.file)
    how = Preprocessing(model.resolution, model.channels, metadata.mean, metadata.std)
    return metadata.labels, run_tflite(assets / model.file, how.apply(images))


def _facts(model: ModelEntry) -> str:
    """As ui/Texts.java writes them."""
    strings = _values("values/strings.xml", "string")
    size = _format(strings["kilobytes"], model.size / 1e3)
    lines = [_format(strings["model_facts"], model.precision, size, model.target)]
    predicted, measured = model.predicted_ms, model.measured_ms
    if predicted is None:
        lines.append(strings["model_not_predicted"])
    else:
        numbers = (predicted.ms, predicted.low90, predicted.high90, predicted.provenance)
        lines.append(_format(strings["model_predicted"], *numbers))
    if measured is None:
        lines.append(strings["model_not_measured"])
    else:
        lines.append(_format(strings["model_measured"], measured.p50, measured.p90, measured.device))
    return "\n".join(lines)


def _format(pattern: str, *values: object) -> str:
    """Java's format, as far as the strings use it: %1$s, %2$d, %3$.2f, %%."""

    def put(match: "re.Match[str]") -> str:
        return "%" if match[0] == "%%" else f"%{match[2]}" % values[int(match[1]) - 1]

    return re.sub(r"%(?:(\d)\$(\.\d+f|[sd])|%)", put, pattern)


def _layout(name: str) -> ElementTree.Element:
    return ElementTree.parse(MAIN / "res/layout" / f"{name.removeprefix('@layout/')}.xml").getroot()  # noqa: S314 (ours)


def _values(file: str, tag: str) -> dict[str, str]:
    root = ElementTree.parse(MAIN / "res" / file).getroot()  # noqa: S314 (ours)
    texts = {item.get("name", ""): item.text or "" for item in root.iter(tag)}
    unescape = re.compile(r"\\u([0-9a-fA-F]{4})")
    return {
        name: unescape.sub(lambda match: chr(int(match[1], 16)), text).replace("\\n", "\n")
        for name, text in texts.items()
    }


def _get(node: ElementTree.Element, name: str, missing: str) -> str:
    return node.get(ANDROID + name, missing)


def _id(node: ElementTree.Element) -> str:
    return _get(node, "id", "").rpartition("/")[2]


def _wrap(words: str, most: float) -> list[str]:
    lines: list[str] = []
    for paragraph in words.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            if line and len(line) + 1 + len(word) > math.floor(most):
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return lines


def _text(words: str, x: float, y: float, size: float, colour: str, anchor: str, weight: str = "400") -> str:
    place = f'x="{x:g}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(words)}</text>'


def _png(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=MAIN / "assets")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    for name, svg in screens(options.assets).items():
        (options.out / name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
