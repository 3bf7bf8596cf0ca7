"""The table of allowed actions, held against the one of the behaviour specification, written out here once more."""

from __future__ import annotations

import itertools

import pytest

from tests.domain.simulator import moment
from vms.domain.observation import (
    UP_WITHOUT_AGENT_AFTER,
    DomainState,
    Job,
    Observation,
    is_up,
    status_at_rest,
    status_while,
)
from vms.domain.operation import ACTIVE_STAGES, Stage, in_flight
from vms.domain.power import TABLE, Action, InFlight, Refusal, Verdict, VmStatus, resolve

# Y allowed · - not · 1 only when nothing else is in flight · 2 supersedes the running operation
# 3 an operation that has started its VM and only waits for it to come up gives way
# Resume is not a column there: it is what the notes "(resume)" and "(restore)" under run say.
SPECIFICATION = """
| status             | run | run_once | shut_down | power_off | reboot | power_cycle | suspend | resume | remove |
| down               | Y   | Y        | -         | -         | -      | -           | -       | -      | Y      |
| wait_for_launch    | -   | -        | Y1        | Y         | -      | -           | -       | -      | -      |
| powering_up        | -   | -        | Y3        | Y3        | Y3     | Y3          | -       | -      | -      |
| up                 | -   | -        | Y         | Y         | Y      | Y           | Y       | -      | -      |
| reboot_in_progress | -   | -        | -         | Y2        | -      | Y2          | -       | -      | -      |
| powering_down      | -   | -        | -         | Y2        | -      | Y2          | -       | -      | -      |
| paused             | Y   | -        | -         | Y         | -      | Y           | -       | Y      | -      |
| suspended          | Y   | -        | -         | Y         | -      | -           | -       | Y      | -      |
| migrating          | -   | -        | -         | -         | -      | -           | -       | -      | -      |
| not_responding     | -   | -        | -         | -         | -      | -           | -       | -      | -      |
| unknown            | -   | -        | -         | -         | -      | -           | -       | -      | -      |
| saving_state       | -   | -        | -         | Y2        | -      | -           | -       | -      | -      |
| restoring_state    | -   | -        | -         | Y2        | -      | -           | -       | -      | -      |
| image_locked       | -   | -        | -         | -         | -      | -           | -       | -      | -      |
| gone               | -   | -        | -         | -         | -      | -           | -       | -      | Y      |
"""
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in SPECIFICATION.strip().splitlines()]
CELLS = {
    (VmStatus(row[0]), Action(column)): cell
    for row in ROWS[1:]
    for column, cell in zip(ROWS[0][1:], row[1:], strict=True)
}
IN_FLIGHT = [InFlight(action, waits) for action in Action for waits in (False, True)]
#: Power off and power cycle end what runs, wherever they are allowed.
SUPERSEDING = {Action.POWER_OFF, Action.POWER_CYCLE}


def expected(cell: str, action: Action, other: InFlight | None) -> Verdict:
    if cell == "-":
        return Verdict(Refusal.STATUS)
    if other is None:
        return Verdict()
    if action in SUPERSEDING and other.action is not action:
        return Verdict(ends=True)
    gives_way = other.only_waits_for_up and (cell == "Y3" or action in SUPERSEDING)
    return Verdict(ends=True) if gives_way else Verdict(Refusal.IN_FLIGHT)


def test_the_specification_speaks_of_every_status_and_every_action() -> None:
    assert set(CELLS) == set(itertools.product(VmStatus, Action))
    assert {status: set(row) for status, row in TABLE.items()} == {status: set(Action) for status in VmStatus}


@pytest.mark.parametrize(("status", "action"), CELLS, ids=str)
def test_an_idle_vm_allows_what_the_table_says(status: VmStatus, action: Action) -> None:
    assert resolve(action, status, None) == expected(CELLS[status, action], action, None)


@pytest.mark.parametrize(("status", "action"), CELLS, ids=str)
def test_a_vm_with_an_operation_in_flight_allows_what_the_footnotes_say(status: VmStatus, action: Action) -> None:
    for other in IN_FLIGHT:
        assert resolve(action, status, other) == expected(CELLS[status, action], action, other), other


def test_a_protected_vm_is_not_removed_but_one_that_is_gone_is_taken_off_the_list() -> None:
    assert resolve(Action.REMOVE, VmStatus.DOWN, None, protected=True) == Verdict(Refusal.PROTECTED)
    assert resolve(Action.REMOVE, VmStatus.UP, None, protected=True) == Verdict(Refusal.STATUS)
    assert resolve(Action.REMOVE, VmStatus.GONE, None, protected=True).allowed
    assert resolve(Action.RUN, VmStatus.DOWN, None, protected=True).allowed


def test_a_vm_that_is_being_launched_is_shut_down_only_when_nothing_is_in_flight() -> None:
    assert resolve(Action.SHUT_DOWN, VmStatus.WAIT_FOR_LAUNCH, None).allowed
    verdict = resolve(Action.SHUT_DOWN, VmStatus.WAIT_FOR_LAUNCH, InFlight(Action.RUN, only_waits_for_up=True))
    assert verdict.refusal is Refusal.IN_FLIGHT


