"""Bulks: how many may begin, and what is out of date when its turn comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.domain.simulator import accepted, moment, policy_of
from vms.domain.bulk import MAX_IN_FLIGHT, check_in_flight, outdated, room
from vms.domain.decide import Call, Finish, decide
from vms.domain.errors import PolicyError
from vms.domain.observation import DomainState, DownReason, Job, Observation
from vms.domain.operation import Failure, Operation, Outcome, StepKind
from vms.domain.power import Action

NOW = moment(0)
RUNS = Observation(DomainState.RUNNING, agent_channel=True, agent_connected=True)
WITHOUT_AGENT = replace(RUNS, agent_connected=False)
DOWN = Observation(DomainState.DOWN, down_reason=DownReason.DESTROYED)
SUSPENDED = replace(DOWN, down_reason=DownReason.SAVED, managed_save=True)
PAUSED = replace(RUNS, state=DomainState.PAUSED)
SLEEPS = replace(RUNS, state=DomainState.SLEEPING)
MOVES = replace(RUNS, job=Job.MIGRATING)

GO_DOWN = {Action.SHUT_DOWN, Action.POWER_OFF, Action.REBOOT, Action.POWER_CYCLE}
#: What may still begin on a VM that is found like this, or has nothing left to do.
STILL: list[tuple[Observation, set[Action]]] = [
    (RUNS, {*GO_DOWN, Action.SUSPEND, Action.RUN, Action.RESUME}),
    (WITHOUT_AGENT, {*GO_DOWN, Action.SUSPEND, Action.RUN, Action.RESUME}),
    (SLEEPS, {*GO_DOWN, Action.SUSPEND, Action.RUN, Action.RESUME}),
    (DOWN, {Action.RUN, Action.RUN_ONCE, Action.SHUT_DOWN, Action.POWER_OFF, Action.REMOVE}),
    (SUSPENDED, {Action.RUN, Action.RESUME, Action.POWER_OFF, Action.SUSPEND}),
    (PAUSED, {Action.RUN, Action.RESUME, Action.POWER_OFF, Action.POWER_CYCLE}),
    (MOVES, set()),
]


@pytest.mark.behaviour(33)
@pytest.mark.parametrize(("seen", "still"), STILL)
def test_what_has_queued_begins_only_where_it_would_be_accepted_or_has_nothing_left_to_do(
    seen: Observation, still: set[Action]
) -> None:
    assert {action for action in Action if not outdated(action, seen, NOW)} == still


def from_queue(action: Action) -> Operation:
    """Return an operation that has just left the queue."""
    return replace(accepted(action, policy_of(force=True, delay=20)), from_queue=True)


@pytest.mark.behaviour(33)
@pytest.mark.parametrize("action", [Action.REBOOT, Action.POWER_CYCLE])
def test_a_vm_that_was_shut_down_by_hand_in_the_queue_is_not_started_by_its_reboot(action: Action) -> None:
    assert decide(from_queue(action), DOWN, NOW) == Finish(Outcome.FAILED, Failure.CHANGED_IN_QUEUE)
    # The same outside the queue is half of the reboot done.
    assert not isinstance(decide(accepted(action, policy_of(force=True, delay=20)), DOWN, NOW), Finish)


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        (Action.SHUT_DOWN, DOWN),
        (Action.POWER_OFF, DOWN),
        (Action.RUN, RUNS),
        (Action.RESUME, RUNS),
        (Action.SUSPEND, SUSPENDED),
    ],
)
def test_what_somebody_else_has_done_in_the_meantime_is_a_success(action: Action, seen: Observation) -> None:
    assert decide(from_queue(action), seen, NOW) == Finish(Outcome.OTHER_HAND)


@pytest.mark.parametrize("action", sorted(GO_DOWN))
def test_on_a_vm_that_is_as_it_was_it_begins_like_any_other(action: Action) -> None:
    move = decide(from_queue(action), RUNS, NOW)
    assert isinstance(move, Call)
    assert move.kind is StepKind.PREPARE


def test_one_that_was_cancelled_just_after_it_left_the_queue_is_cancelled() -> None:
    cancelled = replace(from_queue(Action.REBOOT), cancel_requested=True)
    assert decide(cancelled, DOWN, NOW) == Finish(Outcome.CANCELLED)


@pytest.mark.parametrize(("cap", "in_flight", "free"), [(1, 0, 1), (1, 1, 0), (5, 2, 3), (5, 9, 0)])
def test_there_is_room_up_to_the_cap(cap: int, in_flight: int, free: int) -> None:
    assert room(cap, in_flight) == free


@pytest.mark.parametrize("value", [0, -1, MAX_IN_FLIGHT + 1, 1.5, "10", True, None])
def test_a_cap_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(PolicyError) as refused:
        check_in_flight(value)
    assert (refused.value.field, refused.value.code) == ("bulk_in_flight", "in_flight_range")


@pytest.mark.parametrize("value", [1, 10, MAX_IN_FLIGHT])
def test_a_cap_within_it_is_taken(value: int) -> None:
    check_in_flight(value)
