"""Bulks: at most so many in flight, the rest queue in the order of the list, nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.engine.harness import Engine, at_once
from tests.support.fake import most_at_once
from vms import actions
from vms.actions import asking
from vms.domain.configuration import MIB, Part
from vms.domain.operation import Failure, Outcome, Stage
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.engine import bulk as bulks
from vms.engine import sweep
from vms.engine.advance import advance
from vms.engine.records import Code
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Bulk, BulkRefusal, Event, Operation, PortalDefaults, VirtualMachine

LONG = Setting(delay=600)


def set_cap(cap: int) -> None:
    """Set the portal's cap."""
    PortalDefaults.objects.update_or_create(id=1, defaults={"bulk_in_flight": cap})


def ask(
    engine: Engine, vms: Sequence[VirtualMachine], action: Action = Action.REBOOT, override: Setting | None = None
) -> list[Operation]:
    """Ask for an action on several VMs, and return the operations in their order; all are accepted."""
    asked = actions.request_each(engine.admin, vms, action, override=override)
    assert [answer.vm for answer in asked.answers] == list(vms)
    assert len(asked.accepted) == len(vms)
    return asked.accepted


def stages(operations: Sequence[Operation]) -> list[str]:
    """Return the stages as they are now."""
    found = {operation.pk: operation.stage for operation in Operation.objects.filter(bulk=operations[0].bulk)}
    return [found[operation.pk] for operation in operations]


def halt(engine: Engine, operation: Operation) -> None:
    """Have a guest go down by itself."""
    engine.fake.control.hand(str(operation.vm.uuid), "guest_halt")


@pytest.mark.behaviour(33)
def test_at_most_so_many_are_in_flight_and_the_rest_queue_in_the_order_of_the_list(engine: Engine) -> None:
    set_cap(2)
    vms = engine.define_all([Temper(slow=0.1)] * 7)
    operations = ask(engine, vms)
    assert stages(operations) == ["accepted"] * 2 + ["queued"] * 5
    assert [engine.status(vm) for vm in vms] == [VmStatus.REBOOT_IN_PROGRESS] * 2 + [VmStatus.UP] * 5
    engine.finish_all(operations)
    uuids = [str(vm.uuid) for vm in vms]
    assert most_at_once(engine.fake.control, uuids) == 2
    asked = [entry.uuid for entry in engine.fake.control.log(names=["ask_agent"], call=True)]
    # Two are asked at a time, so neighbours may change places.
    assert sorted(asked) == sorted(uuids)
    assert all(abs(asked.index(uuid) - place) <= 1 for place, uuid in enumerate(uuids))
    for vm, operation in zip(vms, operations, strict=True):
        operation.refresh_from_db()
        assert operation.outcome == Outcome.CLEAN_AGENT
        assert engine.calls(vm) == ["ask_agent", "start"]
        assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(33)
def test_the_next_one_begins_as_soon_as_one_has_ended_without_waiting_for_the_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cap(1)
    operations = ask(engine, engine.define_all([OBEDIENT] * 4))
    monkeypatch.setattr(sweep, "due", list)
    engine.finish_all(operations)
    assert all(operation.outcome == Outcome.CLEAN_AGENT for operation in Operation.objects.all())


@pytest.mark.behaviour(33)
def test_a_single_vm_never_queues(engine: Engine) -> None:
    set_cap(1)
    vms = engine.define_all([STUBBORN] * 3)
    ask(engine, vms[:2])
    asked = actions.request_each(engine.admin, vms[2:], Action.REBOOT)
    assert asked.bulk is None
    assert (asked.accepted[0].stage, asked.accepted[0].bulk_id) == (Stage.ACCEPTED, None)


def test_each_bulk_has_its_own_cap_and_keeps_it(engine: Engine) -> None:
    vms = engine.define_all([STUBBORN] * 6)
    set_cap(1)
    first = ask(engine, vms[:3], override=LONG)
    set_cap(2)
    second = ask(engine, vms[3:], override=LONG)
    assert stages(first) == ["accepted", "queued", "queued"]
    assert stages(second) == ["accepted", "accepted", "queued"]
    engine.drain()
    assert stages(first) == ["waiting", "queued", "queued"]


