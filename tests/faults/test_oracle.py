"""The oracle is able to find what is wrong: each invariant broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from tests.faults.oracle import Oracle, Violation
from tests.faults.world import World, new_world
from vms.domain.decide import Call, Finish, Move, asking
from vms.domain.observation import Observation
from vms.domain.operation import Operation as DecidedOperation
from vms.domain.operation import Outcome, Stage, StepKind
from vms.domain.policy import Setting
from vms.domain.power import Action
from vms.engine import advance as engine
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Event, Operation, VirtualMachine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> Iterator[World]:
    """A world with nothing in it."""
    with new_world() as world:
        yield world


@pytest.fixture
def vm(world: World) -> UUID:
    """A VM that complies."""
    return world.define_all([OBEDIENT])[0]


def judge(world: World) -> None:
    """Check everything."""
    oracle = Oracle()
    oracle.check(world.host.log())
    for operation in Operation.objects.all():
        oracle.check_deadline(operation, timezone.now() - timedelta(hours=1))
    for machine in VirtualMachine.objects.all():
        oracle.check_rest(machine, world.host.inside(machine.uuid))


def test_nothing_is_wrong_with_what_goes_right(world: World, vm: UUID) -> None:
    world.request(vm, Action.REBOOT)
    world.pass_time(10)
    judge(world)


@pytest.mark.parametrize("call", ["start", "destroy"])
def test_a_call_that_nobody_asked_for(world: World, vm: UUID, call: str) -> None:
    if call == "start":
        world.host.hand(vm, "destroy")
        world.connection.start(str(vm))
    else:
        world.connection.destroy(str(vm), None)
    with pytest.raises(Violation, match="no operation accounts") as found:
        judge(world)
    assert found.value.doubled


def test_a_power_off_without_force(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ladder", lambda *_: Call(StepKind.DESTROY, Stage.DESTROYING))
    (vm,) = world.define_all([STUBBORN])
    world.request(vm, Action.SHUT_DOWN, Setting(force=False, delay=60))
    world.pass_time(10)
    with pytest.raises(Violation, match="without force"):
        judge(world)


def test_a_power_off_before_the_end_of_the_delay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (vm,) = world.define_all([STUBBORN])
    world.request(vm, Action.SHUT_DOWN, Setting(force=True, delay=60))
    world.pass_time(35)
    monkeypatch.setattr(asking, "_ladder", lambda *_: Call(StepKind.DESTROY, Stage.DESTROYING))
    world.pass_time(10)
    with pytest.raises(Violation, match="before the end of the delay"):
        judge(world)


def test_a_vm_that_is_saved_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (vm,) = world.define_all([Temper(save=0)])

    def save_again(op: DecidedOperation, seen: Observation, now: datetime) -> Move:
        if len(op.all(StepKind.SAVE)) == 2:
            return Finish(Outcome.DONE)
        world.host.hand(vm, "start")
        return Call(StepKind.SAVE, Stage.SAVING)

    monkeypatch.setattr(engine, "decide", save_again)
    world.request(vm, Action.SUSPEND)
    world.pass_time(10)
    with pytest.raises(Violation, match="saved the VM twice") as found:
        judge(world)
    assert found.value.doubled


@pytest.mark.parametrize("action", [Action.SHUT_DOWN, Action.REBOOT])
def test_a_success_that_is_not_true(world: World, vm: UUID, monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    monkeypatch.setattr(engine, "decide", lambda *_: Finish(Outcome.OTHER_HAND))
    world.request(vm, action)
    world.pass_time(10)
    with pytest.raises(Violation, match="ended other_hand, but"):
        judge(world)


def test_a_power_off_that_nobody_made(world: World, vm: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "decide", lambda *_: Finish(Outcome.FORCED))
    world.request(vm, Action.POWER_OFF)
    world.host.hand(vm, "destroy")
    world.pass_time(10)
    with pytest.raises(Violation, match="nobody powered the VM off"):
        judge(world)


def test_a_failure_that_nobody_is_told_of(world: World, vm: UUID) -> None:
    world.host.hand(vm, "undefine")
    world.host.hand(vm, "destroy")
    world.request(vm, Action.SHUT_DOWN)
    world.pass_time(10)
    Event.objects.filter(severity=Event.Severity.ERROR).update(severity=Event.Severity.NORMAL)
    with pytest.raises(Violation, match="no event says why"):
        judge(world)


def test_an_operation_that_does_not_end(world: World, vm: UUID) -> None:
    world.request(vm, Action.REBOOT)
    with pytest.raises(Violation, match="still active"):
        judge(world)


def test_an_operation_that_ends_late(world: World, vm: UUID) -> None:
    world.request(vm, Action.REBOOT)
    world.shift(600)
    world.pass_time(10)
    with pytest.raises(Violation, match="too late"):
        judge(world)


def test_a_status_that_stays_behind(world: World, vm: UUID) -> None:
    VirtualMachine.objects.update(status="powering_down")
    with pytest.raises(Violation, match="nothing runs on it"):
        judge(world)


def test_a_status_that_is_not_so(world: World, vm: UUID) -> None:
    VirtualMachine.objects.update(status="down")
    with pytest.raises(Violation, match="is shown down, and is up"):
        judge(world)


def test_an_intent_that_is_left_behind(world: World, vm: UUID) -> None:
    world.connection.prepare(str(vm), "token", end_on_reset=True)
    with pytest.raises(Violation, match="an intent outlived"):
        judge(world)
