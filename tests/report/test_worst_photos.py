"""Images that are answered worst, inside the report: which, how large, and with every text escaped."""

import base64
import io
import re

import numpy as np
import pytest
from html_page import HOSTILE, Page
from manifests import manifest
from PIL import Image

from ofa_edge.report import render_report
from ofa_edge.report.worst import MOST, WorstPhoto, thumbnails


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), dtype=np.uint8)


def opened(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


@pytest.mark.parametrize("shape", [(28, 28, 1), (20, 32, 3), (1, 1, 3)])
def test_small_images_are_shown_to_the_pixel(shape):
    pixels = noise(*shape)
    (found,) = thumbnails([WorstPhoto(pixels, 0.9)])
    assert np.array_equal(np.asarray(opened(found.source)).reshape(shape), pixels)


@pytest.mark.parametrize(("shape", "size"), [((224, 224, 3), (112, 112)), ((60, 2000, 1), (112, 3))])
def test_large_ones_are_made_small(shape, size):
    (found,) = thumbnails([WorstPhoto(noise(*shape), 0.9)])
    assert (found.width, found.height) == opened(found.source).size == size


def test_a_page_stays_small_whatever_the_images_are():
    found = thumbnails([WorstPhoto(noise(224, 224), 0.9)] * 40)
    assert len(found) <= MOST
    assert len(found) >= 8
    assert sum(len(each.source) for each in found) <= 100_000


def test_texts_are_escaped_and_nothing_else_is_loaded():
    html = render_report(manifest(), [WorstPhoto(noise(28, 28), 0.98, f"{HOSTILE}.png", HOSTILE, "Shirt")])
    page, plain = Page(html), Page(render_report(manifest(), [WorstPhoto(noise(28, 28), 0.98, "a.png", "b", "c")]))
    assert [(tag, sorted(attrs)) for tag, attrs in page.tags] == [(tag, sorted(attrs)) for tag, attrs in plain.tags]
    assert "Shirt , 98\xa0%" in page.text.replace("\u202f", " ") or "Shirt , 98 %" in page.text
    assert re.findall(r'(?:src|href)="([a-z]+):', html) == ["data"]
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html


def test_a_page_without_photos_allows_none():
    html = render_report(manifest())
    assert "img-src" not in html
    assert "Answered worst" not in html