@pytest.mark.behaviour(33)
def test_the_delay_and_the_deadline_begin_when_it_leaves_the_queue(engine: Engine) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2), override=LONG)
    before = timezone.now() - timedelta(hours=5)
    Operation.objects.filter(pk=second.pk).update(created_at=before, hard_deadline_at=before)
    engine.drain()
    assert stages([first, second]) == ["waiting", "queued"]
    halt(engine, first)
    engine.run(lambda: engine.calls(second.vm) == ["ask_agent"], "the second guest was asked")
    second.refresh_from_db()
    assert second.left_queue_at is not None
    assert second.asked_at is not None
    assert second.deadline_at == second.asked_at + timedelta(seconds=600)
    assert second.hard_deadline_at > second.deadline_at
    assert engine.status(second.vm) == VmStatus.REBOOT_IN_PROGRESS


@pytest.mark.behaviour(22, 33)
def test_a_queued_operation_is_in_the_way_of_others_and_gives_way_to_a_power_off(engine: Engine) -> None:
    set_cap(1)
    first, second, third = ask(engine, engine.define_all([STUBBORN] * 3), override=LONG)
    engine.drain()
    for action in (Action.REBOOT, Action.SHUT_DOWN, Action.SUSPEND):
        with pytest.raises(actions.Refused, match="a reboot asked for by admin is queued for it") as refused:
            actions.request(engine.admin, second.vm, action)
        assert refused.value.operation == second
    power_off = engine.finish(actions.power_off(engine.admin, second.vm))
    second.refresh_from_db()
    assert (second.outcome, second.superseded_by_id) == (Outcome.SUPERSEDED, power_off.pk)
    assert engine.status(second.vm) == VmStatus.DOWN
    assert stages([first, second, third]) == ["waiting", "ended", "queued"]
    halt(engine, first)
    engine.run(lambda: engine.calls(third.vm) == ["ask_agent"], "the third guest was asked")
    assert engine.calls(second.vm) == ["destroy"]


@pytest.mark.behaviour(33)
def test_a_queued_one_is_cancelled_and_nothing_was_asked_of_its_guest(engine: Engine) -> None:
    set_cap(1)
    first, second, third = ask(engine, engine.define_all([STUBBORN] * 3), override=LONG)
    actions.cancel(engine.admin, second)
    assert (second.stage, second.outcome, second.never_began) == (Stage.ENDED, Outcome.CANCELLED, True)
    told = Event.objects.filter(operation=second).latest("id").message
    assert "while it queued. Nothing was asked of the guest." in told
    assert engine.status(second.vm) == VmStatus.UP
    engine.drain()
    assert stages([first, second, third]) == ["waiting", "ended", "queued"]
    halt(engine, first)
    engine.run(lambda: engine.calls(third.vm) == ["ask_agent"], "the third guest was asked")
    assert engine.calls(second.vm) == []
    with pytest.raises(actions.Refused, match="no longer waits"):
        actions.cancel(engine.admin, second)


@pytest.mark.parametrize("action", [Action.RUN, Action.POWER_OFF, Action.SUSPEND])
def test_what_asks_no_guest_can_be_cancelled_while_it_queues(engine: Engine, action: Action) -> None:
    set_cap(1)
    vms = [engine.define(f"vm{number}", running=action is not Action.RUN) for number in range(2)]
    before = [engine.status(vm) for vm in vms]
    operations = ask(engine, vms, action)
    actions.cancel(engine.admin, operations[1])
    engine.finish_all(operations)
    assert engine.calls(vms[1]) == []
    assert engine.status(vms[1]) == before[1]


def test_a_queued_one_can_neither_be_forced_nor_extended(engine: Engine) -> None:
    set_cap(1)
    _, queued = ask(engine, engine.define_all([STUBBORN] * 2))
    for steer in (actions.force_now, partial(actions.extend, seconds=60)):
        with pytest.raises(actions.Refused):
            steer(engine.admin, queued)
    queued.refresh_from_db()
    assert queued.queued