@pytest.mark.behaviour(23)
@pytest.mark.parametrize("status", [VmStatus.REBOOT_IN_PROGRESS, VmStatus.POWERING_DOWN])
@pytest.mark.parametrize("running", [Action.REBOOT, Action.SHUT_DOWN])
def test_power_off_and_power_cycle_end_a_graceful_operation(status: VmStatus, running: Action) -> None:
    for action in SUPERSEDING:
        assert resolve(action, status, InFlight(running)) == Verdict(ends=True)


def test_an_operation_that_only_waits_for_its_vm_gives_way_to_a_graceful_one_and_others_do_not() -> None:
    for action in (Action.SHUT_DOWN, Action.REBOOT):
        assert resolve(action, VmStatus.POWERING_UP, InFlight(Action.RUN, only_waits_for_up=True)).ends
        assert resolve(action, VmStatus.POWERING_UP, InFlight(Action.RUN)).refusal is Refusal.IN_FLIGHT


@pytest.mark.behaviour(8, 22)
@pytest.mark.parametrize("action", [Action.REBOOT, Action.SHUT_DOWN])
def test_a_second_graceful_action_is_refused_whatever_status_is_shown(action: Action) -> None:
    for status in VmStatus:
        for running in (Action.REBOOT, Action.SHUT_DOWN):
            assert not resolve(action, status, InFlight(running)).allowed


@pytest.mark.behaviour(20)
def test_a_paused_vm_is_not_asked_and_a_migrating_one_is_left_alone() -> None:
    allowed = {action for action in Action if resolve(action, VmStatus.PAUSED, None).allowed}
    assert allowed == {Action.RUN, Action.RESUME, Action.POWER_OFF, Action.POWER_CYCLE}
    assert not any(resolve(action, VmStatus.MIGRATING, None).allowed for action in Action)


@pytest.mark.parametrize("action", Action)
def test_a_sleeping_guest_counts_as_up_and_besides_may_be_woken(action: Action) -> None:
    woken = action in (Action.RUN, Action.RESUME)
    assert resolve(action, VmStatus.UP, None, asleep=True).allowed == (
        woken or resolve(action, VmStatus.UP, None).allowed
    )
    assert not resolve(Action.RUN, VmStatus.UP, InFlight(Action.REBOOT), asleep=True).allowed


def test_only_an_operation_that_is_coming_up_waits_for_nothing_but_its_vm() -> None:
    waiting = [stage for stage in ACTIVE_STAGES if in_flight(Action.REBOOT, stage).only_waits_for_up]
    assert waiting == [Stage.COMING_UP]


# What a VM shows

RUNNING = Observation(DomainState.RUNNING)
WITH_CHANNEL = Observation(DomainState.RUNNING, agent_channel=True)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (Observation(DomainState.DOWN), VmStatus.DOWN),
        (Observation(DomainState.DOWN, managed_save=True), VmStatus.SUSPENDED),
        (Observation(DomainState.PAUSED), VmStatus.PAUSED),
        (Observation(DomainState.SLEEPING), VmStatus.UP),
        (Observation(DomainState.RUNNING, job=Job.SAVING), VmStatus.SAVING_STATE),
        (Observation(DomainState.RUNNING, job=Job.MIGRATING), VmStatus.MIGRATING),
        (Observation(DomainState.PAUSED, job=Job.MIGRATING), VmStatus.MIGRATING),
        (RUNNING, VmStatus.UP),
        (WITH_CHANNEL, VmStatus.POWERING_UP),
        (Observation(DomainState.RUNNING, agent_channel=True, agent_connected=True), VmStatus.UP),
    ],
)
def test_a_vm_at_rest_shows_what_its_domain_is_doing(seen: Observation, status: VmStatus) -> None:
    assert status_at_rest(seen, moment(0), moment(1)) is status


def test_a_vm_whose_agent_never_connects_is_up_after_a_minute() -> None:
    late = moment(UP_WITHOUT_AGENT_AFTER.total_seconds())
    assert UP_WITHOUT_AGENT_AFTER.total_seconds() == 60
    assert not is_up(WITH_CHANNEL, moment(0), moment(59.9))
    assert is_up(WITH_CHANNEL, moment(0), late)
    assert not is_up(WITH_CHANNEL, None, late)
    assert not is_up(Observation(DomainState.PAUSED), moment(0), late)


@pytest.mark.behaviour(24)
@pytest.mark.parametrize("action", Action)
def test_a_vm_in_an_operation_never_shows_up_and_allows_no_second_one_of_its_kind(action: Action) -> None:
    status = status_while(action)
    assert status not in (VmStatus.UP, VmStatus.DOWN)
    assert not resolve(action, status, InFlight(action)).allowed
    assert status_while(action, started=True) is VmStatus.POWERING_UP


def test_a_run_that_restores_memory_says_so() -> None:
    assert status_while(Action.RUN, restoring=True) is VmStatus.RESTORING_STATE
