"""SQLite's statements wait for each other in short steps, and no longer than they are to."""

from __future__ import annotations

import gc
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, transaction
from django.db import connections as databases

from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_transaction() -> None:
    """Change nothing in a transaction."""
    with transaction.atomic():
        in_one_statement()


def in_one_statement() -> None:
    """Change nothing without a transaction: also who changes nothing has to become the writer."""
    assert not Group.objects.filter(name="of nobody").update(name="a")


either = pytest.mark.parametrize("change", [in_a_transaction, in_one_statement])


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    """Another process's connection, which is the writer."""
    if connection.vendor != "sqlite":
        pytest.fail("run this ring on SQLite")
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


@either
def test_a_change_is_made_as_soon_as_the_writer_before_it_is_done(
    other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 50:
            other.execute("COMMIT")

    monkeypatch.setattr(time, "sleep", pause)
    change()
    assert len(pauses) == 50
    assert max(pauses) <= 0.001, "they do not grow"


@either
def test_it_waits_no_longer_than_the_connection_is_to_and_says_that_the_database_is_locked(
    other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]
) -> None:
    connection.ensure_connection()
    assert connection.patience == connection.settings_dict["OPTIONS"]["timeout"]  # type: ignore[attr-defined]
    monkeypatch.setattr(connection, "patience", 0.3)
    began = time.monotonic()
    with pytest.raises(OperationalError, match="locked"):
        change()
    assert 0.3 <= time.monotonic() - began < 5


def test_what_is_not_a_lock_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nothing to wait for"))
    with transaction.atomic(), pytest.raises(OperationalError, match="within a transaction"):
        connection._start_transaction_under_autocommit()  # type: ignore[attr-defined]


def _function(thread: threading.Thread) -> str:
    """Name the function that a thread is in."""
    return sys._current_frames()[thread.ident or 0].f_code.co_name


def test_a_writer_that_clears_away_what_a_waiting_thread_left_does_not_wait_for_it() -> None:
    waits = threading.Event()

    def leave_a_cursor_and_wait() -> None:
        try:
            left = connection.cursor()
            # Not read to its end: clearing it away needs the lock of its connection.
            left.execute("SELECT 1 UNION SELECT 2")
            cycle = [left]
            cycle.append(cycle)  # type: ignore[arg-type]
            del left, cycle
            waits.set()
            in_one_statement()
        finally:
            databases.close_all()

    thread = threading.Thread(target=leave_a_cursor_and_wait)
    gc.collect()
    gc.disable()
    try:
        with transaction.atomic():
            thread.start()
            assert waits.wait(10)
            wait_until(lambda: _function(thread) == "execute", "it waits for the writer", 10)
            began = time.monotonic()
            gc.collect()
            took = time.monotonic() - began
    finally:
        gc.enable()
        thread.join(30)
    assert took < 5