@pytest.mark.behaviour(33)
def test_all_that_queue_are_cancelled_at_once(engine: Engine) -> None:
    set_cap(2)
    operations = ask(engine, engine.define_all([STUBBORN] * 6), override=LONG)
    engine.drain()
    bulk = Bulk.objects.get()
    assert actions.cancel_queued(engine.admin, bulk) == 4
    assert actions.cancel_queued(engine.admin, bulk) == 0
    assert stages(operations) == ["waiting"] * 2 + ["ended"] * 4
    for operation in operations[:2]:
        halt(engine, operation)
    engine.finish_all(operations)
    assert [engine.calls(operation.vm) for operation in operations[2:]] == [[]] * 4


def test_cancelling_and_asking_need_the_permission_of_the_action(engine: Engine, person: Callable[..., User]) -> None:
    set_cap(1)
    vms = engine.define_all([STUBBORN] * 2)
    stranger = person("view_vm", "shut_down_vm")
    with pytest.raises(PermissionDenied):
        actions.request_each(stranger, vms, Action.REBOOT)
    assert not Bulk.objects.exists()
    ask(engine, vms)
    with pytest.raises(PermissionDenied):
        actions.cancel_queued(stranger, Bulk.objects.get())
    assert Operation.objects.queued().count() == 1


@pytest.mark.behaviour(33)
def test_a_vm_that_was_shut_down_by_hand_in_the_queue_is_left_alone_and_the_queue_goes_on(engine: Engine) -> None:
    set_cap(1)
    first, second, third = ask(engine, engine.define_all([STUBBORN] * 3), override=LONG)
    engine.drain()
    engine.fake.control.hand(str(second.vm.uuid), "destroy")
    engine.run(lambda: engine.status(second.vm) == VmStatus.DOWN, "it shows Down though a reboot is queued")
    assert Code.VM_DOWN in engine.codes(second.vm)
    halt(engine, first)
    engine.run(lambda: engine.calls(third.vm) == ["ask_agent"], "the third guest was asked")
    second.refresh_from_db()
    assert (second.outcome, second.failure) == (Outcome.FAILED, Failure.CHANGED_IN_QUEUE)
    assert engine.calls(second.vm) == []
    assert engine.status(second.vm) == VmStatus.DOWN
    assert "came into a status that does not allow it" in Event.objects.filter(operation=second).latest("id").message


def test_what_happened_to_the_vm_unheard_is_seen_before_anything_is_done(engine: Engine) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2), override=LONG)
    engine.drain()
    engine.hears = False
    engine.fake.control.hand(str(second.vm.uuid), "destroy")
    halt(engine, first)
    engine.wake(first.vm_id)
    engine.finish(second)
    assert second.failure == Failure.CHANGED_IN_QUEUE
    assert engine.calls(second.vm) == []


def test_a_vm_that_is_undefined_in_the_queue_fails_with_that_reason(engine: Engine) -> None:
    set_cap(1)
    first, second, third = ask(engine, engine.define_all([STUBBORN] * 3), override=LONG)
    engine.drain()
    engine.undefine(second.vm)
    halt(engine, first)
    engine.run(lambda: engine.calls(third.vm) == ["ask_agent"], "the third guest was asked")
    second.refresh_from_db()
    assert (second.outcome, second.failure) == (Outcome.FAILED, Failure.GONE)
    assert engine.status(second.vm) == VmStatus.GONE


@pytest.mark.behaviour(23, 33)
def test_a_queued_power_cycle_runs_a_vm_again_that_the_overtaken_reboot_left_down(engine: Engine) -> None:
    vms = engine.define_all([STUBBORN] * 2)
    reboots = ask(engine, vms, override=LONG)
    engine.drain()
    set_cap(1)
    cycles = ask(engine, vms, Action.POWER_CYCLE)
    assert stages(reboots) == ["ended"] * 2
    assert [engine.status(vm) for vm in vms] == [VmStatus.REBOOT_IN_PROGRESS, VmStatus.UP]
    halt(engine, reboots[1])
    engine.list_domains()
    assert engine.status(vms[1]) == VmStatus.DOWN
    engine.finish_all(cycles)
    assert [engine.status(vm) for vm in vms] == [VmStatus.UP] * 2
    assert engine.calls(vms[1]) == ["ask_agent", "start"]


