"""What is kept of an operation: the screen before its power-off, the proof of its return, how long all took, its id."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.utils import timezone
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.engine.harness import Engine
from vms import actions
from vms.domain import observation
from vms.domain.decide import pace
from vms.domain.observation import Proof
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import VmStatus
from vms.engine import screens
from vms.engine.records import Code
from vms.hypervisor import png
from vms.hypervisor.base import HypervisorError
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, FakeHypervisor, Temper
from vms.models import SCREEN_LIMIT, Event, Operation, OperationScreen, VirtualMachine


def kinds(operation: Operation) -> list[str]:
    """Return the kinds of an operation's steps, in order."""
    return [step.kind for step in operation.steps.order_by("number")]


def step(operation: Operation, kind: StepKind) -> Any:
    """Return an operation's only step of a kind."""
    return operation.steps.get(kind=kind)


# The screen before a power-off


@pytest.mark.behaviour(31)
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda admin, vm: actions.reboot(admin, vm, force=True, delay=1), id="at the end of the ladder"),
        pytest.param(actions.power_off, id="power off"),
        pytest.param(actions.power_cycle, id="power cycle"),
    ],
)
def test_the_screen_is_kept_just_before_a_power_off(engine: Engine, ask: Callable[..., Operation]) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(ask(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    screen = operation.screen
    assert png.measure(bytes(screen.png)) == (screen.width, screen.height) == (320, 200)
    assert screen.size == len(screen.png)
    order = kinds(operation)
    assert order[order.index("screenshot") + 1] == "destroy"
    assert screen.taken_at == step(operation, StepKind.SCREENSHOT).at <= step(operation, StepKind.DESTROY).at
    assert step(operation, StepKind.SCREENSHOT).ok


@pytest.mark.behaviour(31)
def test_force_now_keeps_the_screen_too(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.shut_down(engine.admin, vm, delay=3600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    actions.force_now(engine.admin, operation)
    engine.finish(operation)
    assert OperationScreen.objects.filter(operation=operation).exists()


@pytest.mark.behaviour(31)
@pytest.mark.parametrize(("temper", "force"), [(OBEDIENT, True), (STUBBORN, False)])
def test_where_nothing_is_powered_off_no_picture_is_taken(engine: Engine, temper: Temper, force: bool) -> None:
    vm = engine.define(temper=temper)
    operation = engine.finish(actions.shut_down(engine.admin, vm, force=force, delay=1))
    assert "screenshot" not in kinds(operation)
    assert not OperationScreen.objects.exists()
    assert engine.fake.control.counts().get("screenshot", 0) == 0


@pytest.mark.behaviour(31)
def test_a_picture_that_cannot_be_taken_is_noted_and_does_no_harm(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.fake.control.fail(str(vm.uuid), "screenshot", text="internal error: no screens to take a screenshot from")
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert operation.outcome == Outcome.FORCED
    taken = step(operation, StepKind.SCREENSHOT)
    assert not taken.ok
    assert "no screens to take" in taken.detail
    assert engine.calls(vm) == ["destroy"]
    assert not OperationScreen.objects.exists()


@pytest.mark.behaviour(31)
def test_a_picture_that_failed_is_not_named_as_what_an_operation_failed_of(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.fake.control.fail(str(vm.uuid), "screenshot", text="no screen")
    operation = actions.power_off(engine.admin, vm)
    Operation.objects.filter(pk=operation.pk).update(hard_deadline_at=timezone.now() + timedelta(seconds=1))
    engine.fake.control.fail(str(vm.uuid), "destroy", times=100, text="")
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DEADLINE)
    assert operation.failure_detail == ""


@pytest.mark.behaviour(31)
def test_a_host_that_does_not_answer_with_a_picture_holds_the_power_off_up_for_two_seconds(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    engine.fake.control.hold(str(vm.uuid), "screenshot")
    began = time.monotonic()
    operation = engine.finish(actions.power_off(engine.admin, vm))
    assert 2 <= time.monotonic() - began < 5
    assert operation.outcome == Outcome.FORCED
    assert step(operation, StepKind.SCREENSHOT).detail == "the hypervisor did not answer within 2 s"
    assert engine.calls(vm) == ["destroy"]
    engine.fake.control.release(str(vm.uuid), "screenshot")


@pytest.mark.behaviour(31)
@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (b"", "no PNG"),
        (b"<html>no</html>" * 3, "no PNG"),
        (png.SIGNATURE + b"\0\0\0\x0dIHDR", "no PNG"),
        (png.SIGNATURE + b"\0\0\0\x0dIHDR" + b"\0" * 12, "without pixels"),
        (png.write(1, 1, b"123") + b"\0" * SCREEN_LIMIT, "more than the 4194304"),
    ],
)
def test_only_real_pictures_of_a_bounded_size_are_kept(picture: bytes, why: str) -> None:
    with pytest.raises(HypervisorError, match=why):
        screens.checked(picture)


# Proof of return


@pytest.fixture
def short_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr(pace, "RETRY_GAPS", tuple(timedelta(seconds=gap) for gap in (0.1, 0.2)))


@pytest.mark.behaviour(35)
@pytest.mark.parametrize(
    ("temper", "proof"),
    [
        (Temper(agent_late=0.5), Proof.AGENT),
        (ACPI_ONLY, Proof.RUNNING),
        (Temper(agent=Agent.OFF), Proof.AGENT_LATE),
    ],
)
@pytest.mark.parametrize("ask", [actions.reboot, actions.power_cycle])
def test_a_return_is_kept_with_what_shows_it(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[..., Operation],
    temper: Temper,
    proof: Proof,
) -> None:
    monkeypatch.setattr(observation, "UP_WITHOUT_AGENT_AFTER", timedelta(seconds=1))
    vm = engine.define(temper=temper)
    operation = engine.finish(ask(engine.admin, vm))
    assert operation.known_by is proof
    assert operation.returned_at is not None
    assert operation.started_at is not None
    assert operation.started_at <= operation.returned_at <= (operation.ended_at or operation.started_at)
    told = operation.events.latest("id").message
    expected = {
        Proof.AGENT: "Its guest agent is connected",
        Proof.RUNNING: "It runs; no guest agent",
        Proof.AGENT_LATE: "did not connect within 60 s",
    }
    assert expected[proof] in told
    assert "s after its start." in told


@pytest.mark.behaviour(35)
def test_run_and_resume_keep_a_proof_and_what_ends_down_does_not(engine: Engine) -> None:
    vm = engine.define(running=False)
    assert engine.finish(actions.run(engine.admin, vm)).known_by is Proof.AGENT
    engine.fake.control.hand(str(vm.uuid), "suspend")
    engine.run(lambda: engine.status(vm) == VmStatus.PAUSED, "it is paused")
    assert engine.finish(actions.resume(engine.admin, vm)).known_by is Proof.AGENT
    off = engine.finish(actions.power_off(engine.admin, vm))
    assert (off.known_by, off.returned_at) == (None, None)


@pytest.mark.behaviour(35)
def test_a_reboot_that_failed_proves_nothing(engine: Engine, short_gaps: None) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "start", times=100)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert (operation.known_by, operation.returned_at, operation.started_at) == (None, None, None)
    assert operation.went_down_at is not None


# Durations


@pytest.mark.behaviour(31, 35)
def test_how_long_each_part_of_a_reboot_took_is_kept(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=1, agent_late=1))
    engine.run(lambda: engine.status(vm) == VmStatus.UP, "it is up")
    operation = engine.finish(actions.reboot(engine.admin, vm))
    down, away, back = operation.seconds_to_go_down, operation.seconds_down, operation.seconds_to_return
    assert down is not None
    assert away is not None
    assert back is not None
    assert operation.seconds_in_all is not None
    assert 1 <= down < 4
    assert 0 <= away < 3
    assert 0.9 <= back < 4
    assert down + away + back <= operation.seconds_in_all


@pytest.mark.behaviour(31)
def test_how_long_a_shut_down_took_to_go_down_is_kept(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=1))
    operation = engine.finish(actions.shut_down(engine.admin, vm))
    assert operation.seconds_to_go_down is not None
    assert 1 <= operation.seconds_to_go_down < 4
    assert (operation.seconds_down, operation.seconds_to_return) == (None, None)


@pytest.mark.behaviour(1, 35)
def test_when_a_guest_that_was_given_up_on_went_down_is_kept(engine: Engine) -> None:
    vm = engine.define(temper=Temper(slow=3))
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=1))
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "the guest has obeyed late")
    operation.refresh_from_db()
    assert operation.outcome == Outcome.GAVE_UP
    assert operation.seconds_to_go_down is not None
    assert 3 <= operation.seconds_to_go_down < 6


