"""How a statement on SQLite waits for its turn.

SQLite has one writer at a time, and no queue of those who wait: each asks again after a pause. Its own pauses are not
used, for two reasons:

- They grow from 1 to 100 ms, while our transactions last one or two; with a handful of workers, a third of the
  processors' time went by while all of them slept.
- A thread that sleeps inside SQLite holds its connection's lock. Python's garbage collector may run in the very thread
  that is the writer, and come upon a cursor of the sleeping one: it waits for that lock, and the sleeping thread for
  the writer, until it gives up after `timeout` seconds.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from django.db.backends.sqlite3 import base

#: Seconds between two attempts.
_PAUSE = 0.0005


class Cursor(base.SQLiteCursorWrapper):
    """Waits by short pauses outside SQLite, for as long as the connection's patience allows.

    Within a transaction there is nothing to wait for: ours are the writer from their beginning.
    """

    #: Seconds.
    patience = 0.0

    def execute(self, query: str, params: Any = None) -> Any:
        """Execute a statement as soon as there is no other writer.

        Raises:
            sqlite3.OperationalError: There was one for longer than the connection's patience.
        """
        give_up_at = time.monotonic() + self.patience
        while True:
            try:
                return super().execute(query, params)
            except sqlite3.OperationalError as error:
                within = self.connection.in_transaction
                if within or error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
            time.sleep(_PAUSE)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, but for how its statements wait.

    Attributes:
        patience: Seconds that a statement waits for another writer; the option `timeout`.
    """

    patience: float = 0.0

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        """Connect; what is set up at once still waits as SQLite does."""
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        self.patience = conn_params["timeout"]
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def create_cursor(self, name: str | None = None) -> Cursor:
        """Make a cursor that waits."""
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        cursor.patience = self.patience
        return cursor
