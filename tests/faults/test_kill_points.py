"""Every process killed just before and just after every lasting change there is, for every action on every temper.

`tests/engine/test_kill_points.py` does the same to real processes with SIGKILL, for a sample.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from tests.faults.dying import Boundary, Death, die
from tests.faults.oracle import Oracle
from tests.faults.world import World, new_world
from vms.domain.operation import Outcome
from vms.domain.policy import Setting
from vms.domain.power import GRACEFUL_ACTIONS, Action
from vms.hypervisor.base import DomainNotFound
from vms.hypervisor.fake import ACPI_ONLY, OBEDIENT, STUBBORN, Agent, Reaction, Temper
from vms.hypervisor.fake.calls import CALLS
from vms.models import Operation

pytestmark = [pytest.mark.faults, pytest.mark.behaviour(25, 26), pytest.mark.django_db(transaction=True)]

TEMPERS = {
    "obedient": OBEDIENT,
    "acpi only": ACPI_ONLY,
    "refusing": Temper(agent=Agent.REFUSES),
    "restarting": Temper(told_to_halt=Reaction.REBOOT),
    "saved slowly": Temper(save=4.0),
    "slow": Temper(slow=4.0),
    "stubborn": STUBBORN,
    "deaf": Temper(agent=Agent.NONE, acpi=False),
}
#: Guests on which force makes a difference, to what is done or to when.
FORCED = ("slow", "stubborn", "deaf")
#: Guests that can be asked; the deaf one is refused unless it may be powered off.
ASKED = ("obedient", "acpi only", "refusing", "restarting", "slow", "stubborn")
#: What makes a VM so that an action is allowed on it.
BEFORE: dict[Action, str] = {
    Action.RUN: "destroy",
    Action.RUN_ONCE: "destroy",
    Action.RESUME: "managedsave",
    Action.REMOVE: "destroy",
}
DELAY = 8


@dataclass(frozen=True)
class Case:
    """One action on one guest."""

    action: Action
    temper: str
    force: bool | None = None

    def __str__(self) -> str:
        force = {True: ", force", False: ", give up", None: ""}[self.force]
        return f"{self.action}, {self.temper}{force}"


CASES = [
    *(Case(Action.REBOOT, temper, force=False) for temper in ASKED),
    *(Case(Action.REBOOT, temper, force=True) for temper in FORCED),
    # A shut-down is a reboot's first half, with an end of its own.
    *(Case(Action.SHUT_DOWN, temper, force=force) for temper, force in (("obedient", False), ("stubborn", True))),
    *(Case(action, "obedient") for action in Action if action not in GRACEFUL_ACTIONS),
    Case(Action.SUSPEND, "saved slowly"),
]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Say nothing: thousands of operations are carried out here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def die_in_call(world: World, boundary: Boundary) -> None:
    """Die with a call on its way, which the host carries out after that."""
    if boundary.what in CALLS and not boundary.done:
        world.host.carry_out_late(2.0)
    raise Death(str(boundary))


class Story:
    """One operation from the request to its end, in a world of its own.

    Attributes:
        outcome: How it ended; None when the request was not accepted.
        end: All else that must be the same, whoever died.
        spared: Nobody died: there are not so many points to die at.
    """

    def __init__(self, case: Case, kind: str = "nobody", number: int = 0, *, in_call: bool = False) -> None:
        with new_world() as world:
            oracle = Oracle()
            (vm,) = world.define_all([TEMPERS[case.temper]])
            if case.action in BEFORE:
                world.host.hand(vm, BEFORE[case.action])
            world.pass_time(6)
            world.processes.doom(kind, number, partial(die_in_call, world) if in_call else die)
            world.request(vm, case.action, Setting(case.force, DELAY) if case.force is not None else None)
            until = timezone.now() + timedelta(minutes=5)
            while Operation.objects.active().exists():
                assert timezone.now() < until, "it does not end"
                world.pass_time(2)
                oracle.check(world.host.log(oracle.last_line))
            world.pass_time(8)
            oracle.check(world.host.log(oracle.last_line))
            self.spared = world.processes.spared
            operation = Operation.objects.first()
            self.outcome = Outcome(operation.outcome) if operation is not None else None
            calls = [line.name for line in world.host.log() if line.call and line.effect and line.name in _WEIGHTY]
            self.end = (operation.failure if operation is not None else None, calls, _run(world, vm))


def _run(world: World, vm: UUID) -> Any:
    """Return what of a VM's run must be the same in the end; None where it is down, "gone" where it was removed."""
    try:
        run = world.host.inside(vm)["run"]
    except DomainNotFound:
        return "gone"
    return run and (run["state"], run["on_reboot"], run["number"])


_WEIGHTY = ("start", "destroy", "save", "resume", "discard_memory", "undefine")
_CLEAN = {Outcome.CLEAN_AGENT, Outcome.CLEAN_ACPI}


def same(one: Outcome | None, other: Outcome | None) -> bool:
    """Say whether two operations ended alike: of two asks that a guest may have heard, either may be named."""
    return one == other or {one, other} == _CLEAN


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whoever_dies_wherever_the_operation_ends_as_if_nothing_had_happened(case: Case) -> None:
    expected = Story(case)
    untouched = Story(case, "web", 1)
    assert untouched.outcome is None
    points = 0
    for kind in ("web", "worker", "watcher", "beat"):
        for number in count(1):
            story = Story(case, kind, number)
            if story.spared:
                break
            points += 1
            told = f"{case}: {kind} died at point {number}"
            if story.outcome is None and kind == "web":
                assert story.end == untouched.end, told
            else:
                assert same(story.outcome, expected.outcome), told
                assert story.end == expected.end, told
    # The least, before and after each: the request, its wake, a lease, a call, its answer, the end, the lease's return,
    # and the call itself.
    assert points >= 16, "the points are not all found"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_call_whose_worker_died_while_it_was_under_way_is_not_made_twice(case: Case) -> None:
    expected = Story(case)
    for number in count(1):
        story = Story(case, "worker", number, in_call=True)
        if story.spared:
            break
        told = f"{case}: died at point {number}, with the call under way"
        assert same(story.outcome, expected.outcome), told
        assert story.end == expected.end, told
