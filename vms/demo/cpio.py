"""The authority on the archive format of an initramfs: cpio "newc", as in the kernel's initramfs buffer format."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

_ALIGNMENT = 4
_TRAILER = "TRAILER!!!"


@dataclass
class Archive:
    """A root file system in memory: paths are relative to `/`, parent directories are made as needed."""

    _entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def directory(self, path: str, mode: int = 0o755) -> None:
        self._add(path, stat.S_IFDIR | mode, b"")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, content)

    def symlink(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def pack(self) -> bytes:
        """The archive as bytes, the same for the same contents: no times, no owners, a fixed order."""
        return b"".join(self._records())

    def _add(self, path: str, mode: int, content: bytes) -> None:
        path = path.strip("/")
        parent = path.rpartition("/")[0]
        if parent and parent not in self._entries:
            self.directory(parent)
        self._entries[path] = (mode, content)

    def _records(self) -> Iterator[bytes]:
        # The kernel needs a directory before what lies in it; insertion order gives that.
        for number, (path, (mode, content)) in enumerate(self._entries.items(), start=1):
            yield _record(path, mode, content, number)
        yield _record(_TRAILER, 0, b"", 0)


def _record(name: str, mode: int, content: bytes, inode: int) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, uid, gid, links, mtime, size, device (2), device node (2), name size, checksum (unused)
    fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