def test_an_operation_that_is_overtaken_makes_room_for_the_next(engine: Engine) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2), override=LONG)
    engine.drain()
    actions.power_off(engine.admin, first.vm)
    assert stages([first, second]) == ["ended", "accepted"]
    assert second.vm_id in list(engine.wakes.queue)


@pytest.mark.behaviour(33)
def test_those_that_cannot_are_named_with_the_reason_and_the_rest_go_ahead(engine: Engine) -> None:
    set_cap(1)
    vms = engine.define_all([STUBBORN] * 4)
    engine.fake.control.hand(str(vms[1].uuid), "destroy")
    engine.run(lambda: engine.status(vms[1]) == VmStatus.DOWN, "one is down")
    busy = actions.reboot(engine.admin, vms[2], delay=600)
    asked = actions.request_each(engine.admin, vms, Action.REBOOT, reason=" new kernel ")
    assert [operation.stage for operation in asked.accepted] == [Stage.ACCEPTED, Stage.QUEUED]
    assert [answer.operation is None for answer in asked.answers] == [False, True, True, False]
    bulk = Bulk.objects.get()
    assert (bulk.asked_for, bulk.cap, bulk.reason, bulk.actor) == (4, 1, "new kernel", engine.admin)
    assert {operation.correlation_id for operation in asked.accepted} == {bulk.correlation_id}
    assert [operation.bulk_position for operation in asked.accepted] == [1, 4]
    down, in_the_way = BulkRefusal.objects.all()
    assert (down.vm, down.reason, down.in_the_way) == (vms[1], f"Cannot reboot {vms[1].name} because it is Down.", None)
    assert (in_the_way.vm, in_the_way.in_the_way) == (vms[2], busy)


def test_a_request_that_nothing_came_of_leaves_nothing_behind(engine: Engine) -> None:
    vms = [engine.define(f"vm{number}", running=False) for number in range(2)]
    asked = actions.request_each(engine.admin, vms, Action.REBOOT)
    assert (asked.bulk, asked.accepted) == (None, [])
    assert not Bulk.objects.exists()
    assert not BulkRefusal.objects.exists()


@pytest.mark.behaviour(12, 33)
@pytest.mark.parametrize(("action", "runs"), [(Action.REBOOT, True), (Action.POWER_OFF, False)])
def test_a_guest_that_restarts_in_the_queue_is_started_cold_unless_it_was_to_go_down(
    engine: Engine, action: Action, runs: bool
) -> None:
    set_cap(1)
    first, armed = engine.define("first", STUBBORN), engine.define("armed", STUBBORN)
    VirtualMachine.objects.filter(pk=armed.pk).update(apply_on_guest_reboot=True)
    _, queued = ask(engine, [first, armed], action, LONG if action is Action.REBOOT else None)
    actions.configure(engine.admin, armed, {Part.MEMORY: 256 * MIB})
    advance(armed.pk)
    run = engine.fake.control.inside(str(armed.uuid))["run"]
    assert run["on_reboot"] == "destroy", "it is armed though something queues for it"
    engine.fake.control.hand(str(armed.uuid), "guest_reboot")
    engine.list_domains()
    queued.refresh_from_db()
    assert queued.outcome == (Outcome.SUPERSEDED if runs else "")
    expected = VmStatus.UP if runs else VmStatus.DOWN
    engine.run(lambda: stages([queued]) == ["ended"] and engine.status(armed) == expected, "it is as it was to be")
    assert engine.calls(armed) == (["start"] if runs else [])


# Crashes and races


@pytest.mark.behaviour(25, 33)
def test_a_queue_that_nobody_let_go_on_goes_on_with_the_next_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2), override=LONG)
    engine.drain()
    with monkeypatch.context() as dying:
        dying.setattr(bulks, "fill", lambda bulk_id: None)
        engine.hears = False
        halt(engine, first)
        advance(first.vm_id)
        assert stages([first, second]) == ["ended", "queued"]
    assert engine.wakes.empty()
    sweep.due()
    assert stages([first, second]) == ["ended", "accepted"]
    assert engine.wakes.get_nowait() == second.vm_id


