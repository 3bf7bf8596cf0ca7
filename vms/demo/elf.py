"""The authority on what a guest's binaries need: shared libraries of a program, dependencies of a kernel module.

Read from the files themselves, because they may be for another system than the one that builds (so not with `ldd`,
which runs the program) and because kernel packages ship without `modules.dep`.
"""

import re
import struct

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC_ENTRY = struct.Struct("<qQ")


class NotElf(ValueError):
    """The bytes are no 64-bit little-endian ELF file."""


def needed_libraries(data: bytes) -> list[str]:
    """File names of the shared libraries (and of the program interpreter) that this ELF file names, in its order."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise NotElf("not a 64-bit little-endian ELF file")
    header = _HEADER.unpack_from(data)
    offset, entry_size, count = header[5], header[9], header[10]
    segments = [_PROGRAM_HEADER.unpack_from(data, offset + entry_size * number) for number in range(count)]

    names: list[str] = []
    for kind, _flags, start, _virtual, _physical, size, _memory, _align in segments:
        if kind == _PT_INTERP:
            names.append(_string(data, start).rpartition("/")[2])
        elif kind == _PT_DYNAMIC:
            entries = list(_DYNAMIC_ENTRY.iter_unpack(data[start : start + size - size % _DYNAMIC_ENTRY.size]))
            # Padding after the first null entry may hold anything.
            tags = [tag for tag, _value in entries]
            entries = entries[: tags.index(_DT_NULL)] if _DT_NULL in tags else entries
            table = next(value for tag, value in entries if tag == _DT_STRTAB)
            strings = next(s[2] + table - s[3] for s in segments if s[0] == _PT_LOAD and s[3] <= table < s[3] + s[5])
            names.extend(_string(data, strings + value) for tag, value in entries if tag == _DT_NEEDED)
    return names


def module_dependencies(data: bytes) -> list[str]:
    """Names of the kernel modules that this (uncompressed) kernel module needs loaded before it."""
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()
