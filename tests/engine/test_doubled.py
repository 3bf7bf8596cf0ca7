"""Two of everything: watchers that list a host at the same moment, and people who steer what a worker has in hand.

Whoever takes several rows takes them in one order, so nobody waits for somebody who waits for him. SQLite has one
writer at a time; these are most of all for PostgreSQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from django.db import connection
from django.db import connections as databases
from django.utils import timezone

from tests.engine.harness import Engine, at_once
from vms import actions
from vms.engine import journal, sync
from vms.engine.records import Code
from vms.hypervisor import connections
from vms.hypervisor.base import HostInfo
from vms.hypervisor.fake import OBEDIENT, STUBBORN
from vms.models import Event, Host, Operation, VirtualMachine

FLEET = 60
ROUNDS = 5


def events(code: Code) -> Counter[str]:
    """Return how often an event was told of each VM."""
    return Counter(Event.objects.filter(code=code).values_list("vm__name", flat=True))


def known_before(engine: Engine) -> None:
    """Have the host listed once, so that what is found from now on is news."""
    engine.list_domains()
    sync.connected(engine.host, connections.get(engine.host.uri).info())
    engine.host.refresh_from_db()


@pytest.mark.behaviour(25)
def test_two_watchers_that_find_the_same_domains_take_each_in_once(engine: Engine) -> None:
    known_before(engine)
    engine.fake.control.define_many(FLEET, "new-", OBEDIENT)
    domains = list(connections.get(engine.host.uri).domains())
    at = timezone.now()
    results = at_once([lambda: sync.listing(engine.host, domains, at)] * 3)
    assert results == [[]] * 3
    assert VirtualMachine.objects.count() == FLEET
    assert set(events(Code.VM_DISCOVERED).values()) == {1}
    assert len(events(Code.VM_DISCOVERED)) == FLEET


@pytest.mark.behaviour(25)
def test_watchers_that_list_in_any_order_and_sweeps_never_wait_in_a_circle(engine: Engine) -> None:
    engine.fake.control.define_many(FLEET, "vm-", OBEDIENT)
    engine.list_domains()
    domains = list(connections.get(engine.host.uri).domains())

    def list_them(*, backwards: bool) -> Callable[[], None]:
        def work() -> None:
            for _ in range(ROUNDS):
                sync.listing(engine.host, reversed(domains) if backwards else domains, timezone.now())

        return work

    def count_them() -> None:
        for _ in range(ROUNDS):
            sync.count_as_up(timezone.now())

    def lose_them() -> None:
        for _ in range(ROUNDS):
            Host.objects.filter(pk=engine.host.pk).update(state=Host.State.CONNECTED)
            sync.unreachable(engine.host, "the connection was lost")

    work = [list_them(backwards=False), list_them(backwards=True), count_them, lose_them]
    assert at_once(work) == [None] * len(work)


def test_a_host_that_is_back_is_told_of_once_however_many_watchers_see_it(engine: Engine) -> None:
    info: HostInfo = connections.get(engine.host.uri).info()
    sync.unreachable(engine.host, "the connection was lost")
    at_once([lambda: sync.connected(engine.host, info)] * 6)
    assert Event.objects.filter(code=Code.HOST_DETECTED).count() == 1


@pytest.mark.behaviour(9)
def test_who_steers_an_operation_whose_vm_is_held_waits_in_no_circle(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, delay=600)
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    row = journal.active(vm)
    assert row is not None
    with ThreadPoolExecutor(1) as steering:
        with sync.locked(vm.pk):
            extended = steering.submit(extend_in_a_thread, engine, operation)
            # PostgreSQL lets the other one through, SQLite has it wait for us; neither may have both of us wait.
            wait([extended], timeout=0.5)
            written = journal.wait(row, timezone.now(), timezone.now())
        assert extended.result(30) is None
    assert operation.steps.filter(kind="extend").count() == 1
    assert written is (connection.vendor == "sqlite"), "who wrote on an old reading is told so"


def extend_in_a_thread(engine: Engine, operation: Operation) -> None:
    """Extend an operation, and close the thread's connection."""
    try:
        actions.extend(engine.admin, operation, 60)
    finally:
        databases.close_all()
