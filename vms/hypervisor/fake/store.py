"""The authority on what the fake host remembers: its domains, and the log of everything that was asked and happened.

One SQLite file in WAL mode. A call's effect and its log line are one transaction, committed before the call is
answered, so whatever was answered is remembered after the daemon was killed. A crash of the whole machine may lose the
last moments: nothing waits for a disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from vms.hypervisor.fake.machine import Machine


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log.

    Attributes:
        seq: Number of the line, growing.
        at: When it took effect (or was found to have none), in seconds since the epoch.
        uuid: The domain.
        name: A call of the port (`start`, `destroy`, `ask_agent`, `press_button`, …), or what became of the domain
            (`came_up`, `went_down`, `reset`, `agent_connected`, …).
        call: True for a call, False for what became of the domain.
        by: `driver`, `other` (virsh, say) or `guest`.
        effect: Whether it made a difference.
        run: Number of the domain's run, from 1; a `start` that takes effect bears the new one.
        pid: Process that made the call, 0 when not one of ours.
        detail: The reason it went down, or the text of the error the call was answered with.
    """

    seq: int
    at: float
    uuid: str
    name: str
    call: bool
    by: str
    effect: bool
    run: int
    pid: int = 0
    detail: str = ""


_SCHEMA = """
CREATE TABLE IF NOT EXISTS domain (uuid TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, uuid TEXT, name TEXT, call INTEGER, by TEXT, effect INTEGER,
    run INTEGER, pid INTEGER, detail TEXT
);
CREATE TABLE IF NOT EXISTS image (source TEXT PRIMARY KEY, backing TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_uuid ON log (uuid, seq);
"""


class Store:
    """The file. Changes are collected and written together by `commit`."""

    def __init__(self, path: Path, log_path: Path | None = None) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.executescript(_SCHEMA)
        self._lines: IO[str] | None = log_path.open("a", encoding="utf-8") if log_path else None
        self._pending: list[LogEntry] = []

    def load(self) -> Iterator[Machine]:
        """Yield every domain."""
        for (body,) in self._database.execute("SELECT body FROM domain"):
            yield Machine.of(json.loads(body))

    def begin(self) -> None:
        """Begin a transaction."""
        self._database.execute("BEGIN")

    def commit(self) -> None:
        """Make everything since `begin` last."""
        self._database.execute("COMMIT")
        if self._lines is not None and self._pending:
            self._lines.writelines(json.dumps(asdict(entry)) + "\n" for entry in self._pending)
            self._lines.flush()
        self._pending.clear()

    def rollback(self) -> None:
        """Forget everything since `begin`."""
        self._database.execute("ROLLBACK")
        self._pending.clear()

    def put(self, machine: Machine) -> None:
        """Remember a domain as it is now."""
        row = (machine.uuid, json.dumps(machine.as_json()))
        self._database.execute("INSERT OR REPLACE INTO domain VALUES (?, ?)", row)

    def remove(self, uuid: str) -> None:
        """Forget a domain; its log stays."""
        self._database.execute("DELETE FROM domain WHERE uuid = ?", (uuid,))

    def put_image(self, source: str, backing: str) -> None:
        """Remember the data of a disk, and what it is based on."""
        self._database.execute("INSERT OR REPLACE INTO image VALUES (?, ?)", (source, backing))

    def images(self) -> dict[str, str]:
        """Return every image with what it is based on."""
        return dict(self._database.execute("SELECT source, backing FROM image"))

    def why_kept(self, source: str) -> str:
        """Say why an image cannot go; empty where it can."""
        based = next((image for image, backing in self.images().items() if backing == source), "")
        return f"{source} is the backing file of {based}. Delete or rebase that one first" if based else ""

    def remove_image(self, source: str) -> bool:
        """Forget an image, and say whether there was one."""
        return bool(self._database.execute("DELETE FROM image WHERE source = ?", (source,)).rowcount)

    def add(self, **fields: Any) -> LogEntry:
        """Append a line to the log."""
        entry = LogEntry(seq=0, **fields)
        values = [getattr(entry, name) for name in _COLUMNS]
        cursor = self._database.execute(_INSERT, values)
        entry = LogEntry(seq=cursor.lastrowid or 0, **fields)
        self._pending.append(entry)
        return entry

    def entries(self, uuid: str | None, after: int) -> list[dict[str, Any]]:
        """Return the log's lines after number `after`, oldest first."""
        rows = self._database.execute(_SELECT_OF_ONE if uuid else _SELECT, {"uuid": uuid, "after": after})
        return [dict(zip(("seq", *_COLUMNS), row, strict=True)) for row in rows]

    def close(self) -> None:
        """Close the files."""
        self._database.close()
        if self._lines is not None:
            self._lines.close()


_COLUMNS = ("at", "uuid", "name", "call", "by", "effect", "run", "pid", "detail")
_INSERT = "INSERT INTO log (at, uuid, name, call, by, effect, run, pid, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = """
SELECT seq, at, uuid, name, call, by, effect, run, pid, detail FROM log
WHERE seq > :after ORDER BY seq
"""
_SELECT_OF_ONE = _SELECT.replace("ORDER", "AND uuid = :uuid ORDER")
