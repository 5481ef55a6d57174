"""PNG files that Pillow cannot write."""

import itertools
import struct
import zlib


def png(path, width, height, rows, depth=8, colour=0):
    """A PNG written row by row: Pillow never holds it, and it can be of 16-bit colour, which Pillow cannot write."""
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(b"\0" + row) for row in rows) + packer.flush()

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def blank_png(path, width, height):
    return png(path, width, height, itertools.repeat(bytes(width), height))


def write_png16(path, values):
    """uint16 [H, W, 3] as 16-bit colour."""
    png(path, *values.shape[1::-1], (row.astype(">u2").tobytes() for row in values), 16, 2)
