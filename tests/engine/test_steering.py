"""Force now, Extend and Cancel on a running operation, at any moment, also the worst."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from tests.engine.harness import Engine
from vms import actions
from vms.domain.decide import Call
from vms.domain.operation import ALLOWANCE, Outcome, StepKind
from vms.domain.power import Action, VmStatus
from vms.engine import journal
from vms.engine.records import Code
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Operation, VirtualMachine


@pytest.fixture
def vm(engine: Engine) -> VirtualMachine:
    return engine.define(temper=STUBBORN)


def asked(engine: Engine, operation: Operation) -> Operation:
    """Work until the guest was asked."""
    engine.run(lambda: "ask_agent" in engine.calls(operation.vm), "the guest was asked")
    engine.drain()
    operation.refresh_from_db()
    return operation


@pytest.mark.behaviour(9)
def test_force_now_ends_the_wait_at_once_and_the_reboot_goes_on(engine: Engine, vm: VirtualMachine) -> None:
    operation = asked(engine, actions.reboot(engine.admin, vm, delay=600))
    began_at = time.monotonic()
    actions.force_now(engine.admin, operation)
    engine.finish(operation)
    assert time.monotonic() - began_at < 10
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["ask_agent", "destroy", "start"]
    assert Code.FORCE_NOW in engine.codes(vm)
    step = operation.steps.get(kind=StepKind.FORCE_NOW)
    assert step.actor_name == "admin"


@pytest.mark.behaviour(9)
def test_force_now_before_the_guest_was_asked_does_not_ask_it(engine: Engine, vm: VirtualMachine) -> None:
    operation = actions.shut_down(engine.admin, vm, delay=600)
    actions.force_now(engine.admin, operation)
    engine.finish(operation)
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy"]


@pytest.mark.behaviour(9)
def test_extend_after_force_now_gives_just_that_time_also_before_the_guest_was_asked(
    engine: Engine, vm: VirtualMachine
) -> None:
    operation = actions.reboot(engine.admin, vm, delay=600)
    actions.force_now(engine.admin, operation)
    actions.extend(engine.admin, operation, 3600)
    with pytest.raises(actions.Refused, match="at most 3600 seconds in all"):
        actions.extend(engine.admin, operation, 10)
    asked(engine, operation)
    assert operation.deadline_at == operation.steps.get(kind=StepKind.FORCE_NOW).at + timedelta(hours=1)
    assert operation.hard_deadline_at - operation.deadline_at >= ALLOWANCE[Action.REBOOT]
    actions.force_now(engine.admin, operation)
    assert engine.finish(operation).outcome == Outcome.FORCED


@pytest.mark.behaviour(9)
def test_extend_gives_the_guest_more_time(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=4))
    operation = asked(engine, actions.reboot(engine.admin, vm, delay=2))
    deadline, hard_deadline = operation.deadline_at, operation.hard_deadline_at
    actions.extend(engine.admin, operation, 60)
    assert deadline is not None
    assert operation.deadline_at is not None
    assert (operation.deadline_at - deadline).total_seconds() == 60
    assert (operation.hard_deadline_at - hard_deadline).total_seconds() == 60
    engine.finish(operation)
    assert operation.succeeded
    assert operation.outcome != Outcome.FORCED
    assert Code.EXTENDED in engine.codes(vm)


@pytest.mark.behaviour(9)
def test_extend_before_the_guest_was_asked_lengthens_its_delay(engine: Engine, vm: VirtualMachine) -> None:
    operation = actions.reboot(engine.admin, vm, delay=1)
    actions.extend(engine.admin, operation, 599)
    asked(engine, operation)
    assert operation.delay == 600
    assert operation.deadline_at is not None
    assert operation.asked_at is not None
    assert (operation.deadline_at - operation.asked_at).total_seconds() == 600
    assert operation.hard_deadline_at > operation.deadline_at


@pytest.mark.behaviour(9)
def test_cancel_leaves_the_vm_up_and_takes_every_intent_back(engine: Engine, vm: VirtualMachine) -> None:
    operation = asked(engine, actions.reboot(engine.admin, vm, force=True, delay=600))
    actions.cancel(engine.admin, operation)
    engine.finish(operation)
    assert operation.outcome == Outcome.CANCELLED
    assert engine.status(vm) == VmStatus.UP
    assert engine.calls(vm) == ["ask_agent"]
    assert engine.fake.control.inside(str(vm.uuid))["run"]["on_reboot"] == "restart"


@pytest.mark.behaviour(9)
def test_cancel_before_the_guest_was_asked_asks_it_nothing(engine: Engine) -> None:
    vm = engine.define(temper=OBEDIENT)
    operation = actions.reboot(engine.admin, vm)
    actions.cancel(engine.admin, operation)
    engine.finish(operation)
    assert operation.outcome == Outcome.CANCELLED
    assert engine.calls(vm) == []
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(9)
@pytest.mark.behaviour(21)
def test_a_guest_that_obeys_after_it_was_cancelled_stays_down_and_an_event_says_so(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=2))
    operation = asked(engine, actions.reboot(engine.admin, vm, delay=600))
    actions.cancel(engine.admin, operation)
    engine.finish(operation)
    assert operation.outcome == Outcome.CANCELLED
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "the guest has obeyed late")
    engine.drain()
    late = vm.events.get(code=Code.OBEYED_LATE)
    assert "stays down" in late.message
    assert "start" not in engine.calls(vm)


@pytest.mark.behaviour(9)
@pytest.mark.parametrize("steer", ["force_now", "extend", "cancel"])
def test_what_no_longer_waits_for_its_guest_cannot_be_steered(engine: Engine, steer: str) -> None:
    vm = engine.define()
    operation = engine.finish(actions.reboot(engine.admin, vm))
    with pytest.raises(actions.Refused, match="no longer waits for its guest"):
        do(engine, steer, operation)


def test_cancelled_twice_is_refused(engine: Engine, vm: VirtualMachine) -> None:
    operation = asked(engine, actions.reboot(engine.admin, vm, delay=600))
    actions.cancel(engine.admin, operation)
    with pytest.raises(actions.Refused):
        actions.cancel(engine.admin, operation)


@pytest.mark.parametrize("action", ["power_off", "power_cycle"])
def test_what_asks_no_guest_cannot_be_steered(engine: Engine, vm: VirtualMachine, action: str) -> None:
    operation = getattr(actions, action)(engine.admin, vm)
    with pytest.raises(actions.Refused):
        actions.cancel(engine.admin, operation)


@pytest.mark.behaviour(9)
@pytest.mark.parametrize("steer", ["extend", "cancel"])
def test_who_comes_just_before_the_power_off_prevents_it(
    engine: Engine, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch, steer: str
) -> None:
    """The engine has decided to power off, which a picture begins; then somebody steers; it must not be carried out."""
    operation = asked(engine, actions.reboot(engine.admin, vm, force=True, delay=1))
    begin_call = journal.begin_call
    steered: list[Call] = []

    def begin_too_late(row: Operation, call: Call, now: Any) -> Any:
        if call.kind is StepKind.SCREENSHOT and not steered:
            steered.append(call)
            do(engine, steer, operation)
        return begin_call(row, call, now)

    monkeypatch.setattr(journal, "begin_call", begin_too_late)
    engine.run(lambda: steered, "the engine has decided to power off")
    engine.drain()
    assert "destroy" not in engine.calls(vm)
    if steer == "cancel":
        assert engine.finish(operation).outcome == Outcome.CANCELLED
        assert engine.status(vm) == VmStatus.UP
    else:
        operation.refresh_from_db()
        assert operation.active
    assert engine.runs(vm)


@pytest.mark.behaviour(9)
def test_who_comes_just_after_the_power_off_has_begun_is_told(engine: Engine, vm: VirtualMachine) -> None:
    operation = asked(engine, actions.reboot(engine.admin, vm, force=True, delay=1))
    refusals: list[Exception] = []
    answer = journal.answer

    def steer_during_the_call(step: Any, **fields: Any) -> None:
        if step.kind == StepKind.DESTROY:
            for steer in ("extend", "cancel", "force_now"):
                with pytest.raises(actions.Refused) as refused:
                    do(engine, steer, operation)
                refusals.append(refused.value)
        answer(step, **fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "answer", steer_during_the_call)
        engine.finish(operation)
    assert len(refusals) == 3
    assert operation.outcome == Outcome.FORCED


def test_steering_goes_on_when_the_engine_wrote_meanwhile(
    engine: Engine, vm: VirtualMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = asked(engine, actions.reboot(engine.admin, vm, delay=600))
    read = journal.read
    reads: list[Operation] = []

    def read_too_early(pk: Any) -> Operation:
        row = read(pk)
        if len(reads) < 2:
            Operation.objects.filter(pk=pk).update(version=row.version + 1)
        reads.append(row)
        return row

    monkeypatch.setattr(journal, "read", read_too_early)
    actions.extend(engine.admin, operation, 10)
    assert len(reads) == 3
    assert operation.steps.filter(kind=StepKind.EXTEND).count() == 1


def do(engine: Engine, steer: str, operation: Operation) -> None:
    """Steer an operation as the admin, by the name of how."""
    if steer == "extend":
        actions.extend(engine.admin, operation, 600)
    else:
        getattr(actions, steer)(engine.admin, operation)
