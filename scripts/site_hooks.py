"""Hooks of mkdocs.yml: what pages of docs/ link to outside of docs/ comes into the site as well.

On GitHub `../CONTRIBUTING.md` is a link that works. In the site that file becomes `repository/CONTRIBUTING.md`; what is
no page of text becomes one that shows it as code, and a folder stands for the README.md in it.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "repository"  # the folder of the site that such pages are in
LINK = re.compile(r"(?<!\!)(\]\()([^)\s#]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LONGEST = 50_000  # characters of a file that a page shows
LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".json": "json"}

_origins: dict[str, str] = {}  # page of the site -> file of the repository, for those that are not in docs/


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file outside docs/ that a page links to, and for those that these link to in turn."""
    _origins.clear()
    waiting = [(page.src_uri, page.content_string) for page in files.documentation_pages()]
    while waiting:
        uri, text = waiting.pop()
        for target in _outside(uri, text):
            made = _page(target)
            if made in _origins:
                continue
            _origins[made] = target
            content = _content(ROOT / target)
            files.append(File.generated(config, made, content=content, inclusion=InclusionLevel.NOT_IN_NAV))
            waiting.append((made, content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ lead to the pages that `on_files` made."""
    uri = page.file.src_uri
    return _outside_fences(markdown, lambda text: LINK.sub(lambda found: _link(uri, found), text))


def _link(uri: str, found: re.Match[str]) -> str:
    target = _target(uri, found[2])
    if target is None:
        return found[0]
    inside = target.removeprefix("docs/") if target.startswith("docs/") else _page(target)
    return f"{found[1]}{posixpath.relpath(inside, posixpath.dirname(uri) or '.')}{found[3] or ''})"


def _outside(uri: str, markdown: str) -> Iterator[str]:
    """Files outside docs/ that the page links to."""
    links: list[str] = []
    _outside_fences(markdown, lambda text: [links.extend(found[2] for found in LINK.finditer(text)), text][-1])
    for link in links:
        target = _target(uri, link)
        if target is not None and not target.startswith("docs/") and (ROOT / target).is_file():
            yield target


def _target(uri: str, link: str) -> str | None:
    """The file of the repository that a link means; None where mkdocs knows by itself."""
    if re.match(r"[a-z]+:|/", link):
        return None
    here = _origins.get(uri, f"docs/{uri}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
    if uri not in _origins and target.startswith("docs/"):
        return None
    return f"{target}/README.md" if (ROOT / target / "README.md").is_file() else target


def _page(target: str) -> str:
    shown = re.sub(r"(^|/)\.", r"\1", target)  # mkdocs leaves out what begins with a dot
    return f"{INSIDE}/{shown if shown.endswith('.md') else shown + '.md'}"


def _content(path: Path) -> str:
    text = path.read_text()
    if path.suffix == ".md":
        return text
    if path.suffix == ".ipynb":
        return f"# {path.name}\n\nA notebook: open it in Jupyter, or read it in the repository.\n"
    shown = text if len(text) <= LONGEST else text[:LONGEST].rpartition("\n")[0]
    more = "" if len(text) <= LONGEST else f"\nThe first {len(shown):,} of {len(text):,} characters.\n"
    return f"# {path.name}\n{more}\n````{LANGUAGES.get(path.suffix, 'text')}\n{shown.rstrip()}\n````\n"


def _outside_fences(markdown: str, change: Any) -> str:
    """Change what is not in a fenced block."""
    parts, end = [], 0
    for fence in FENCED.finditer(markdown):
        parts += [change(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(markdown[end:])])
