"""Pages in a real browser: what sticks out, what lies over what, what is too small to be read.

Our pages allow no scripts; what is opened here is a copy with one that measures. All copies stand in one page, each in
a frame of its own width, so that the browser is started once.
"""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
PHONE, DESK = 390, 1280  # pixels
_CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_MEASURE = r"""
function measured() {
  const scrolls = node => { for (let at = node; at; at = at.parentElement) {
    const how = getComputedStyle(at).overflowX; if (how === "auto" || how === "scroll") return at; } return null; };
  const root = document.documentElement, texts = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const words = node.textContent.trim(), parent = node.parentElement;
    if (!words || ["STYLE", "SCRIPT", "TITLE", "title"].includes(parent.tagName)) continue;
    if (!parent.checkVisibility()) continue;
    const range = document.createRange(); range.selectNodeContents(node);
    for (const r of range.getClientRects()) if (r.width > 1 && r.height > 1) {
      const svg = parent.ownerSVGElement, scale = svg ? svg.getScreenCTM().a : 1;
      texts.push({words: words.slice(0, 60), x: r.left, y: r.top + r.height * 0.25, X: r.right,
        Y: r.bottom - r.height * 0.25, box: scrolls(parent),
        size: scale * parseFloat(getComputedStyle(parent).fontSize)});
    }
  }
  const over = [], out = [];
  for (let i = 0; i < texts.length; i++) {
    const a = texts[i];
    if (!a.box && a.X > root.clientWidth + 1) out.push(a.words);
    for (let j = i + 1; j < texts.length; j++) {
      const b = texts[j];
      if (Math.min(a.X, b.X) - Math.max(a.x, b.x) > 2 && Math.min(a.Y, b.Y) - Math.max(a.y, b.y) > 1)
        over.push([a.words, b.words]);
    }
  }
  const unseen = [...document.querySelectorAll("svg")].filter(svg => { const dots = svg.querySelectorAll("circle");
    const box = scrolls(svg); return dots.length && box &&
      dots[dots.length - 1].getBoundingClientRect().right > box.getBoundingClientRect().right; }).length;
  return {unseen, wide: root.scrollWidth - root.clientWidth, out, over, texts: texts.length,
    small: [...new Set(texts.filter(t => t.size < 9.5).map(t => t.words))],
    ink: getComputedStyle(document.body).color, page: getComputedStyle(document.body).backgroundColor};
}
addEventListener("load", () => parent.postMessage(JSON.stringify([NUMBER, measured()]), "*"));
"""
_HOST = """<!doctype html><meta charset="utf-8"><body><pre id="found"></pre><script>
const found = {}; addEventListener("message", e => { const [n, m] = JSON.parse(e.data); found[n] = m;
document.getElementById("found").textContent = JSON.stringify(found); });</script>%s"""


@dataclass(frozen=True)
class Look:
    """A page at a width, by day or by night; `open_all` unfolds what is folded."""

    page: str
    width: int
    dark: bool = False
    open_all: bool = False


def looked_at(looks: list[Look], folder: Path) -> list[dict[str, Any]]:
    """What a browser finds on each page.

    Returns:
        For each look: `wide`, pixels by which the page scrolls sideways; `out`, texts that stick out; `over`, pairs of
        texts of which one lies on the other; `small`, texts of less than 9.5 pixels; `texts`, how many there are;
        `unseen`, charts whose last dot has to be scrolled to; and the colours `ink` and `page`.
    """
    frames = "".join(_frame(number, look) for number, look in enumerate(looks))
    host = folder / "host.html"
    host.write_text(_HOST % frames)
    found = json.loads(_dumped(host, folder)[0])
    return [found[str(number)] for number in range(len(looks))]


def _frame(number: int, look: Look) -> str:
    page = _CSP.sub("", look.page)
    page = page.replace("(prefers-color-scheme: dark)", "all" if look.dark else "not all")
    if look.open_all:
        page = page.replace("<details", "<details open")
    page = page.replace("</head>", f"<script>{_MEASURE.replace('NUMBER', str(number))}</script></head>", 1)
    return f'<iframe width="{look.width}" height="900" frameborder="0" srcdoc="{html.escape(page)}"></iframe>'


def _dumped(host: Path, folder: Path) -> list[str]:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=30000", "--dump-dom", host.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return [html.unescape(text) for text in re.findall(r'<pre id="found">([^<]+)</pre>', done.stdout)]
