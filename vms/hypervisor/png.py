"""The authority on writing PNG (ISO/IEC 15948), and on reading the portable pixmaps that some hypervisors send."""

from __future__ import annotations

import re
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXMAP = re.compile(rb"P6\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(\d+)\s+255\s")


def write(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of 8-bit RGB pixels, given row by row from the top."""
    if len(pixels) != width * height * 3:
        raise ValueError(f"{len(pixels)} bytes are not {width}×{height} pixels")
    stride = width * 3
    rows = b"".join(b"\0" + pixels[start : start + stride] for start in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def measure(data: bytes) -> tuple[int, int]:
    """Return the width and height of a PNG, by its header.

    Raises:
        ValueError: It is none.
    """
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 24:
        raise ValueError("no PNG")
    width, height = struct.unpack(">II", data[16:24])
    if not width or not height:
        raise ValueError("a PNG without pixels")
    return width, height


def from_pixmap(data: bytes) -> bytes:
    """Return a PNG of a binary portable pixmap (PPM, `P6`, 8 bits).

    Raises:
        ValueError: It is not one.
    """
    match = _PIXMAP.match(data)
    if match is None:
        raise ValueError("not a binary portable pixmap with 8 bits a channel")
    width, height = int(match[1]), int(match[2])
    return write(width, height, data[match.end() : match.end() + width * height * 3])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
