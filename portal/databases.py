"""How the portal connects to its database, beyond what the environment says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SQLITE = "django.db.backends.sqlite3"


def connection_settings(database: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of Django's DATABASES.

    Args:
        database: What `portal.env` read; options for PostgreSQL that it names hold.
    """
    return {**database, **(_sqlite() if database["ENGINE"] == _SQLITE else _postgresql(database.get("OPTIONS", {})))}


def _sqlite() -> dict[str, Any]:
    return {
        # Django's own, but for how its statements wait for each other.
        "ENGINE": "portal.sqlite",
        "OPTIONS": {
            # Seconds a writer waits for another.
            "timeout": 20,
            # A deferred transaction that turns into a writer fails at once with "database is locked", whatever the
            # timeout.
            "transaction_mode": "IMMEDIATE",
            # FULL: a power action that was accepted is on the disk, even if the machine loses power in the next moment.
            # NORMAL would save a quarter of a millisecond per commit on an SSD.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
        # Kept open: the last one to close a database writes its log back, and every task would be the last one.
        "CONN_MAX_AGE": None,
    }


def _postgresql(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        # Kept open: a new connection costs more than most of our queries. Checked, so that a restart of PostgreSQL is
        # noticed at the start of a request instead of in its middle.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            # Milliseconds. As long as a writer waits on SQLite; and a transaction whose process hangs is ended by the
            # server.
            "options": "-c lock_timeout=20000 -c idle_in_transaction_session_timeout=30000",
            **options,
        },
    }