def test_operations_of_a_request_that_died_half_way_are_carried_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cap(1)
    vms = engine.define_all([OBEDIENT] * 4)
    accepted = 0
    real = asking.request

    def die_after_three(*args: object, **kwargs: object) -> Operation:
        nonlocal accepted
        accepted += 1
        if accepted > 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(asking, "request", die_after_three)
    with pytest.raises(KeyboardInterrupt):
        actions.request_each(engine.admin, vms, Action.REBOOT)
    engine.finish_all(Operation.objects.all())
    assert [engine.calls(vm) for vm in vms] == [["ask_agent", "start"]] * 3 + [[]]


@pytest.mark.behaviour(26, 33)
def test_four_that_end_at_the_same_moment_let_exactly_four_begin(engine: Engine) -> None:
    set_cap(4)
    operations = ask(engine, engine.define_all([STUBBORN] * 12), Action.SHUT_DOWN, LONG)
    engine.drain()
    engine.hears = False
    for turn in range(3):
        ending = operations[4 * turn : 4 * turn + 4]
        assert {operation.pk for operation in ending} == set(Operation.objects.in_flight().values_list("pk", flat=True))
        for operation in ending:
            engine.run(lambda vm=operation.vm: engine.calls(vm) == ["ask_agent"], "it was asked")  # type: ignore[misc]
            halt(engine, operation)
        work: list[Callable[[], object]] = [partial(advance, operation.vm_id) for operation in ending]
        results = at_once([*work, *work, bulks.fill_all, bulks.fill_all])
        assert not [result for result in results if isinstance(result, Exception)]
        engine.drain()
        assert stages(ending) == ["ended"] * 4
    assert set(stages(operations)) == {"ended"}


@pytest.mark.behaviour(26, 33)
def test_many_that_let_a_queue_go_on_at_once_begin_no_more_than_there_is_room_for(engine: Engine) -> None:
    set_cap(3)
    operations = ask(engine, engine.define_all([STUBBORN] * 9), override=LONG)
    bulk = Bulk.objects.get()
    Bulk.objects.filter(pk=bulk.pk).update(cap=5)
    results = at_once([partial(bulks.fill, bulk.pk)] * 6)
    assert not [result for result in results if result is not None]
    assert stages(operations) == ["accepted"] * 5 + ["queued"] * 4


@pytest.mark.behaviour(26, 33)
def test_one_that_is_cancelled_while_its_turn_comes_is_cancelled_or_begins_and_the_queue_goes_on(
    engine: Engine,
) -> None:
    set_cap(1)
    operations = ask(engine, engine.define_all([STUBBORN] * 3), Action.SHUT_DOWN, LONG)
    first, second, _ = operations
    engine.drain()
    engine.hears = False
    halt(engine, first)
    ended, cancelled = at_once([partial(advance, first.vm_id), partial(actions.cancel, engine.admin, second)])
    assert (ended, cancelled) == (True, None)
    engine.run(lambda: stages(operations) == ["ended", "ended", "waiting"], "the third one's turn has come")
    second.refresh_from_db()
    assert second.outcome == Outcome.CANCELLED
    assert engine.calls(second.vm) == []


def test_the_database_lets_none_queue_outside_a_bulk_and_none_take_anothers_place(engine: Engine) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2))
    for changes in ({"bulk": None}, {"bulk_position": first.bulk_position}, {"was_queued": False}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Operation.objects.filter(pk=second.pk).update(**changes)


def test_looking_for_queues_that_are_held_up_costs_one_query_however_many_queue(engine: Engine) -> None:
    set_cap(1)
    ask(engine, engine.define_all([STUBBORN] * 3))
    with CaptureQueriesContext(connection) as queries:
        bulks.fill_all()
    assert len(queries) == 1


def test_while_it_queues_a_vm_shows_what_it_does(engine: Engine) -> None:
    set_cap(1)
    first, second = ask(engine, engine.define_all([STUBBORN] * 2), override=LONG)
    engine.drain()
    engine.fake.control.hand(str(second.vm.uuid), "suspend")
    engine.run(lambda: engine.status(second.vm) == VmStatus.PAUSED, "it shows Paused")
    engine.fake.control.hand(str(second.vm.uuid), "resume")
    engine.run(lambda: engine.status(second.vm) == VmStatus.UP, "it shows Up")
    assert engine.status(first.vm) == VmStatus.REBOOT_IN_PROGRESS
