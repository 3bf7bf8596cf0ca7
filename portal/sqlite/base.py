"""How a transaction on SQLite waits for its turn.

SQLite has one writer at a time, and no queue of those who wait: each asks again after a pause. SQLite's own pauses grow
from 1 to 100 ms, while our transactions last one or two; with a handful of workers, a third of the processors' time
went by while all of them slept. A statement outside any transaction still waits as SQLite does.
"""

from __future__ import annotations

import sqlite3
import time

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

#: Seconds between two attempts to become the writer.
_PAUSE = 0.0005


class DatabaseWrapper(base.DatabaseWrapper):
    """Begins a transaction by short pauses, for as long as the connection's timeout allows."""

    def _start_transaction_under_autocommit(self) -> None:
        (patience,) = self.connection.execute("PRAGMA busy_timeout").fetchone()
        give_up_at = time.monotonic() + patience / 1000
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    super()._start_transaction_under_autocommit()  # type: ignore[misc]
                except OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > give_up_at:
                        raise
                else:
                    return
                time.sleep(_PAUSE)
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {patience}")


def _is_busy(error: OperationalError) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.OperationalError) and cause.sqlite_errorcode == sqlite3.SQLITE_BUSY
