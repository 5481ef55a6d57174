"""What is shown of names, paths and values that somebody else chose: text that steers no terminal and no shell.

Control characters move a terminal's cursor or hide what stands there; characters of bidirectional text reorder it; and
a line that we offer to be pasted is a shell's, in which `$(...)` runs.
"""

import os
import shlex
from pathlib import PurePath


def printable(text: str, keep: str = "") -> str:
    r"""Text with everything that is no letter, mark or space written as an escape.

    >>> print(printable("a\x1b[31mb\u202e"))
    a\x1b[31mb\u202e
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _escape(letter) for letter in text)


def pasteable(*words: object) -> str:
    r"""A command that a shell takes as these very words, quoted where it must be.

    >>> from pathlib import Path
    >>> print(pasteable("ofa-edge", "verify", "my out/$(id)", "--device", "NAME"))
    ofa-edge verify 'my out/$(id)' --device NAME
    >>> print(pasteable("rm", Path("-rf")))
    rm ./-rf
    >>> print(pasteable("rm", "a\x1b'"))
    rm $'a\x1b\''
    """
    return " ".join(map(_quoted, words))


def _quoted(word: object) -> str:
    text = str(word)
    if isinstance(word, PurePath) and text.startswith("-"):
        text = f"./{text}"  # a path is no option
    if text.isprintable():
        return shlex.quote(text)
    # The form that bash, zsh and ksh have for what has no letter; byte by byte, as file names are.
    return "$'" + "".join(map(_ansi_c, text)) + "'"


def _ansi_c(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
