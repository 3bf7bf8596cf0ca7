"""SQLite's transactions wait for each other in short steps, and no longer than they are to."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import OperationalError, connection, transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    """Another process's connection, which is the writer."""
    if connection.vendor != "sqlite":
        pytest.fail("run this ring on SQLite")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_transaction_begins_as_soon_as_the_writer_before_it_is_done(
    other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 50:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", pause)
    with transaction.atomic():
        pass
    assert len(pauses) == 50
    assert max(pauses) <= 0.001, "they do not grow"


def test_it_waits_no_longer_than_the_connection_is_to_and_says_that_the_database_is_locked(
    other: sqlite3.Connection,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 300")
    began = time.monotonic()
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pytest.fail("there is another writer")
    assert 0.3 <= time.monotonic() - began < 5
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == (300,), "what else waits for the database waits as before"
    connection.close()
    other.execute("COMMIT")


def test_what_is_not_a_lock_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nothing to wait for"))
    with transaction.atomic(), pytest.raises(OperationalError, match="within a transaction"):
        connection._start_transaction_under_autocommit()  # type: ignore[attr-defined]
