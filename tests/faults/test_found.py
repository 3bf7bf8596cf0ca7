"""What the state machine has found, told as stories: each one went wrong once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.faults.dying import die
from tests.faults.world import World, new_world
from vms.domain.operation import Failure, Outcome
from vms.domain.policy import Setting
from vms.domain.power import Action, VmStatus
from vms.hypervisor.fake import OBEDIENT, STUBBORN, Temper
from vms.models import Operation, VirtualMachine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world() -> Iterator[World]:
    """An empty world."""
    with new_world() as world:
        yield world


def define(world: World, temper: Temper) -> UUID:
    """Define a VM."""
    return world.define_all([temper])[0]


def run_of(world: World, vm: UUID) -> dict[str, Any]:
    """Return what is so of a VM's run."""
    run: dict[str, Any] = world.host.inside(vm)["run"]
    return run


@pytest.mark.behaviour(17, 25)
@pytest.mark.parametrize("late", [0.5, 4.5])
def test_a_mark_that_comes_late_does_not_arm_the_next_run(world: World, late: float) -> None:
    """A guest that restarted itself later would have ended its run by it."""
    vm = define(world, OBEDIENT)
    world.host.calls_late.append(late)
    world.request(vm, Action.REBOOT)
    world.pass_time(30)
    assert Operation.objects.get().outcome == Outcome.CLEAN_AGENT
    assert run_of(world, vm)["number"] == 2
    assert run_of(world, vm)["on_reboot"] == "restart"


@pytest.mark.behaviour(17, 25)
def test_a_mark_that_comes_after_it_was_taken_back_is_taken_back_again(world: World) -> None:
    """Its operation had been overtaken by one that failed sooner than the mark came."""
    vm = define(world, STUBBORN)
    world.host.calls_late.append(4.5)
    world.request(vm, Action.REBOOT, Setting(force=True, delay=60))
    world.pass_time(0.1)
    world.request(vm, Action.POWER_CYCLE)
    world.host.hand(vm, "undefine")
    world.pass_time(1)
    operation = Operation.objects.get(action=Action.POWER_CYCLE)
    assert operation.failure == Failure.GONE
    assert run_of(world, vm)["on_reboot"] == "restart"
    world.pass_time(10)
    world.kill_watcher()
    world.pass_time(5)
    assert "prepare" in [line.name for line in world.host.log() if line.at > operation.created_at.timestamp() + 2]
    assert run_of(world, vm)["on_reboot"] == "restart"
    asked = len(world.host.log())
    world.kill_watcher()
    world.pass_time(5)
    assert len(world.host.log()) == asked, "it is told once more, and no more"


@pytest.mark.behaviour(1, 29)
@pytest.mark.parametrize("comes_back_after", [1, 400])
def test_a_host_that_was_away_at_the_end_is_told_later_that_nothing_is_wanted_any_more(
    world: World, comes_back_after: float
) -> None:
    vm = define(world, STUBBORN)
    world.request(vm, Action.REBOOT, Setting(force=False, delay=5))
    world.pass_time(2)
    assert run_of(world, vm)["on_reboot"] == "destroy"
    world.lose_host()
    world.pass_time(300)
    operation = Operation.objects.get()
    assert operation.failure == Failure.HOST_UNREACHABLE
    world.shift(comes_back_after)

    world.host.away = False
    world.pass_time(5)
    assert run_of(world, vm)["on_reboot"] == "restart"
    taken_back = operation.steps.last()
    assert taken_back is not None
    assert (taken_back.kind, taken_back.ok) == ("relent", True)
    asked = len(world.host.log())
    world.kill_watcher()
    world.pass_time(5)
    assert len(world.host.log()) == asked, "it is told once"


@pytest.mark.behaviour(25, 28)
def test_a_lease_that_nobody_holds_any_more_hides_nothing_that_is_heard_of_the_vm(world: World) -> None:
    """A worker died with an operation at its end but its lease not given back, and the broker lost its task."""
    vm = define(world, OBEDIENT)
    world.request(vm, Action.REBOOT)
    world.processes.doom("worker", 1000, die)
    found = world.look_at(vm)
    last = max(number for number, boundary in enumerate(found, 1) if boundary.what == "commit" and not boundary.done)
    world.pass_time(5)

    world.request(vm, Action.REBOOT)
    world.look_at(vm, interruptions={last: die}, known_dead=False)
    world.lose_broker()
    assert not Operation.objects.active().exists()
    assert VirtualMachine.objects.get().lease_owner
    world.pass_time(61)

    world.host.hand(vm, "guest_halt")
    world.pass_time(1)
    assert VirtualMachine.objects.get().status == VmStatus.DOWN
