"""Guests that do something else than they were told, at the worst moment: what the portal makes of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.engine.harness import Engine
from vms import actions
from vms.domain import observation
from vms.domain.decide import asking, pace
from vms.domain.decide.moves import Call
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, Stage, StepKind
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.engine import advance as engine_advance
from vms.engine import journal
from vms.engine.records import Code
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, Reaction, Temper
from vms.hypervisor.fake.temper import ANSWER_LIMIT
from vms.models import Operation, OperationStep, VirtualMachine

DOWN_OR_AGAIN = [Action.SHUT_DOWN, Action.REBOOT]


def stage(operation: Operation) -> str:
    """Return how far an operation is."""
    operation.refresh_from_db()
    return operation.stage


def armed(engine: Engine, vm: VirtualMachine) -> bool:
    """Say whether a reset by the guest would end its run."""
    run = engine.fake.control.inside(str(vm.uuid))["run"]
    return run is not None and run["on_reboot"] == "destroy"


@pytest.mark.behaviour(5)
@pytest.mark.parametrize("action", DOWN_OR_AGAIN)
def test_an_agent_that_answers_too_late_is_not_waited_for(engine: Engine, action: Action) -> None:
    vm = engine.define(temper=Temper(agent_answers=ANSWER_LIMIT + 60))
    operation = engine.finish(actions.request(engine.admin, vm, action))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert engine.calls(vm)[:2] == ["ask_agent", "press_button"]
    assert engine.runs(vm) is (action is Action.REBOOT)


@pytest.mark.behaviour(5)
@pytest.mark.behaviour(16)
def test_a_guest_that_obeys_an_agent_that_answered_too_late_is_rebooted_once(engine: Engine) -> None:
    """It hears no button, and goes down by what its agent was told; nobody knows that it was told."""
    vm = engine.define(temper=Temper(agent_answers=ANSWER_LIMIT + 2, button=False))
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=30))
    assert operation.succeeded
    assert engine.calls(vm) == ["ask_agent", "press_button", "start"]
    assert engine.fake.control.inside(str(vm.uuid))["runs"] == 2


@pytest.mark.behaviour(6)
@pytest.mark.behaviour(21)
def test_a_guest_without_a_button_that_obeys_its_agent_after_the_end_stays_down(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent_answers=ANSWER_LIMIT + 1, acpi=False))
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.NO_WAY_TO_ASK)
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "it has obeyed")
    engine.drain()
    assert engine.calls(vm) == ["ask_agent"]
    assert engine.codes(vm)[-1] == Code.VM_DOWN


@pytest.mark.behaviour(5)
@pytest.mark.parametrize("action", DOWN_OR_AGAIN)
def test_a_guest_that_loses_three_presses_hears_the_fourth(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    monkeypatch.setattr(asking, "PRESS_AGAIN_EVERY", 1)
    vm = engine.define(temper=Temper(agent=Agent.NONE, lost_presses=3))
    operation = engine.finish(actions.request(engine.admin, vm, action, override=Setting(False, 30)))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert engine.calls(vm)[:4] == ["press_button"] * 4
    assert engine.calls(vm)[4:] == (["start"] if action is Action.REBOOT else [])


@pytest.mark.behaviour(20)
@pytest.mark.parametrize("action", DOWN_OR_AGAIN)
@pytest.mark.parametrize("force", [False, True])
def test_a_guest_that_panics_and_is_preserved_counts_as_paused(engine: Engine, action: Action, force: bool) -> None:
    vm = engine.define(temper=Temper(told_to_halt=Reaction.PANIC), on_crash="preserve")
    operation = engine.finish(actions.request(engine.admin, vm, action, override=Setting(force, 2)))
    if force:
        assert operation.outcome == Outcome.FORCED
        assert engine.status(vm) == (VmStatus.UP if action is Action.REBOOT else VmStatus.DOWN)
        return
    assert operation.outcome == Outcome.GAVE_UP
    assert engine.status(vm) == VmStatus.PAUSED
    assert not armed(engine, vm)
    assert "crashed" in operation.events.latest("id").message
    # Row 20: what is paused can be power cycled.
    assert engine.finish(actions.power_cycle(engine.admin, vm)).outcome == Outcome.FORCED
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(35)
@pytest.mark.parametrize(
    ("on_crash", "failure", "status"),
    [("destroy", Failure.WENT_DOWN_AGAIN, VmStatus.DOWN), ("preserve", Failure.CRASHED, VmStatus.PAUSED)],
)
def test_a_guest_that_panics_as_it_comes_up_has_not_come_back(
    engine: Engine, on_crash: str, failure: Failure, status: VmStatus
) -> None:
    vm = engine.define(temper=OBEDIENT, on_crash=on_crash)
    engine.fake.control.set_temper(str(vm.uuid), Temper(boot=0.5, panics=True))
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, failure)
    assert engine.calls(vm) == ["ask_agent", "start"]
    assert engine.status(vm) == status


@pytest.mark.behaviour(35)
def test_a_guest_that_hangs_as_it_comes_up_counts_as_up_after_a_minute_and_the_proof_says_without_its_agent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observation, "UP_WITHOUT_AGENT_AFTER", timedelta(seconds=2))
    vm = engine.define(temper=OBEDIENT)
    engine.fake.control.set_temper(str(vm.uuid), Temper(hangs=True))
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert operation.proof == Proof.AGENT_LATE
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(20)
@pytest.mark.parametrize("action", [Action.POWER_OFF, Action.POWER_CYCLE])
def test_a_paused_vm_is_powered_off_and_power_cycled_but_not_asked(engine: Engine, action: Action) -> None:
    vm = engine.define(temper=OBEDIENT)
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.list_domains()
    for graceful in DOWN_OR_AGAIN:
        with pytest.raises(actions.Refused):
            actions.request(engine.admin, vm, graceful)
    assert engine.finish(actions.request(engine.admin, vm, action)).outcome == Outcome.FORCED
    assert engine.runs(vm) is (action is Action.POWER_CYCLE)


@pytest.mark.behaviour(21)
def test_a_guest_that_powers_itself_off_after_a_reboot_that_timed_out_stays_down(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.finish(actions.reboot(engine.admin, vm, delay=1))
    engine.fake.control.hand(str(vm.uuid), "guest_halt")
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "it is down")
    engine.list_domains()
    engine.drain()
    assert "start" not in engine.calls(vm)
    assert engine.status(vm) == VmStatus.DOWN


# Workers that are dead for the whole of the delay


class Died(BaseException):
    """The worker was killed."""


def die_before_asking(engine: Engine, operation: Operation) -> None:
    """Work until the request to the guest is written down, and die before it is sent."""

    def die(call: Call, *rest: Any) -> Any:
        if call.kind in (StepKind.ASK_AGENT, StepKind.PRESS_BUTTON):
            raise Died
        return answer_to(call, *rest)

    answer_to = engine_advance._answer_to
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_advance, "_answer_to", die)
        with pytest.raises(Died):
            engine.finish(operation)


@pytest.mark.behaviour(4)
@pytest.mark.behaviour(25)
@pytest.mark.parametrize("temper", [OBEDIENT, ACPI_ONLY])
@pytest.mark.parametrize("force", [False, True])
def test_a_guest_that_was_never_asked_is_asked_although_its_delay_has_passed(
    engine: Engine, temper: Temper, force: bool
) -> None:
    vm = engine.define(temper=temper)
    operation = actions.reboot(engine.admin, vm, force=force, delay=5)
    die_before_asking(engine, operation)
    assert engine.calls(vm) == []
    long_ago = timedelta(seconds=30)
    operation.refresh_from_db()
    assert operation.asked_at is not None
    assert operation.deadline_at is not None
    Operation.objects.filter(pk=operation.pk).update(
        asked_at=operation.asked_at - long_ago, deadline_at=operation.deadline_at - long_ago
    )
    OperationStep.objects.filter(operation=operation, answered_at=None).update(at=operation.asked_at - long_ago)
    engine.finish(operation)
    assert operation.outcome in (Outcome.CLEAN_AGENT, Outcome.CLEAN_ACPI)
    assert "destroy" not in engine.calls(vm)
    assert (operation.deadline_at - operation.asked_at).total_seconds() == 5


# Power off over what another operation has begun


@pytest.mark.behaviour(23)
def test_a_power_off_over_a_reboot_that_had_brought_its_vm_down_says_how_it_went_down(engine: Engine) -> None:
    vm = engine.define(temper=OBEDIENT)
    engine.fake.control.fail(str(vm.uuid), "start", times=1000)
    reboot = actions.reboot(engine.admin, vm)
    engine.run(lambda: stage(reboot) == Stage.STARTING, "it is about to be started")
    power_off = engine.finish(actions.power_off(engine.admin, vm))
    engine.fake.control.fail(str(vm.uuid), "start", times=0)
    assert power_off.outcome == Outcome.CLEAN_AGENT
    reboot.refresh_from_db()
    assert reboot.outcome == Outcome.SUPERSEDED
    engine.drain()
    assert engine.status(vm) == VmStatus.DOWN
    assert not engine.runs(vm)


@pytest.mark.behaviour(23)
@pytest.mark.behaviour(25)
def test_a_call_in_doubt_is_waited_for_also_when_force_now_came_before_the_first_look(engine: Engine) -> None:
    vm = engine.define(temper=OBEDIENT)
    earlier = engine.finish(actions.reboot(engine.admin, vm))
    operation = actions.shut_down(engine.admin, vm, delay=600)
    start = earlier.steps.get(kind="start")
    OperationStep.objects.filter(pk=start.pk).update(answered_at=None, at=operation.created_at)
    actions.force_now(engine.admin, operation)
    row = journal.read(operation.pk)
    assert [step.kind for step in row.journal] == ["force_now"]
    assert journal.settled_at(row, operation.created_at) == operation.created_at + pace.SETTLE
    engine.finish(operation)
    assert operation.outcome == Outcome.FORCED
    called = operation.steps.exclude(kind="force_now").earliest("number")
    assert called.at >= operation.created_at + pace.SETTLE
