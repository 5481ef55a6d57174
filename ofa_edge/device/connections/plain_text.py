"""What a device said, to be shown: it must not steer a terminal, or a CI server that reads commands from lines."""


def one_line(text: str) -> str:
    r"""Text without control characters and line ends.

    >>> one_line("scp: \x1b[31mfailed\n::stop-commands::x\n")
    'scp: [31mfailed ::stop-commands::x'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def whole_number(text: str) -> int | None:
    """A number in ASCII digits, as kernels print them; None for all else, and for more digits than a counter has.

    >>> [whole_number(text) for text in ("1800000", "-1", "1e3", "²", "9" * 20)]
    [1800000, None, None, None, None]
    """
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None
