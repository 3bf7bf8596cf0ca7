"""A database that is locked or away: a request fails cleanly or succeeds, never half."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection
from django.db import connections as databases
from django.test import Client

from tests.support.scene import LogIn
from vms.domain.power import VmStatus
from vms.engine import sync
from vms.models import Event, Operation, VirtualMachine

pytestmark = pytest.mark.both_databases


class Holder(threading.Thread):
    """Somebody else, in a transaction that has changed the VM and goes on until `let_go` is set."""

    def __init__(self, vm: VirtualMachine) -> None:
        super().__init__()
        self.vm = vm
        self.holds = threading.Event()
        self.let_go = threading.Event()

    def run(self) -> None:
        """Hold the VM."""
        try:
            with sync.locked(self.vm.pk):
                self.holds.set()
                self.let_go.wait(30)
        finally:
            databases.close_all()


@contextmanager
def held(vm: VirtualMachine) -> Iterator[Holder]:
    """Have somebody else hold a VM."""
    holder = Holder(vm)
    holder.start()
    try:
        assert holder.holds.wait(10)
        yield holder
    finally:
        holder.let_go.set()
        holder.join()


@contextmanager
def patience(milliseconds: int) -> Iterator[None]:
    """Let requests wait so long for a lock: SQLite's for the whole database, PostgreSQL's for the VM."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.patience = milliseconds / 1000  # type: ignore[attr-defined]
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [milliseconds])
    yield
    # The next connection has the setting's own.
    connection.close()


@pytest.fixture
def client(transactional_db: None, operator: User, log_in: LogIn) -> Client:
    """An operator's, who gets the portal's error pages as a browser does."""
    client = log_in(operator)
    client.raise_request_exception = False
    return client


@pytest.mark.behaviour(30)
def test_a_request_that_finds_the_database_locked_changes_nothing_and_says_so(
    client: Client, vm: VirtualMachine, woken: list[UUID]
) -> None:
    with patience(100), held(vm):
        answer = client.post("/vms/reboot/", {"vm": vm.pk})
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
        assert "The database does not answer" in answer.content.decode()
    vm.refresh_from_db()
    assert vm.status == VmStatus.UP
    assert not Operation.objects.exists()
    assert not Event.objects.exists()
    assert woken == []

    assert client.post("/vms/reboot/", {"vm": vm.pk}, follow=True).status_code == 200
    assert Operation.objects.get().vm == vm


@pytest.mark.behaviour(30)
def test_a_request_that_finds_the_database_locked_for_a_moment_succeeds(
    client: Client, vm: VirtualMachine, woken: list[UUID]
) -> None:
    with held(vm) as holder:
        soon = threading.Timer(0.3, holder.let_go.set)
        soon.start()
        assert client.post("/vms/reboot/", {"vm": vm.pk}, follow=True).status_code == 200
        soon.join()
    assert woken == [vm.pk]
    assert Operation.objects.get().vm == vm


@pytest.mark.behaviour(30)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("path", ["/", "/operations/", "/events/", "/login/", "/admin/"])
def test_a_page_that_finds_no_database_is_answered_without_one(
    client: Client, vm: VirtualMachine, path: str, error: type[Exception]
) -> None:
    def refuse(*args: Any) -> None:
        raise error("the connection is closed")

    with connection.execute_wrapper(refuse):
        answer = client.get(path)
    assert answer.status_code == 503
    assert "Try again in a moment" in answer.content.decode()


def test_any_other_error_is_no_matter_of_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("vms.queries.vm_board", fail)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "The portal failed" in answer.content.decode()
