"""History that is old enough goes, what is needed stays, and nobody else deletes an event."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from tests.support.scene import MakeOperation, MakeVm, host, make_operation, make_vm, woken  # noqa: F401  (fixtures)
from vms import actions, tasks
from vms.domain.operation import Outcome
from vms.domain.retention import MAX_DAYS, Keep, check_days
from vms.engine import retention
from vms.engine.records import Code
from vms.models import Event, Mail, Operation, OperationStep, PortalDefaults, VirtualMachine

pytestmark = pytest.mark.django_db(transaction=True)


def ago(days: float) -> datetime:
    """Return the moment so many days ago."""
    return timezone.now() - timedelta(days=days)


@pytest.fixture
def vm(make_vm: MakeVm) -> VirtualMachine:  # noqa: F811
    """A VM."""
    return make_vm()


@pytest.fixture
def ended(make_operation: MakeOperation) -> Any:  # noqa: F811
    """Make an operation that ended so many days ago, with a step and an event."""

    def make(vm: VirtualMachine, days: float, **fields: Any) -> Operation:
        times = {"created_at": ago(days + 0.01), "ended_at": ago(days)}
        operation = make_operation(vm, outcome=Outcome.DONE, **(times | fields))
        OperationStep.objects.create(operation=operation, number=1, kind="start", at=ago(days))
        Event.objects.create(code=61, message="It ended.", vm=vm, operation=operation, at=ago(days))
        return operation

    return make


def keep(events: int = 365, operations: int = 365) -> None:
    """Set how long history is kept."""
    PortalDefaults.objects.update_or_create(id=1, defaults={"keep_events": events, "keep_operations": operations})


def left() -> list[Operation]:
    """Return the operations that are left."""
    return list(Operation.objects.order_by("created_at"))


def test_what_is_older_than_a_year_goes_with_its_steps_and_one_event_says_so(vm: VirtualMachine, ended: Any) -> None:
    old, young = ended(vm, 366), ended(vm, 364)
    removed = retention.clean_up()
    assert (removed.operations, removed.events, removed.all_of_it) == (1, 1, True)
    assert left() == [young]
    assert not OperationStep.objects.filter(operation_id=old.pk).exists()
    told = Event.objects.get(code=Code.CLEANED_UP)
    assert told.message == (
        "Old history was cleared away: 1 operations (kept for 365 days) and 1 events (kept for 365 days)."
    )
    retention.clean_up()
    assert Event.objects.filter(code=Code.CLEANED_UP).count() == 1, "nothing to do is nothing to tell"


def test_each_kind_is_kept_as_long_as_is_set_for_it(vm: VirtualMachine, ended: Any) -> None:
    operations = [ended(vm, days) for days in (40, 20, 5, 1)]
    keep(events=10, operations=30)
    retention.clean_up()
    assert left() == operations[1:]
    assert Event.objects.exclude(code=Code.CLEANED_UP).count() == 2
    keep(events=30, operations=10)
    Event.objects.create(code=61, message="It ended.", vm=vm, operation=operations[1], at=ago(20))
    retention.clean_up()
    assert left() == operations[2:]
    event = Event.objects.get(message="It ended.", at__lt=ago(15))
    assert event.operation_id is None, "an event outlives its operation"
    assert event.vm == vm


def test_0_days_are_for_ever(vm: VirtualMachine, ended: Any) -> None:
    keep(0, 0)
    ended(vm, 10_000)
    ended(vm, 9_000)
    removed = retention.clean_up()
    assert removed.history == 0
    assert not retention.overdue()


def test_the_newest_operation_of_each_vm_stays_and_so_does_one_that_runs(
    make_vm: MakeVm,  # noqa: F811
    make_operation: MakeOperation,  # noqa: F811
    ended: Any,
) -> None:
    first, second = make_vm("web01"), make_vm("web02")
    ended(first, 500)
    newest = ended(first, 400)
    ended(second, 450)
    running = make_operation(second, created_at=ago(400))
    retention.clean_up()
    assert left() == [running, newest] or left() == [newest, running]


def test_an_operation_that_somebody_is_yet_to_be_mailed_about_stays(vm: VirtualMachine, ended: Any) -> None:
    user = User.objects.create_user("ada")
    old = ended(vm, 400)
    ended(vm, 1)
    mail = Mail.objects.create(user=user, operation=old)
    retention.clean_up()
    assert old in left()
    Mail.objects.filter(pk=mail.pk).update(state=Mail.State.SENT)
    retention.clean_up()
    assert old not in left()
    assert not Mail.objects.exists()


def test_a_vm_that_was_taken_off_the_list_goes_when_its_history_is_gone(vm: VirtualMachine, ended: Any) -> None:
    ended(vm, 400)
    VirtualMachine.objects.filter(pk=vm.pk).update(removed_at=ago(399), status="gone")
    Event.objects.create(code=61, message="later", vm=vm, at=ago(100))
    retention.clean_up()
    assert not Operation.objects.exists()
    assert VirtualMachine.objects.exists(), "an event still names it"
    keep(events=50)
    retention.clean_up()
    assert not VirtualMachine.objects.exists()


def test_much_is_done_in_small_transactions_and_others_write_meanwhile(
    vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Event.objects.bulk_create(Event(code=61, message="old", vm=vm, at=ago(400)) for _ in range(1000))
    waits: list[float] = []
    stop = threading.Event()

    def write() -> None:
        try:
            while not stop.is_set():
                began = timezone.now()
                with transaction.atomic():
                    VirtualMachine.objects.filter(pk=vm.pk).update(memory=1)
                waits.append((timezone.now() - began).total_seconds())
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        removed = retention.clean_up()
    finally:
        stop.set()
        writer.join()
    assert removed.events == 1000
    assert len(waits) >= 5, "others are let in between two portions"


def test_it_stops_in_time_and_the_next_one_goes_on(vm: VirtualMachine) -> None:
    Event.objects.bulk_create(Event(code=61, message="old", vm=vm, at=ago(400)) for _ in range(450))
    removed = retention.clean_up(timedelta(0))
    assert not removed.all_of_it
    assert 0 < removed.events < 450
    assert retention.clean_up().events == 450 - removed.events


def test_the_nightly_task_has_another_one_go_on(vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    Event.objects.bulk_create(Event(code=61, message="old", vm=vm, at=ago(400)) for _ in range(450))
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(tasks, "CLEAN_UP_FOR", timedelta(0))
    monkeypatch.setattr(tasks.clean_up, "apply_async", lambda **options: sent.append(options))
    tasks.clean_up()
    assert sent == [{"queue": "chores"}]


@pytest.mark.parametrize(("days", "cleans"), [(365.5, False), (367, True)])
def test_a_missed_night_is_made_up_for(vm: VirtualMachine, days: float, cleans: bool) -> None:
    Event.objects.create(code=61, message="old", vm=vm, at=ago(days))
    tasks.clean_up(catch_up=True)
    assert Event.objects.filter(message="old").exists() is not cleans
    tasks.clean_up()
    assert not Event.objects.filter(message="old").exists()


def test_the_command_says_what_it_did(vm: VirtualMachine, ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ended(vm, 400)
    ended(vm, 1)
    call_command("clean_up")
    assert "Removed 1 operations and 1 events." in capsys.readouterr().out


def test_nobody_else_deletes_an_event(vm: VirtualMachine) -> None:
    event = Event.objects.create(code=61, message="It happened.", vm=vm)
    for attempt in (event.delete, Event.objects.all().delete, Event.objects.filter(pk=event.pk).delete):
        with pytest.raises(TypeError, match="history"):
            attempt()
    assert Event.objects.exists()


@pytest.mark.parametrize("days", [-1, MAX_DAYS + 1, True, 1.5, "7"])
def test_only_days_are_days(days: object, admin_user: User) -> None:
    with pytest.raises(ValueError, match="not a number of days"):
        check_days(days)
    with pytest.raises(ValueError, match="not a number of days"):
        actions.set_retention(admin_user, Keep(events=days, operations=1))  # type: ignore[arg-type]
