"""Fuzzing of every reader: small valid files changed in the ways that hostile and unlucky files are.

    python tests/support/fuzzing.py [--minutes 10] [--seed 0] [--reader NAME]

What a reader may do with a file: take it, or raise an OfaEdgeError of three parts that can be printed, within seconds
and some hundred megabytes. Anything else is a finding, and its file is kept in tests/faults/found/READER/, where the
suite tries it again. A file by which a reader comes to lines of ours that none came to before is changed further.
Minutes are of computing, so that a busy machine tries as many files.
"""

import argparse
import contextlib
import faulthandler
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from ofa_edge.errors import OfaEdgeError
from ofa_edge.shown import printable

FOUND = Path(__file__).resolve().parents[1] / "faults" / "found"
_OURS = str(Path(__file__).resolve().parents[2] / "ofa_edge")
_MOST_BYTES = 500_000_000
_STUCK_S = 60.0
_MOST_KEPT = 200  # files of a reader that are changed further

# What stands in place of a value: numbers beyond Python's limits and the world's, other types, depth, steering text.
VALUES = (
    b"0", b"-1", b"1e400", b"-1e308", b"nan", b"inf", b"NaN", b"Infinity", b"9" * 5000, b"0x" + b"f" * 40, b"1" * 400,
    b"true", b"null", b"[]", b"{}", b'""', b'"\\u202e\\u001b[2J"', b'"../../etc/passwd"', b'"' + b"a" * 5000 + b'"',
    b"[" * 3000, b'{"a":' * 3000, b"a." * 3000 + b"a = 1", b"2026-13-45", b"\xc2\xb2", b"\x00", b"\xff\xfe",
    b"\x1b[31m",     b"&a [*a]", b"!!python/none x", b'"\\ud800"', b"1e-400", b"4294967297", b"9223372036854775808",
    b"-0.0",
    b"1" + b"0" * 30,
)  # fmt: skip
_VALUE = re.compile(rb'-?\d+\.?\d*(?:e[+-]?\d+)?|"[^"\n]{0,60}"|true|false|null|\[[^\[\]\n]{0,80}\]|\{[^{}\n]{0,80}\}')
_WORDS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff" * 8, b"\x01")


@dataclass(frozen=True)
class Reader:
    """One way into ofa-edge.

    Attributes:
        name: for files and reports.
        suffix: of the file that it reads.
        seeds: small valid files.
        read: what reads one.
        text: whether values in it are replaced; else bytes.
    """

    name: str
    suffix: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    text: bool = True


def seeds(*texts: str) -> tuple[bytes, ...]:
    """Texts as files."""
    return tuple(text.encode() for text in texts)


@dataclass
class Finding:
    """A file that a reader did not stand, and what it did."""

    reader: str
    content: bytes
    what: str


@dataclass
class Fuzzer:
    """One reader, its files so far, and what was found."""

    reader: Reader
    folder: Path
    random: random.Random
    guided: bool = False
    longest_s: float = 2.0  # of computing; the suite, which times nothing, allows far more
    runs: int = 0
    refused: int = 0
    corpus: list[bytes] = field(default_factory=list)
    lines: set[tuple[str, int]] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.corpus = list(self.reader.seeds)

    def run(self, count: int) -> None:
        """Try so many changed files."""
        for _ in range(count):
            content = changed(self.random.choice(self.corpus), self.random, self.corpus, self.reader.text)
            before = len(self.lines)
            self.one(content)
            if len(self.lines) > before and len(self.corpus) < _MOST_KEPT:
                self.corpus.append(content)

    def one(self, content: bytes) -> None:
        """Try one file; keep a finding whose like is not known yet."""
        path = self.folder / f"input{self.reader.suffix}"
        path.write_bytes(content)
        self.runs += 1
        what = self._watched(path)
        if what and all(known.what.split(":")[:2] != what.split(":")[:2] for known in self.findings):
            self.findings.append(Finding(self.reader.name, content, what))

    def _watched(self, path: Path) -> str:
        start, memory = time.process_time(), _peak()
        faulthandler.dump_traceback_later(4 * _STUCK_S, exit=True)  # for what no signal ends
        signal.signal(signal.SIGALRM, _stuck)
        signal.setitimer(signal.ITIMER_REAL, _STUCK_S)
        if self.guided:
            sys.settrace(self._trace)
        try:
            what = self._tried(path)
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            faulthandler.cancel_dump_traceback_later()
        if not what and not self.guided and time.process_time() - start > self.longest_s:
            what = f"slow: {time.process_time() - start:.1f} s"
        if not what and _peak() - memory > _MOST_BYTES:
            what = f"memory: {(_peak() - memory) >> 20} MiB"
        return what

    def _tried(self, path: Path) -> str:
        try:
            self.reader.read(path)
        except OfaEdgeError as error:
            self.refused += 1
            return _told_badly(error)
        except StuckError:
            return "stuck"
        except Exception as error:
            while error.__traceback__ and error.__traceback__.tb_next:
                error.__traceback__ = error.__traceback__.tb_next
            trace = error.__traceback__
            where = f"{Path(trace.tb_frame.f_code.co_filename).name} {trace.tb_lineno}" if trace else "?"
            return f"{type(error).__name__}: {where}: {str(error)[:200]!r}"
        return ""

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_OURS):
            return None
        if event == "line":
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace


