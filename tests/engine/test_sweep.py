"""The sweep: what is due is found, once, however many wakes are lost and sweeps run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from kombu.exceptions import OperationalError

from tests.engine.harness import Engine, at_once
from vms import actions, tasks
from vms.domain.operation import Outcome
from vms.engine import advance as engine_advance
from vms.engine import lease, sweep
from vms.hypervisor.fake import STUBBORN, Temper
from vms.models import Host, Operation, VirtualMachine


def waiting(engine: Engine, count: int) -> list[Operation]:
    """Make operations that wait, none of them due."""
    vms = engine.define_all([STUBBORN] * count)
    operations = [actions.reboot(engine.admin, vm, delay=600) for vm in vms]
    later = timezone.now() + timedelta(minutes=5)
    Operation.objects.update(wake_at=later, looked_at=timezone.now())
    heard(engine)
    return operations


def heard(engine: Engine, seconds: float = 60) -> None:
    """Say that somebody hears the host's events for this long; negative: nobody does."""
    Host.objects.filter(pk=engine.host.pk).update(watched_until=timezone.now() + timedelta(seconds=seconds))


def make_due(*operations: Operation) -> None:
    """Make operations due."""
    due = timezone.now() - timedelta(seconds=1)
    Operation.objects.filter(pk__in=[operation.pk for operation in operations]).update(wake_at=due)


def test_what_is_due_is_found_once_and_moved_forward(engine: Engine) -> None:
    first, _, third = waiting(engine, 3)
    make_due(first, third)
    assert sorted(sweep.due()) == sorted([first.vm_id, third.vm_id])
    assert sweep.due() == []
    first.refresh_from_db()
    assert first.wake_at is not None
    assert timedelta(seconds=3) < first.wake_at - timezone.now() <= timedelta(seconds=5.1)


def test_the_more_are_due_at_once_the_longer_none_of_them_is_found_again(engine: Engine) -> None:
    operations = waiting(engine, 40)
    make_due(*operations)
    assert len(sweep.due()) == 40
    operations[0].refresh_from_db()
    assert operations[0].wake_at is not None
    assert timedelta(seconds=6) < operations[0].wake_at - timezone.now() <= timedelta(seconds=7)


@pytest.mark.behaviour(26)
def test_two_sweeps_at_once_do_not_find_the_same(engine: Engine) -> None:
    operations = waiting(engine, 20)
    make_due(*operations)
    found = at_once([sweep.due] * 4)
    everything = [vm_id for each in found for vm_id in each]
    assert sorted(everything) == sorted(operation.vm_id for operation in operations)


def test_an_operation_that_has_ended_is_never_due(engine: Engine) -> None:
    vm = engine.define()
    engine.finish(actions.reboot(engine.admin, vm))
    heard(engine, -60)
    assert sweep.due() == []


@pytest.mark.behaviour(25)
def test_while_nobody_hears_a_host_its_operations_are_looked_at_every_few_seconds(engine: Engine) -> None:
    operation, other = waiting(engine, 2)
    heard(engine, -1)
    assert sweep.due() == []
    three_seconds_ago = timezone.now() - timedelta(seconds=3.1)
    Operation.objects.filter(pk=operation.pk).update(looked_at=three_seconds_ago)
    assert sweep.due() == [operation.vm_id]
    heard(engine)
    Operation.objects.filter(pk=other.pk).update(looked_at=three_seconds_ago)
    assert sweep.due() == []


@pytest.mark.behaviour(25)
def test_a_guest_that_goes_down_while_nobody_hears_it_is_noticed_within_seconds(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=0.5))
    engine.hears = False
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=600), timeout=15)
    assert operation.outcome == Outcome.CLEAN_AGENT
    down = engine.fake.control.log(str(vm.uuid), names=["went_down"])[0].at
    start = engine.fake.control.log(str(vm.uuid), names=["start"], call=True)[0].at
    assert start - down < 5


@pytest.mark.behaviour(26)
def test_every_wake_is_lost_and_the_reboot_ends_all_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = engine.define(temper=Temper(slow=0.5))
    engine.hears = False
    monkeypatch.setattr(tasks, "wake", lambda vm_id, queue="", **_: False)
    assert engine.finish(actions.reboot(engine.admin, vm), timeout=20).outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start"]


def test_a_sweep_does_not_try_a_dead_broker_for_each_of_hundreds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = waiting(engine, 5)
    make_due(*operations)
    attempts = []

    def fail(*args: Any, **kwargs: Any) -> None:
        attempts.append(args)
        raise OperationalError("connection refused")

    monkeypatch.undo()
    monkeypatch.setattr(tasks.advance, "apply_async", fail)
    monkeypatch.setattr(tasks, "wake", _real_wake)
    tasks.sweep()
    assert len(attempts) == 1
    # They all come due again.
    later = timezone.now() + timedelta(seconds=6)
    assert Operation.objects.filter(wake_at__lte=later).count() == 5


_real_wake = tasks.wake


@pytest.mark.behaviour(25)
def test_a_wake_without_a_broker_is_not_overwritten_by_a_worker_that_looked_before_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker looks; the guest goes down; the watcher cannot send its wake; the worker writes when to look next."""
    vm = engine.define(temper=STUBBORN)
    operation = actions.shut_down(engine.admin, vm, delay=600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.drain()
    engine.hears = False
    heard(engine)
    give_back = lease._release

    def give_back_too_late(*args: Any) -> bool:
        monkeypatch.setattr(lease, "_release", give_back)
        engine.fake.control.hand(str(vm.uuid), "guest_halt")
        sweep.wake_soon(vm.pk)
        return give_back(*args)

    monkeypatch.setattr(lease, "_release", give_back_too_late)
    engine_advance.advance(vm.pk)
    operation.refresh_from_db()
    assert operation.outcome == Outcome.CLEAN_AGENT


def test_a_wake_without_a_broker_makes_an_operation_due_at_once(engine: Engine) -> None:
    operation, other = waiting(engine, 2)
    sweep.wake_soon(operation.vm_id)
    assert sweep.due() == [operation.vm_id]
    assert not VirtualMachine.objects.filter(look_again=True).exists()
    assert lease.ask_holder_to_look_again(other.vm_id) is False


def test_the_sweep_costs_as_many_queries_for_300_as_for_3(engine: Engine) -> None:
    operations = waiting(engine, 300)
    counts = []
    for due in (3, 300):
        make_due(*operations[:due])
        with CaptureQueriesContext(connection) as queries:
            assert len(sweep.due()) == due
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 9
