"""Run the notebooks in examples/ and keep their outputs, as they are to be committed.

    python scripts/notebooks.py              # all of them, minutes
    python scripts/notebooks.py deploy       # one

Nothing of the machine that ran them stays in the files: no paths, no times of execution. Each names the source that its
outputs are of, so that a cell which was changed and not run again is found (tests/docs/test_notebooks.py).
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
CELL_S = 300  # a cell that takes longer hangs


def executed(path: Path, startup: str = "", replaced: Mapping[str, str] | None = None) -> Any:
    """The notebook after all its cells ran in a new kernel, in an empty folder and with an empty cache.

    Args:
        path: the notebook.
        startup: Python that the kernel runs before the first cell.
        replaced: words of its cells that run as others, by what stands there.

    Raises:
        ValueError: words to be replaced do not stand there exactly once.
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    for words, others in (replaced or {}).items():
        found = [cell for cell in notebook.cells if cell.cell_type == "code" and words in cell.source]
        if len(found) != 1 or found[0].source.count(words) != 1:
            raise ValueError(f"{path.name}: {words!r} has to stand there once")
        found[0].source = found[0].source.replace(words, others)
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder, kernel_environment(folder):
        profile = Path(folder, "ipython", "profile_default", "startup")
        profile.mkdir(parents=True)
        (profile / "first.py").write_text(startup)
        NotebookClient(
            notebook,
            timeout=CELL_S,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "outputs_of": sources_digest(notebook),
    }
    return notebook


@contextmanager
def kernel_environment(folder: str) -> Iterator[None]:
    """One thread, this checkout's package, and nothing read from or written to the user's own folders."""
    before = dict(os.environ)
    os.environ.update(
        OMP_NUM_THREADS="1",
        OFA_EDGE_CACHE=f"{folder}/cache",
        XDG_CONFIG_HOME=f"{folder}/config",
        IPYTHONDIR=f"{folder}/ipython",
        JUPYTER_RUNTIME_DIR=f"{folder}/jupyter",
        PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [before.get("PYTHONPATH")])]),
        PYTHONHASHSEED="0",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def sources_digest(notebook: Any) -> str:
    """SHA-256 of what stands in the code cells."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def outputs(notebook: Any) -> Iterator[Any]:
    """All outputs of all code cells, in order."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def text_of(output: Any) -> str:
    """What an output holds, whatever its kind: text, pictures, the words of an error."""
    data = output.get("data", {})
    return "\n".join([output.get("text", ""), *output.get("traceback", ()), *map(str, data.values())])


def main(names: list[str]) -> None:
    """Run the named notebooks, or all, and write them."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if not names or path.stem in names:
            nbformat.write(executed(path), path)
            print(f"ran {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
