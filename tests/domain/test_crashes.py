"""A worker that dies anywhere changes nothing: same end, same effective calls, but for repeated asks.

Every boundary of every story is tried, and every pair of boundaries: before the move is written, after it is written
and before the call is sent, with the call still under way, and with its effect had and its answer lost.
"""

from __future__ import annotations

from itertools import count

import pytest

from tests.domain.scenarios import SCENARIOS, Scenario
from tests.domain.simulator import Boundary, Driver
from tests.domain.toy import Hand
from vms.domain.operation import Failure, Outcome, StepKind
from vms.domain.power import Action

#: Calls that must not happen once more than in a life without a crash.
ONCE = (
    StepKind.DESTROY,
    StepKind.START,
    StepKind.SAVE,
    StepKind.RESUME,
    StepKind.DISCARD_MEMORY,
    StepKind.UNDEFINE,
    StepKind.REMOVE_DISK,
)
STORIES = [pytest.param(story, id=story.name, marks=pytest.mark.behaviour(25, 26, *story.rows)) for story in SCENARIOS]


def end(done: Driver) -> tuple[object, ...]:
    """Return all that must be the same with a crash and without."""
    vm = done.vm
    return (
        done.outcome,
        done.failure,
        done.effective(*ONCE),
        vm.state,
        vm.runs,
        vm.managed_save,
        vm.defined,
        vm.disks,
        vm.armed and done.outcome is not Outcome.FAILED,
    )


def crashed_at(story: Scenario, *dies_at: int, recovery: float = 1) -> Driver | None:
    """Run the story with these crashes; None when its life is too short for the last of them."""
    done = story.driver(dies_at, recovery=recovery).run()
    return done if max(dies_at) < len(done.boundaries) else None


def tell(story: Scenario, done: Driver, *dies_at: int) -> str:
    points = [f"{number} {done.boundaries[number]}" for number in dies_at]
    return f"{story.name}: died at {points}, then {', '.join(done.calls)}"


@pytest.mark.parametrize("recovery", [0.2, 1])
@pytest.mark.parametrize("story", STORIES)
def test_a_worker_that_dies_once_changes_nothing(story: Scenario, recovery: float) -> None:
    expected = end(story.driver().run())
    for number in count():
        done = crashed_at(story, number, recovery=recovery)
        if done is None:
            break
        assert end(done) == expected, tell(story, done, number)
    assert number >= 1, "no boundary was tried"


@pytest.mark.parametrize("story", STORIES)
def test_two_workers_that_die_change_nothing(story: Scenario) -> None:
    expected = end(story.driver().run())
    for first in count():
        if crashed_at(story, first) is None:
            break
        for second in count(first + 1):
            done = crashed_at(story, first, second, recovery=0.5)
            if done is None:
                break
            assert end(done) == expected, tell(story, done, first, second)


@pytest.mark.behaviour(25)
def test_a_start_that_worked_is_not_sent_again_when_its_vm_went_down_before_anybody_looked() -> None:
    """The worker dies in the start call; somebody hears the VM start; its guest halts before the next worker looks."""
    story = Scenario("", Action.REBOOT, "", 0, Outcome.FAILED, hands=((4, Hand.HALT),))

    def died_in_the_start(number: int) -> Driver | None:
        done = crashed_at(story, number, recovery=10)
        assert done is not None, "the start call was not found"
        lost = [step for step in done.op.all(StepKind.START) if step.answered_at is None]
        return done if lost and done.boundaries[number] is Boundary.CARRIED_OUT else None

    done = next(filter(None, map(died_in_the_start, count())))
    assert (done.outcome, done.failure) == (Outcome.FAILED, Failure.WENT_DOWN_AGAIN)
    assert [called.kind for called in done.vm.log if called.kind is StepKind.START] == [StepKind.START]


# A restart inside the guest of which nobody heard, with nobody looking either, leaves no trace at the hypervisor.
@pytest.mark.parametrize("story", [story for story in STORIES if not story.values[0].deaf])  # type: ignore[union-attr]
def test_a_worker_that_is_replaced_late_changes_nothing_but_which_ask_is_named(story: Scenario) -> None:
    """A worker that goes on long after finds several asks due at once; the last of them gets the credit."""
    clean = {Outcome.CLEAN_AGENT, Outcome.CLEAN_ACPI}
    outcome, *expected = end(story.driver().run())
    for number in count():
        done = crashed_at(story, number, recovery=6)
        if done is None:
            break
        was, *rest = end(done)
        assert was == outcome or {was, outcome} == clean, tell(story, done, number)
        assert rest == expected, tell(story, done, number)