@pytest.mark.behaviour(1)
def test_a_vm_that_somebody_powers_off_after_it_was_given_up_on_has_not_obeyed(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = engine.finish(actions.reboot(engine.admin, vm, delay=1))
    engine.fake.control.hand(str(vm.uuid), "destroy")
    engine.run(lambda: engine.status(vm) == VmStatus.DOWN, "it is down")
    operation.refresh_from_db()
    assert operation.went_down_at is None
    assert Code.OBEYED_LATE not in engine.codes(vm)
    assert engine.codes(vm)[-1] == Code.VM_DOWN


# Events


@pytest.mark.behaviour(32)
def test_a_reboot_tells_in_ovirts_codes_that_its_vm_is_down_and_is_back(engine: Engine) -> None:
    vm = engine.define()
    operation = engine.finish(actions.reboot(engine.admin, vm))
    codes = list(operation.events.order_by("id").values_list("code", flat=True))
    assert codes == [Code.ACCEPTED, Code.COLD_REBOOT_DOWN, Code.VM_REBOOTED]
    assert {event.correlation_id for event in operation.events.all()} == {operation.correlation_id}


@pytest.mark.behaviour(32, 35)
def test_a_restart_inside_the_guest_tells_of_no_vm_that_is_down_and_of_no_start(engine: Engine) -> None:
    vm = engine.define()
    VirtualMachine.objects.filter(pk=vm.pk).update(restart_inside=True)
    vm.refresh_from_db()
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.outcome == Outcome.GUEST_REBOOTED
    codes = list(operation.events.order_by("id").values_list("code", flat=True))
    assert codes == [Code.ACCEPTED, Code.VM_REBOOTED]
    assert operation.known_by is Proof.AGENT
    assert (operation.went_down_at, operation.started_at, operation.seconds_to_return) == (None, None, None)
    assert operation.events.latest("id").message.endswith("Its guest agent is connected.")


@pytest.mark.behaviour(32)
def test_a_reboot_that_fails_after_its_vm_went_down_has_a_code_of_its_own(engine: Engine, short_gaps: None) -> None:
    vm = engine.define()
    engine.fake.control.fail(str(vm.uuid), "start", times=100)
    operation = engine.finish(actions.reboot(engine.admin, vm))
    assert operation.events.latest("id").code == Code.COLD_REBOOT_FAILED


@pytest.mark.behaviour(28, 32)
def test_a_reboot_that_nobody_carried_on_until_its_deadline_says_that_it_left_its_vm_down(engine: Engine) -> None:
    vm = engine.define(temper=STUBBORN)
    operation = actions.reboot(engine.admin, vm)
    engine.run(lambda: "ask_agent" in engine.calls(vm), "the guest was asked")
    engine.fake.control.hand(str(vm.uuid), "destroy")
    Operation.objects.filter(pk=operation.pk).update(hard_deadline_at=timezone.now())
    engine.finish(operation)
    assert (operation.outcome, operation.failure) == (Outcome.FAILED, Failure.DEADLINE)
    assert (operation.brought_down, engine.status(vm)) == (Outcome.OTHER_HAND, VmStatus.DOWN)
    assert operation.went_down_at is not None
    assert list(operation.events.order_by("id").values_list("code", flat=True))[1:] == [
        Code.COLD_REBOOT_DOWN,
        Code.COLD_REBOOT_FAILED,
    ]
    assert "start" not in engine.calls(vm)


@pytest.mark.behaviour(32)
def test_logging_in_and_out_are_events(engine: Engine) -> None:
    client = Client()
    assert authenticate(username="admin", password="x") is not None
    client.login(username="admin", password="x")
    client.logout()
    client.logout()
    told = [(event.code, event.actor, event.message) for event in Event.objects.order_by("id")]
    assert told == [
        (Code.USER_LOGGED_IN, engine.admin, "admin logged in."),
        (Code.USER_LOGGED_OUT, engine.admin, "admin logged out."),
    ]


# The correlation id


@pytest.mark.behaviour(32)
def test_every_log_line_about_an_operation_carries_its_ids(engine: Engine, vm_stubborn: VirtualMachine) -> None:
    with capture_logs(processors=[merge_contextvars]) as lines:
        operation = actions.reboot(engine.admin, vm_stubborn, force=True, delay=1, correlation_id="follow-me")
        engine.finish(operation)
    carried = [line for line in lines if line.get("correlation_id") == "follow-me"]
    assert {line["operation"] for line in carried} == {str(operation.pk)}
    asked = [line["call"] for line in carried if line["event"] == "asking the host"]
    assert [call for call in asked if call != "press_button"] == [
        "prepare", "ask_agent", "screenshot", "destroy", "start",
    ]  # fmt: skip
    assert [line for line in lines if line["event"] == "asking the host" and line not in carried] == []


@pytest.fixture
def vm_stubborn(engine: Engine) -> VirtualMachine:
    """A VM that goes down for nobody."""
    return engine.define(temper=STUBBORN)


# When


@pytest.mark.behaviour(31)
def test_no_success_is_dated_before_it_was_true(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libvirt does while a run is ending: who looks has to wait, and then sees that it has ended."""
    vm = engine.define(temper=STUBBORN)
    operation = actions.shut_down(engine.admin, vm, delay=3600)
    engine.run(lambda: engine.calls(vm) == ["ask_agent"], "the guest was asked")
    observe = FakeHypervisor.observe

    def wait_for_the_end(hypervisor: FakeHypervisor, uuid: str) -> Any:
        engine.fake.control.hand(uuid, "destroy")
        return observe(hypervisor, uuid)

    monkeypatch.setattr(FakeHypervisor, "observe", wait_for_the_end)
    engine.wake(vm.pk)
    engine.finish(operation)
    (ended,) = engine.fake.control.log(names=["went_down"])
    assert operation.outcome == Outcome.OTHER_HAND
    assert operation.ended_at is not None
    assert operation.looked_at is not None
    assert operation.looked_at.timestamp() <= ended.at <= operation.ended_at.timestamp()
