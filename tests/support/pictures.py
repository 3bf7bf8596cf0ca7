"""The authority on what is in a picture, for tests: a reader of 8-bit RGB PNG that shares nothing with the portal's."""

from __future__ import annotations

import struct
import zlib
from collections import Counter


def colours(png: bytes) -> Counter[tuple[int, ...]]:
    """How many pixels there are of each colour (red, green, blue) in an 8-bit RGB picture."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, colour = struct.unpack_from(">IIBB", png, 16)
    assert (depth, colour) == (8, 2), "8-bit RGB"
    offset, packed = 8, b""
    while offset < len(png):
        (length,) = struct.unpack_from(">I", png, offset)
        if png[offset + 4 : offset + 8] == b"IDAT":
            packed += png[offset + 8 : offset + 8 + length]
        offset += length + 12
    rows = zlib.decompress(packed)
    size = width * 3
    previous = bytes(size)
    counted: Counter[tuple[int, ...]] = Counter()
    for start in range(0, height * (size + 1), size + 1):
        previous = _unfiltered(rows[start], rows[start + 1 : start + 1 + size], previous)
        counted.update(zip(*(previous[channel::3] for channel in range(3)), strict=True))
    return counted


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    """One PNG row (RFC 2083 section 6) with its filter undone, for three bytes per pixel."""
    result = bytearray(row)
    for index, up in enumerate(above):
        left, corner = (result[index - 3], above[index - 3]) if index >= 3 else (0, 0)
        estimate = left + up - corner
        nearest = min((left, up, corner), key=lambda value: abs(estimate - value))
        result[index] = (result[index] + (0, left, up, (left + up) // 2, nearest)[kind]) & 0xFF
    return bytes(result)
