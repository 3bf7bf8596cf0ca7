"""Requests: who may, when it is refused and why, what is written down, and that all of it is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from tests.engine.harness import Engine, at_once
from vms import actions, permissions, tasks
from vms.domain.errors import PolicyError
from vms.domain.operation import Outcome, Stage
from vms.domain.policy import MAX_DELAY, Setting
from vms.domain.power import Action, VmStatus
from vms.engine import journal, outcomes
from vms.engine.records import Code
from vms.hypervisor.fake import STUBBORN, Agent, Temper
from vms.models import Event, Operation, PortalDefaults, VirtualMachine

Person = Callable[..., User]

NEEDS = {
    Action.RUN: "run_vm",
    Action.RUN_ONCE: "run_vm",
    Action.RESUME: "run_vm",
    Action.SHUT_DOWN: "shut_down_vm",
    Action.POWER_OFF: "power_off_vm",
    Action.REBOOT: "reboot_vm",
    Action.POWER_CYCLE: "power_cycle_vm",
    Action.SUSPEND: "suspend_vm",
    Action.REMOVE: "remove_vm",
}
EVERYTHING = ("view_vm", "change_vm", *sorted(set(NEEDS.values())))


def waiting(engine: Engine, vm: VirtualMachine, **override: Any) -> Operation:
    """Begin a reboot of a stubborn guest, and return it when the guest was asked."""
    operation = actions.reboot(engine.admin, vm, **({"delay": 600} | override))
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    operation.refresh_from_db()
    return operation


def starting(engine: Engine, vm: VirtualMachine) -> Operation:
    """Begin a reboot, and return it when it has started the VM and only waits for its agent."""
    operation = actions.reboot(engine.admin, vm)
    engine.run(lambda: engine.status(vm) == VmStatus.POWERING_UP, "it has started the VM")
    operation.refresh_from_db()
    assert operation.stage == Stage.COMING_UP
    return operation


@pytest.mark.parametrize("action", Action)
def test_every_verb_needs_its_own_permission_and_no_other(engine: Engine, person: Person, action: Action) -> None:
    vm = engine.define(running=action not in (Action.RUN, Action.RUN_ONCE, Action.REMOVE))
    others = person(*(name for name in EVERYTHING if name != NEEDS[action]), name="everything else")
    with pytest.raises(PermissionDenied):
        actions.request(others, vm, action)
    with pytest.raises(PermissionDenied):
        actions.request(AnonymousUser(), vm, action)
    engine.drain()
    assert engine.calls(vm) == []
    assert not Operation.objects.exists()

    one = person(NEEDS[action], name="this one")
    if action is Action.RESUME:
        engine.fake.control.hand(str(vm.uuid), "suspend")
        engine.run(lambda: engine.status(vm) == VmStatus.PAUSED, "it is paused")
    assert engine.finish(actions.request(one, vm, action)).actor == one


def test_somebody_who_was_deactivated_may_nothing(engine: Engine, person: Person) -> None:
    vm = engine.define()
    gone = person(*EVERYTHING)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    with pytest.raises(PermissionDenied):
        actions.reboot(User.objects.get(pk=gone.pk), vm)


@pytest.mark.behaviour(20)
@pytest.mark.parametrize(
    ("status", "action"),
    [
        (VmStatus.DOWN, Action.REBOOT),
        (VmStatus.UP, Action.RUN),
        (VmStatus.PAUSED, Action.SHUT_DOWN),
        (VmStatus.SUSPENDED, Action.REBOOT),
        (VmStatus.MIGRATING, Action.POWER_OFF),
        (VmStatus.NOT_RESPONDING, Action.POWER_OFF),
        (VmStatus.GONE, Action.RUN),
    ],
)
def test_what_the_status_does_not_allow_is_refused_in_words(engine: Engine, status: VmStatus, action: Action) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(status=status)
    with pytest.raises(actions.Refused) as refused:
        actions.request(engine.admin, vm, action)
    words = {"reboot": "reboot", "run": "run", "shut_down": "shut down", "power_off": "power off"}[action]
    shown = {VmStatus.NOT_RESPONDING: "Not responding"}.get(status, status.capitalize())
    assert str(refused.value) == f"Cannot {words} web01 because it is {shown}."
    assert refused.value.operation is None
    assert engine.wakes.empty()


@pytest.mark.behaviour(22)
def test_a_second_reboot_is_refused_and_names_the_first(engine: Engine, person: Person) -> None:
    vm = engine.define(temper=STUBBORN)
    first = waiting(engine, vm)
    with pytest.raises(actions.Refused, match="Cannot reboot web01 because it is Rebooting") as refused:
        actions.reboot(person("reboot_vm"), vm)
    assert refused.value.operation == first


@pytest.mark.behaviour(8)
def test_a_second_shut_down_never_becomes_a_power_off(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.shut_down(engine.admin, vm, delay=600)
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    with pytest.raises(actions.Refused) as refused:
        actions.shut_down(engine.admin, vm, force=True)
    assert refused.value.operation == operation
    engine.drain()
    assert engine.calls(vm) == ["ask_agent"]


@pytest.mark.behaviour(6)
def test_a_guest_that_nothing_can_ask_is_refused_at_once_without_force(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent=Agent.NONE, acpi=False))
    with pytest.raises(actions.Refused, match="no guest agent is connected and it has no power button"):
        actions.shut_down(engine.admin, vm, force=False)
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(23)
def test_a_power_off_during_a_reboot_leaves_the_vm_down(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    reboot = waiting(engine, vm)
    power_off = actions.power_off(engine.admin, vm)
    reboot.refresh_from_db()
    assert (reboot.outcome, reboot.superseded_by_id, reboot.wake_at) == (Outcome.SUPERSEDED, power_off.pk, None)
    engine.finish(power_off)
    engine.wake(vm.pk)
    engine.drain()
    assert engine.status(vm) == VmStatus.DOWN
    assert engine.calls(vm) == ["ask_agent", "destroy"]
    assert Code.SUPERSEDED in engine.codes(vm)


def test_a_power_cycle_during_a_shut_down_runs_the_vm_again(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    shut_down = actions.shut_down(engine.admin, vm, delay=600)
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    engine.finish(actions.power_cycle(engine.admin, vm))
    shut_down.refresh_from_db()
    assert shut_down.outcome == Outcome.SUPERSEDED
    assert engine.calls(vm) == ["ask_agent", "destroy", "start"]
    assert engine.status(vm) == VmStatus.UP
    # What the shut-down had armed must not outlive it.
    assert engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "restart"


def test_a_power_off_does_not_supersede_a_power_off(engine: Engine) -> None:
    vm = engine.define()
    first = actions.power_off(engine.admin, vm)
    with pytest.raises(actions.Refused) as refused:
        actions.power_off(engine.admin, vm)
    assert refused.value.operation == first


@pytest.mark.parametrize("action", [Action.SHUT_DOWN, Action.REBOOT, Action.POWER_OFF, Action.POWER_CYCLE])
def test_an_operation_that_only_waits_for_its_vm_to_come_up_gives_way(engine: Engine, action: Action) -> None:
    vm = engine.define(temper=Temper(agent_late=0.2))
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "its agent is connected")
    engine.fake.control.set_temper(str(vm.uuid), Temper(agent_late=600))
    reboot = starting(engine, vm)
    second = actions.request(engine.admin, vm, action)
    reboot.refresh_from_db()
    assert (reboot.outcome, reboot.superseded_by_id) == (Outcome.CLEAN_AGENT, second.pk)
    engine.run(lambda: engine.calls(vm)[2:], "the second one acts")
    assert engine.calls(vm)[2] == ("destroy" if action in (Action.POWER_OFF, Action.POWER_CYCLE) else "press_button")


@pytest.mark.behaviour(24)
def test_the_status_has_moved_when_the_request_returns(engine: Engine) -> None:
    expected = {
        Action.REBOOT: VmStatus.REBOOT_IN_PROGRESS,
        Action.POWER_CYCLE: VmStatus.REBOOT_IN_PROGRESS,
        Action.SHUT_DOWN: VmStatus.POWERING_DOWN,
        Action.POWER_OFF: VmStatus.POWERING_DOWN,
        Action.SUSPEND: VmStatus.SAVING_STATE,
    }
    for action, status in expected.items():
        vm = engine.define(action)
        actions.request(engine.admin, vm, action)
        assert engine.status(vm) == status
    vm = engine.define("run", running=False)
    actions.run(engine.admin, vm)
    assert engine.status(vm) == VmStatus.WAIT_FOR_LAUNCH


@pytest.mark.behaviour(24)
@pytest.mark.behaviour(30)
@pytest.mark.parametrize("failing", ["record_accepted", "record_superseded"])
def test_a_failure_in_the_middle_of_a_request_leaves_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    vm = engine.define(temper=STUBBORN)
    reboot = waiting(engine, vm)
    status, events = engine.status(vm), Event.objects.count()

    def fail(*args: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(outcomes, failing, fail)
    with pytest.raises(OSError, match="the disk is full"):
        actions.power_off(engine.admin, vm)
    reboot.refresh_from_db()
    assert reboot.active
    assert Operation.objects.count() == 1
    assert (engine.status(vm), Event.objects.count()) == (status, events)
    assert engine.wakes.empty()


def test_a_worker_is_woken_only_once_the_request_is_committed(engine: Engine) -> None:
    vm = engine.define()
    with transaction.atomic():
        actions.reboot(engine.admin, vm)
        assert engine.wakes.empty()
    assert engine.wakes.get_nowait() == vm.pk


def test_a_request_in_a_transaction_that_is_rolled_back_never_was(engine: Engine) -> None:
    vm = engine.define()
    with transaction.atomic():
        actions.reboot(engine.admin, vm)
        transaction.set_rollback(True)
    assert engine.wakes.empty()
    assert not Operation.objects.exists()
    assert engine.status(vm) == VmStatus.UP


def test_a_broker_that_is_away_does_not_fail_the_request(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = engine.define()
    monkeypatch.setattr(tasks, "wake", lambda vm_id, *_args, **_: False)
    operation = actions.reboot(engine.admin, vm)
    monkeypatch.setattr(tasks, "wake", engine.wake)
    engine.finish(operation)
    assert operation.outcome == Outcome.CLEAN_AGENT


@pytest.mark.behaviour(22)
def test_of_fifty_requests_at_once_one_is_accepted_and_the_others_point_to_it(engine: Engine) -> None:
    vm = engine.define()
    results = at_once([lambda: actions.reboot(engine.admin, vm)] * 50)
    accepted = [result for result in results if isinstance(result, Operation)]
    refused = [result for result in results if isinstance(result, actions.Refused)]
    assert (len(accepted), len(refused)) == (1, 49), results
    assert {refusal.operation for refusal in refused} == {accepted[0]}
    assert Operation.objects.count() == 1
    engine.finish(accepted[0])
    assert engine.calls(vm) == ["ask_agent", "start"]


@pytest.mark.behaviour(22)
def test_the_database_itself_refuses_a_second_active_operation(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    vm = engine.define()
    first = actions.reboot(engine.admin, vm)
    VirtualMachine.objects.filter(pk=vm.pk).update(status=VmStatus.UP)
    looks = []

    def blind(seen: VirtualMachine) -> Operation | None:
        """Overlook the first one once, as a request does that read before it was written."""
        looks.append(seen)
        return None if len(looks) == 1 else seeing(seen)

    seeing = journal.active
    monkeypatch.setattr(journal, "active", blind)
    with pytest.raises(actions.Refused) as refused:
        actions.reboot(engine.admin, vm)
    assert refused.value.operation == first
    assert Operation.objects.count() == 1


@pytest.mark.behaviour(23)
def test_a_power_off_is_accepted_though_the_engine_wrote_to_the_reboot_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = engine.define(temper=STUBBORN)
    reboot = waiting(engine, vm)
    read = journal.active
    reads: list[Operation | None] = []

    def read_too_early(seen: VirtualMachine) -> Operation | None:
        row = read(seen)
        if not reads:
            Operation.objects.filter(pk=reboot.pk).update(version=reboot.version + 1)
        reads.append(row)
        return row

    monkeypatch.setattr(journal, "active", read_too_early)
    power_off = actions.power_off(engine.admin, vm)
    monkeypatch.undo()
    reboot.refresh_from_db()
    assert reboot.superseded_by_id == power_off.pk
    assert len(reads) == 2


@pytest.mark.behaviour(31)
@pytest.mark.behaviour(32)
def test_what_was_asked_for_is_written_down_with_actor_reason_and_correlation_id(
    engine: Engine, person: Person
) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(force_power_off=True, graceful_delay=90)
    actor = person("reboot_vm", name="ada")
    operation = actions.reboot(actor, vm, delay=30, reason="  kernel update ", correlation_id="abc-123")
    operation.refresh_from_db()
    assert (operation.actor, operation.actor_name, operation.reason) == (actor, "ada", "kernel update")
    assert (operation.requested_force, operation.requested_delay) == (None, 30)
    assert (operation.force, operation.force_origin) == (True, "vm")
    assert (operation.delay, operation.delay_origin) == (30, "request")
    engine.finish(operation)
    events = Event.objects.filter(operation=operation)
    assert {event.correlation_id for event in events} == {"abc-123"}
    assert {event.actor_name for event in events} == {"ada"}
    assert "Reason: kernel update" in events.order_by("id").first().message  # type: ignore[union-attr]


def test_every_request_without_a_correlation_id_gets_one_of_its_own(engine: Engine) -> None:
    first, second = (actions.reboot(engine.admin, engine.define(name)) for name in ("one", "two"))
    assert len(first.correlation_id) == 36
    assert first.correlation_id != second.correlation_id


@pytest.mark.behaviour(34)
@pytest.mark.parametrize("temper", [Temper(), STUBBORN, Temper(agent=Agent.NONE), Temper(acpi=False)])
@pytest.mark.parametrize("action", [Action.REBOOT, Action.SHUT_DOWN, Action.POWER_OFF, Action.POWER_CYCLE])
def test_what_the_preview_shows_is_what_is_stored(engine: Engine, action: Action, temper: Temper) -> None:
    vm = engine.define(temper=temper)
    override = Setting(True, 45) if action in (Action.REBOOT, Action.SHUT_DOWN) else None
    preview = actions.preview(vm, action, override)
    assert preview.refusal is None
    assert preview.plan is not None
    assert not Operation.objects.exists()
    operation = actions.request(engine.admin, vm, action, override=override)
    operation.refresh_from_db()
    stored = preview.plan.as_json()
    assert operation.plan == stored


def test_the_preview_of_what_is_refused_says_what_the_refusal_says(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = waiting(engine, vm)
    vm.refresh_from_db()
    preview = actions.preview(vm, Action.REBOOT)
    with pytest.raises(actions.Refused) as refused:
        actions.reboot(engine.admin, vm)
    assert (preview.refusal, preview.plan, preview.in_the_way) == (str(refused.value), None, operation)


@pytest.mark.behaviour(4)
@pytest.mark.parametrize(
    ("setting", "code"),
    [
        (Setting(None, -1), "range"),
        (Setting(None, MAX_DELAY + 1), "range"),
        (Setting(None, 10**12), "range"),
        (Setting(None, 1.5), "range"),  # type: ignore[arg-type]
        (Setting(None, "abc"), "range"),  # type: ignore[arg-type]
        (Setting(None, 0), "zero_needs_force"),
        (Setting(False, 0), "zero_needs_force"),
    ],
)
def test_a_policy_that_cannot_be_carried_out_is_refused_and_nothing_is_saved(
    engine: Engine, setting: Setting, code: str
) -> None:
    vm = engine.define()
    before = engine.codes(vm)
    with pytest.raises(PolicyError) as refused:
        actions.set_policy(engine.admin, vm, setting)
    assert (refused.value.field, refused.value.code) == ("graceful_delay", code)
    vm.refresh_from_db()
    assert vm.policy_setting == Setting()
    assert engine.codes(vm) == before


@pytest.mark.behaviour(4)
@pytest.mark.parametrize(
    "setting", [Setting(True, 0), Setting(False, MAX_DELAY), Setting(None, 1), Setting(True, None)]
)
def test_a_policy_is_saved_with_an_event_and_used_from_then_on(engine: Engine, setting: Setting) -> None:
    vm = engine.define()
    actions.set_policy(engine.admin, vm, setting)
    vm.refresh_from_db()
    assert vm.policy_setting == setting
    assert engine.codes(vm)[-1] == Code.VM_UPDATED
    events = engine.codes(vm)
    actions.set_policy(engine.admin, vm, setting)
    assert engine.codes(vm) == events, "what did not change is no event"

    operation = actions.reboot(engine.admin, vm)
    assert operation.force is bool(setting.force)
    assert operation.delay == (60 if setting.delay is None else setting.delay)


def test_editing_the_policy_needs_the_permission_to_edit(engine: Engine, person: Person) -> None:
    vm = engine.define()
    operator = person(*(name for name in EVERYTHING if name != "change_vm"))
    with pytest.raises(PermissionDenied):
        actions.set_policy(operator, vm, Setting(True, 5))
    vm.refresh_from_db()
    assert vm.policy_setting == Setting()


@pytest.mark.behaviour(3)
def test_the_portal_default_holds_where_the_vm_has_set_nothing(engine: Engine) -> None:
    PortalDefaults.objects.create(id=1, force=True, graceful_delay=7)
    operation = actions.reboot(engine.admin, engine.define())
    assert (operation.force, operation.force_origin) == (True, "default")
    assert (operation.delay, operation.delay_origin) == (7, "default")


@pytest.mark.behaviour(4)
def test_no_wait_without_force_is_refused_in_a_request(engine: Engine) -> None:
    vm = engine.define()
    actions.set_policy(engine.admin, vm, Setting(True, 0))
    vm.refresh_from_db()
    with pytest.raises(PolicyError):
        actions.reboot(engine.admin, vm, force=False)
    with pytest.raises(PolicyError):
        actions.request(engine.admin, vm, Action.POWER_OFF, override=Setting(True))
    assert not Operation.objects.exists()


def test_forcing_needs_the_permission_of_what_it_amounts_to(engine: Engine, person: Person) -> None:
    vm = engine.define(temper=STUBBORN)
    reboot = waiting(engine, vm)
    with pytest.raises(PermissionDenied):
        actions.force_now(person("reboot_vm", "power_off_vm", name="no power cycle"), reboot)
    assert permissions.may_force(person("power_cycle_vm", name="power cycle"), reboot)
    shut_down = actions.shut_down(engine.admin, engine.define("web02", STUBBORN), delay=600)
    assert permissions.may_force(person("power_off_vm", name="power off"), shut_down)
    assert not permissions.may_force(person("power_cycle_vm", "shut_down_vm", name="not power off"), shut_down)
    engine.drain()
    assert "destroy" not in engine.calls(vm)


def test_extending_and_cancelling_need_the_permission_of_the_action(engine: Engine, person: Person) -> None:
    vm = engine.define(temper=STUBBORN)
    reboot = waiting(engine, vm)
    other = person("shut_down_vm", "power_off_vm", "power_cycle_vm", name="other")
    with pytest.raises(PermissionDenied):
        actions.extend(other, reboot, 10)
    with pytest.raises(PermissionDenied):
        actions.cancel(other, reboot)
    one = person("reboot_vm", name="one")
    actions.extend(one, reboot, 10)
    actions.cancel(one, reboot)
    assert engine.finish(reboot).outcome == Outcome.CANCELLED


@pytest.mark.parametrize("seconds", [0, -5, MAX_DELAY + 1])
def test_a_guest_cannot_be_given_a_senseless_time(engine: Engine, seconds: int) -> None:
    operation = waiting(engine, engine.define(temper=STUBBORN))
    with pytest.raises(actions.Refused):
        actions.extend(engine.admin, operation, seconds)


def test_a_guest_is_given_no_more_than_the_longest_delay_in_all_also_by_two_who_do_not_know_of_each_other(
    engine: Engine,
) -> None:
    operation = waiting(engine, engine.define(temper=STUBBORN), delay=600)
    first, second = (Operation.objects.get(pk=operation.pk) for _ in range(2))
    actions.extend(engine.admin, first, 2000)
    with pytest.raises(actions.Refused, match="at most 3600 seconds in all"):
        actions.extend(engine.admin, second, 2000)
    actions.extend(engine.admin, second, 1000)
    operation.refresh_from_db()
    assert operation.deadline_at is not None
    assert operation.asked_at is not None
    assert (operation.deadline_at - operation.asked_at).total_seconds() == 3600


def test_accepting_takes_a_number_of_queries_that_does_not_grow_with_the_journal(
    engine: Engine, django_assert_max_num_queries: Any
) -> None:
    vm = engine.define(temper=STUBBORN)
    waiting(engine, vm)
    with django_assert_max_num_queries(20, connection=connection):
        actions.power_off(engine.admin, vm)
