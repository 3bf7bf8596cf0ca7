"""Every action from the request to the outcome: failures, absent hosts, other hands. Tempers: `test_tempers`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from tests.engine.harness import Engine
from vms import actions
from vms.domain import operation as operations
from vms.domain.decide import asking, pace, suspending
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action, VmStatus
from vms.engine import journal, sync
from vms.engine.records import Code
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, Temper
from vms.hypervisor.fake.control import Hand
from vms.models import Operation, OperationStep, VirtualMachine


@pytest.mark.behaviour(5)
def test_an_obedient_guest_is_asked_by_its_agent_and_started_again(engine: Engine) -> None:
    vm = engine.define(temper=OBEDIENT)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start"]
    vm.refresh_from_db()
    assert vm.status == VmStatus.UP


@pytest.mark.behaviour(5)
def test_a_guest_without_an_agent_hears_the_power_button_at_once(engine: Engine) -> None:
    vm = engine.define(temper=ACPI_ONLY)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=3600))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert engine.calls(vm) == ["press_button", "start"]


@pytest.mark.behaviour(1)
def test_a_stubborn_guest_is_given_up_on_and_nothing_is_left_behind(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=2))
    assert operation.outcome == Outcome.GAVE_UP
    vm.refresh_from_db()
    assert vm.status == VmStatus.UP
    assert engine.calls(vm) == ["ask_agent", "press_button"]
    assert Code.COLD_REBOOT_GAVE_UP in engine.codes(vm)
    assert not a_reset_would_end_the_run(engine, vm.uuid)


@pytest.mark.behaviour(2)
def test_a_stubborn_guest_is_powered_off_at_the_end_of_the_delay_and_runs_again(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=2))
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["ask_agent", "press_button", "destroy", "start"]
    destroyed = next(step for step in operation.steps.all() if step.kind == "destroy")
    assert operation.asked_at is not None
    assert 2 <= (destroyed.at - operation.asked_at).total_seconds() < 3


@pytest.mark.behaviour(1)
def test_a_guest_that_goes_down_after_it_was_given_up_on_stays_down_and_is_told_of(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=3))
    engine.finish(actions.reboot(engine.admin, vm, delay=1))

    def down() -> bool:
        vm.refresh_from_db()
        return vm.status == VmStatus.DOWN

    engine.run(down, "the guest has obeyed late")
    late = vm.events.get(code=Code.OBEYED_LATE)
    assert "2 s after" in late.message
    assert "A graceful delay of 4 s would have been enough" in late.message
    assert "start" not in engine.calls(vm)


def a_reset_would_end_the_run(engine: Engine, uuid: object) -> bool:
    """Say whether a reset by the guest would still end its run."""
    driver = engine.fake.connect()
    try:
        return driver.observe(str(uuid)).seen.reset_ends_run
    finally:
        driver.close()


@pytest.mark.behaviour(5)
def test_an_agent_that_connects_during_the_wait_is_asked(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent_late=60, button=False))
    operation = actions.shut_down(engine.admin, vm, delay=20)
    engine.run(lambda: "press_button" in engine.calls(vm), "the button was pressed")
    engine.fake.control.hand(str(vm.uuid), "agent_connect")
    engine.finish(operation, timeout=5)
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["press_button", "ask_agent"]


@pytest.mark.behaviour(5)
def test_the_button_is_pressed_again_for_a_guest_that_lost_the_first_press(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PRESS_AGAIN_EVERY", 1)
    vm = engine.define(temper=Temper(agent=Agent.NONE, boot=1.5))
    operation = engine.finish(actions.shut_down(engine.admin, vm, delay=20))
    assert operation.outcome == Outcome.CLEAN_ACPI
    assert 2 <= len(engine.calls(vm)) <= 4
    assert set(engine.calls(vm)) == {"press_button"}


@pytest.mark.behaviour(6)
def test_a_guest_that_nothing_can_ask_is_powered_off_at_once_with_force(engine: Engine) -> None:
    vm = engine.define(temper=Temper(agent=Agent.NONE, acpi=False))
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=3600), timeout=5)
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy", "start"]


@pytest.mark.behaviour(6)
def test_a_guest_that_can_no_longer_be_asked_ends_the_operation_with_an_error(engine: Engine) -> None:
    vm = engine.define(temper=Temper(acpi=False))
    operation = actions.shut_down(engine.admin, vm, force=False, delay=3600)
    engine.fake.control.hand(str(vm.uuid), "agent_disconnect")
    engine.finish(operation, timeout=5)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.NO_WAY_TO_ASK)
    assert engine.calls(vm) == []
    assert engine.codes(vm)[-1] == Code.VM_SHUTDOWN_FAILED
    assert not a_reset_would_end_the_run(engine, vm.uuid)


@pytest.mark.behaviour(4)
def test_no_delay_and_force_means_powered_off_without_asking(engine: Engine) -> None:
    vm = engine.define()
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=0))
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy", "start"]


def test_power_off_ends_an_obedient_guest_without_asking(engine: Engine) -> None:
    vm = engine.define()
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy"]
    assert engine.status(vm) == VmStatus.DOWN
    assert engine.codes(vm)[-2:] == [Code.ACCEPTED, Code.VM_POWERED_OFF]


@pytest.mark.behaviour(7)
def test_power_cycle_skips_every_graceful_step_and_runs_again(engine: Engine) -> None:
    vm = engine.define()
    operation = engine.finish(actions.power_cycle(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    assert engine.calls(vm) == ["destroy", "start"]
    assert engine.status(vm) == VmStatus.UP
    assert engine.codes(vm)[-2:] == [Code.ACCEPTED, Code.VM_RESET]


@pytest.mark.behaviour(20)
def test_a_paused_vm_can_be_power_cycled(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.run(lambda: engine.status(vm) == VmStatus.PAUSED, "it shows that it is paused")
    engine.finish(actions.power_cycle(engine.admin, vm))
    assert engine.calls(vm) == ["destroy", "start"]
    assert engine.status(vm) == VmStatus.UP


def test_run_starts_a_vm_that_is_down(engine: Engine) -> None:
    vm = engine.define(running=False)
    operation = engine.finish(actions.run(engine.admin, vm))
    assert operation.outcome == Outcome.DONE
    assert engine.calls(vm) == ["start"]
    assert engine.status(vm) == VmStatus.UP
    assert engine.codes(vm) == [Code.VM_STARTED_BY_USER, Code.VM_RUN_ON_HOST]


def test_suspend_saves_the_memory_and_run_brings_it_back(engine: Engine) -> None:
    vm = engine.define(temper=Temper(save=0.3))
    suspended = actions.suspend(engine.admin, vm)
    assert engine.status(vm) == VmStatus.SAVING_STATE
    engine.finish(suspended)
    assert suspended.outcome == Outcome.DONE
    assert engine.status(vm) == VmStatus.SUSPENDED

    restored = actions.run(engine.admin, vm)
    assert engine.status(vm) == VmStatus.RESTORING_STATE
    engine.finish(restored)
    assert restored.outcome == Outcome.DONE
    assert engine.calls(vm) == ["save", "start"]
    assert engine.status(vm) == VmStatus.UP
    assert engine.fake.control.log(str(vm.uuid), names=["came_up"])[-1].detail == "restored"


@pytest.mark.behaviour(18)
def test_a_vm_that_somebody_restored_before_anybody_looked_is_not_saved_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspending, "SHOWS_WITHIN", timedelta(seconds=1))
    monkeypatch.setattr(pace, "SETTLE", timedelta())
    vm = engine.define(temper=Temper(save=0))
    with after_the_answer_to(engine, StepKind.SAVE, "start"):
        operation = engine.finish(actions.suspend(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.NOT_SAVED)
    assert engine.calls(vm) == ["save"]
    assert engine.status(vm) == VmStatus.UP


@contextmanager
def after_the_answer_to(engine: Engine, kind: StepKind, hand: Hand) -> Iterator[None]:
    """Let somebody else do something just after the answer to a call was written down, before the VM is looked at."""
    write = journal.answer

    def answer(step: OperationStep, **fields: Any) -> None:
        write(step, **fields)
        if step.kind == kind:
            engine.fake.control.hand(str(step.operation.vm.uuid), hand)

    with mock.patch.object(journal, "answer", answer):
        yield


@pytest.mark.behaviour(18)
def test_a_vm_that_somebody_paused_again_stays_paused(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.run(lambda: engine.status(vm) == VmStatus.PAUSED, "it shows that it is paused")
    with after_the_answer_to(engine, StepKind.RESUME, "suspend"):
        operation = engine.finish(actions.resume(engine.admin, vm))
    assert (operation.outcome, operation.known_by) == (Outcome.DONE, Proof.PAUSED)
    assert engine.calls(vm) == ["resume"]
    assert engine.status(vm) == VmStatus.PAUSED


@pytest.mark.parametrize("verb", [actions.run, actions.resume])
def test_run_and_resume_let_a_paused_vm_run_on(engine: Engine, verb: Callable[..., Operation]) -> None:
    vm = engine.define()
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.run(lambda: engine.status(vm) == VmStatus.PAUSED, "it shows that it is paused")
    operation = engine.finish(verb(engine.admin, vm))
    assert operation.outcome == Outcome.DONE
    assert engine.calls(vm) == ["resume"]
    assert engine.status(vm) == VmStatus.UP


def test_powering_off_a_suspended_vm_discards_its_memory(engine: Engine) -> None:
    vm = engine.define()
    engine.finish(actions.suspend(engine.admin, vm))
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert operation.succeeded
    assert engine.calls(vm) == ["save", "discard_memory"]
    assert engine.status(vm) == VmStatus.DOWN
    assert not engine.fake.control.inside(str(vm.uuid))["managed_save"]


@pytest.fixture
def short_gaps(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    """Shorten the gaps between attempts, in the same proportion."""
    gaps = tuple(gap / 10 for gap in pace.RETRY_GAPS)
    monkeypatch.setattr(pace, "RETRY_GAPS", gaps)
    return tuple(gap.total_seconds() for gap in gaps)


@pytest.mark.behaviour(27)
def test_a_failing_start_is_retried_with_growing_gaps_and_then_told_of_once(
    engine: Engine, short_gaps: tuple[float, ...]
) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "start", times=100, text="internal error: no such disk")
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.START_FAILED)

    attempts = [entry.at for entry in engine.fake.control.log(str(vm.uuid), names=["start"], call=True)]
    assert len(attempts) == len(short_gaps) + 1
    for earlier, later, gap in zip(attempts, attempts[1:], short_gaps, strict=False):
        assert later - earlier >= gap
    assert engine.status(vm) == VmStatus.DOWN
    failed = vm.events.get(code=Code.COLD_REBOOT_FAILED)
    assert failed.severity == "error"
    assert "internal error: no such disk" in failed.message


@pytest.mark.behaviour(27)
@pytest.mark.usefixtures("short_gaps")
def test_a_start_that_fails_twice_and_then_works_is_a_success(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "start", times=2)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start", "start", "start"]
    assert engine.calls(vm, effect=True) == ["ask_agent", "start"]
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.usefixtures("short_gaps")
def test_a_power_off_that_the_host_keeps_failing_ends_with_an_error_and_the_vm_up(engine: Engine) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "destroy", times=100, text="device or resource busy")
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DESTROY_FAILED)
    assert engine.status(vm) == VmStatus.UP
    assert "device or resource busy" in vm.events.get(code=Code.VM_POWER_DOWN_FAILED).message


@pytest.mark.usefixtures("short_gaps")
def test_a_forced_reboot_that_cannot_power_off_takes_every_intent_back(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.fake.control.fail(str(vm.uuid), "destroy", times=100)
    operation = engine.finish(actions.reboot(engine.admin, vm, force=True, delay=1))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DESTROY_FAILED)
    assert engine.status(vm) == VmStatus.UP
    assert not a_reset_would_end_the_run(engine, vm.uuid)


@pytest.mark.behaviour(29)
def test_a_reboot_waits_for_a_host_that_is_away_and_goes_on_when_it_is_back(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=0.5))
    operation = actions.reboot(engine.admin, vm, delay=20)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.fake.control.refuse_connections()
    engine.fake.control.wait_log(str(vm.uuid), "went_down")
    engine.run(lambda: looked_in_vain(operation), "the host was looked for in vain")
    engine.fake.control.refuse_connections(False)
    engine.finish(operation)
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.calls(vm) == ["ask_agent", "start"]


@pytest.mark.behaviour(29)
def test_a_host_that_stays_away_ends_the_operation_at_its_deadline(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(operations.ALLOWANCE, Action.REBOOT, timedelta(seconds=1))
    monkeypatch.setattr(pace, "LOOK_AGAIN", timedelta(seconds=0.2))
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    engine.fake.control.refuse_connections()
    sync.unreachable(engine.host, "it is away")
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.HOST_UNREACHABLE)
    assert engine.status(vm) == VmStatus.NOT_RESPONDING
    assert engine.codes(vm)[-1] == Code.VM_REBOOT_FAILED
    assert "destroy" not in engine.calls(vm)


@pytest.mark.behaviour(28)
def test_a_domain_that_cannot_be_looked_at_does_not_outlive_its_deadline(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(operations.ALLOWANCE, Action.POWER_OFF, timedelta(seconds=1))
    monkeypatch.setattr(pace, "LOOK_AGAIN", timedelta(seconds=0.2))
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "observe", times=1000, text="internal error: cannot read the domain")
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DEADLINE)
    assert "cannot read the domain" in operation.failure_detail


@pytest.mark.behaviour(19)
def test_a_vm_that_is_undefined_during_the_wait_ends_the_operation_and_is_gone(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, delay=3600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.undefine(vm)
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.GONE)
    assert engine.status(vm) == VmStatus.GONE
    assert engine.codes(vm)[-2:] == [Code.VM_GONE, Code.VM_REBOOT_FAILED]


@pytest.mark.behaviour(18)
@pytest.mark.parametrize("verb", ["destroy", "shutdown"])
def test_a_reboot_goes_on_when_another_hand_brings_the_vm_down(engine: Engine, verb: Hand) -> None:
    vm = engine.define(temper=Temper(agent=Agent.IGNORES))
    operation = actions.reboot(engine.admin, vm, delay=3600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.fake.control.hand(str(vm.uuid), verb)
    engine.finish(operation)
    assert operation.succeeded
    assert engine.calls(vm) == ["ask_agent", "start"]
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(18)
def test_a_run_that_another_hand_started_during_the_wait_is_never_powered_off(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.hears = False
    restart_by_hand(engine, vm)
    engine.finish(operation)
    assert operation.outcome == Outcome.OTHER_HAND
    assert engine.calls(vm) == ["ask_agent"]
    assert engine.fake.control.inside(str(vm.uuid))["runs"] == 2
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(18)
def test_a_run_that_another_hand_started_while_the_power_off_was_on_its_way_is_not_touched(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, force=True, delay=1)
    uuid = str(vm.uuid)
    engine.fake.control.hold(uuid, "destroy")

    def restart_while_held() -> None:
        engine.fake.control.wait_held(uuid, "destroy")
        restart_by_hand(engine, vm)
        engine.fake.control.release(uuid, "destroy")

    helper = threading.Thread(target=restart_while_held)
    helper.start()
    engine.finish(operation)
    helper.join()
    assert operation.outcome == Outcome.OTHER_HAND
    assert engine.calls(vm, effect=True) == []
    assert engine.fake.control.inside(uuid)["runs"] == 2


@pytest.mark.behaviour(18)
def test_a_start_by_another_hand_just_before_ours_is_success(engine: Engine) -> None:
    vm = engine.define()
    uuid = str(vm.uuid)
    operation = actions.reboot(engine.admin, vm)
    engine.fake.control.hold(uuid, "start")

    def start_while_held() -> None:
        engine.fake.control.wait_held(uuid, "start")
        engine.fake.control.hand(uuid, "start")
        engine.fake.control.release(uuid, "start")

    helper = threading.Thread(target=start_while_held)
    helper.start()
    engine.finish(operation)
    helper.join()
    assert operation.succeeded
    assert engine.fake.control.inside(uuid)["runs"] == 2
    assert engine.status(vm) == VmStatus.UP


@pytest.mark.behaviour(18)
def test_a_vm_that_another_hand_suspended_during_a_reboot_is_not_started_with_its_old_memory(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm, delay=3600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.fake.control.hand(str(vm.uuid), "managedsave")
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.SAVED_ELSEWHERE)
    assert "start" not in engine.calls(vm)
    assert engine.status(vm) == VmStatus.SUSPENDED


@pytest.mark.behaviour(1)
def test_a_vm_that_another_hand_paused_during_the_wait_is_given_up_on_and_shows_it(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=1))
    operation = actions.reboot(engine.admin, vm, delay=2)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.finish(operation)
    assert operation.outcome == Outcome.GAVE_UP
    assert engine.status(vm) == VmStatus.PAUSED


@pytest.mark.behaviour(23)
@pytest.mark.behaviour(21)
def test_a_shut_down_after_a_reboot_that_gave_up_leaves_the_vm_down(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.finish(actions.reboot(engine.admin, vm, delay=1))
    engine.fake.control.set_temper(str(vm.uuid), OBEDIENT)
    operation = engine.finish(actions.shut_down(engine.admin, vm))
    assert operation.outcome == Outcome.CLEAN_AGENT
    assert engine.status(vm) == VmStatus.DOWN
    engine.drain()
    assert "start" not in engine.calls(vm)


@pytest.mark.behaviour(26)
def test_wakes_after_the_end_do_nothing(engine: Engine) -> None:
    vm = engine.define()
    engine.finish(actions.reboot(engine.admin, vm))
    before = engine.calls(vm)
    for _ in range(5):
        engine.wake(vm.pk)
    engine.drain()
    assert engine.calls(vm) == before


def restart_by_hand(engine: Engine, vm: VirtualMachine) -> None:
    """Power a VM off and start it again, as with virsh."""
    engine.fake.control.hand(str(vm.uuid), "destroy")
    engine.fake.control.hand(str(vm.uuid), "start")


def looked_in_vain(operation: Operation) -> bool:
    """Say whether the engine has looked, and will look again soon."""
    operation.refresh_from_db()
    soon = timezone.now() + timedelta(seconds=3)
    return operation.looked_at is not None and operation.wake_at is not None and operation.wake_at < soon