class StuckError(BaseException):
    """A reader does not come back; no reader takes this for damage of its file."""


def _stuck(*_: object) -> None:
    raise StuckError


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _told_badly(error: OfaEdgeError) -> str:
    """What is wrong with an error's own three parts; "" where nothing is."""
    if not (error.what and error.why and error.hint):
        return f"told badly: {type(error).__name__}: a part is empty: {str(error)!r:.300}"
    shown = printable(str(error), keep="\n")
    if len(shown) > 60_000 or len(str(error)) > 12_500:
        return f"told badly: {type(error).__name__}: {len(shown)} letters"
    shown.encode()
    return ""


def changed(content: bytes, draw: random.Random, others: list[bytes], text: bool) -> bytes:
    """A file with one to four changes."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        content = (_with_value if text and draw.random() < 0.75 else _with_bytes)(content, draw, others)
    return content


def _with_value(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    places = [match.span() for match in _VALUE.finditer(content)]
    if not places:
        return _with_bytes(content, draw, others)
    start, end = draw.choice(places)
    donor = draw.choice(others)
    values = [match[0] for match in _VALUE.finditer(donor)] if draw.random() < 0.3 else []
    return content[:start] + draw.choice(values or VALUES) + content[end:]


def _with_bytes(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    at = draw.randrange(len(content) + 1)
    end = min(len(content), at + draw.choice((1, 2, 4, 8, 40, 400)))
    donor, word = draw.choice(others), draw.choice(_WORDS)
    cut = draw.randrange(len(donor) + 1)
    flipped = bytes(byte ^ (1 << draw.randrange(8)) for byte in content[at : at + 1])
    inside, behind = draw.choice(
        (
            (b"", b""),
            (b"", content[end:]),
            (content[at:end] * draw.choice((2, 3, 50)), content[end:]),
            (word, content[at + len(word) :]),
            (flipped, content[at + 1 :]),
            (donor[cut : cut + 400], content[end:]),
            (draw.choice(VALUES), content[at:]),
        )
    )
    return content[:at] + inside + behind


def kept() -> Iterator[tuple[str, Path]]:
    """Every finding of the past: the reader's name, the file."""
    for path in sorted(FOUND.glob("*/*")):
        yield path.parent.name, path


def keep(finding: Finding) -> Path:
    """Keep a finding's file as a case of the suite."""
    path = FOUND / finding.reader / sha256(finding.content).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(finding.content)
    return path


def _in_turn(fuzzers: Sequence[Fuzzer], end: float) -> None:
    """Two seconds of each, until the process has computed for so long."""
    turn = 0
    while time.process_time() < end:
        for fuzzer in fuzzers:
            fuzzer.guided = turn % 2 == 0  # half of the time is not spent on tracing
            stop = min(end, time.process_time() + 2.0)
            while time.process_time() < stop:
                fuzzer.run(10)
        turn += 1


def main() -> int:
    """Fuzz all readers in turn; the exit status says whether something was found."""
    from readers import all_readers

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of computing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", help="only these")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.fsync = lambda handle: None  # thousands of files, and nobody pulls this machine's plug
    with tempfile.TemporaryDirectory(prefix="ofa-fuzz-") as scratch:
        fuzzers = []
        for reader in all_readers(Path(scratch)):
            if not options.reader or reader.name in options.reader:
                folder = Path(scratch) / "inputs" / reader.name
                folder.mkdir(parents=True)
                fuzzers.append(Fuzzer(reader, folder, random.Random(f"{options.seed} {reader.name}")))
        with contextlib.suppress(KeyboardInterrupt):  # what was found until then is told, and kept
            _in_turn(fuzzers, time.process_time() + 60 * options.minutes)
    for fuzzer in fuzzers:
        print(f"{fuzzer.reader.name:18} {fuzzer.runs:8} files, {fuzzer.refused:8} refused, {len(fuzzer.lines):5} lines")
    findings = [finding for fuzzer in fuzzers for finding in fuzzer.findings]
    for finding in findings:
        print(f"FOUND {finding.reader}: {finding.what}\n      {keep(finding)}")
    spent = time.process_time() / 60
    print(
        f"{sum(fuzzer.runs for fuzzer in fuzzers)} files in {spent:.1f} minutes of computing, {len(findings)} findings"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
