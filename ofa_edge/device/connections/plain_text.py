"""What a device said, to be shown: it must not steer a terminal, or a CI server that reads commands from lines."""


def one_line(text: str) -> str:
    r"""Text without control characters and line ends.

    >>> one_line("scp: \x1b[31mfailed\n::stop-commands::x\n")
    'scp: [31mfailed ::stop-commands::x'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
